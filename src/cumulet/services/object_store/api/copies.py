# SPDX-License-Identifier: Apache-2.0
"""What filters do on their own behalf with objects whose access they have judged: read them, and put them elsewhere."""

from __future__ import annotations

from cumulet.kernel.errors import TooLarge
from cumulet.services.object_store.api.message import Body, Go, Headers, Request, Response
from cumulet.services.object_store.api.objects import OWN_TYPE


def trusted(
    request: Request,
    method: str,
    path: str,
    *,
    headers: Headers | None = None,
    body: Body | None = None,
    query: str = "",
    source: str = "",
) -> Request:
    """A request that nobody judges, and that may name what is the store's own."""
    made = request.sub(method, path, headers=headers, body=body, query=query, source=source)
    made.authorize, made.reserved = None, True
    made.extra = {OWN_TYPE: True}
    return made


async def source(request: Request, go: Go, path: str, most: int, name: str) -> Response:
    """An object as it is, a link as a link. TooLarge for one that no PUT would take."""
    asked = trusted(request, "GET", path, headers={"x-newest": "true"}, query="symlink=get", source=name)
    answer = await go(asked)
    if size_of(answer) > most:
        await answer.close()
        raise TooLarge("")
    return answer


async def put(request: Request, go: Go, path: str, found: Response, name: str) -> Response:
    """Put what was read, with all of its headers, under another name."""
    headers = {key: value for key, value in found.headers.items() if key != "x-timestamp"}
    body = Body.of(found.body) if found.pieces is None else Body(found.pieces, found.length)
    try:
        return await go(trusted(request, "PUT", path, headers=headers, body=body, source=name))
    finally:
        await found.close()


def size_of(answer: Response) -> int:
    return len(answer.body) if answer.pieces is None else answer.length or 0
