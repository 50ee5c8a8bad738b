# SPDX-License-Identifier: Apache-2.0
"""Which handler answers a request, once all filters have let it pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from cumulet.kernel.errors import CumuletError, Forbidden, Invalid, NotAllowed, NotFound, Precondition, Unauthorized
from cumulet.services.object_store.api import accounts, answers, containers, cors, objects
from cumulet.services.object_store.api.message import Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits

Handler = Callable[[Site, Request], Awaitable[Response]]


class Way(NamedTuple):
    """`late`: what the container says may allow it still."""

    handler: Handler
    late: bool


_ACCOUNT = {
    "GET": Way(accounts.get, False),
    "HEAD": Way(accounts.head, False),
    "PUT": Way(accounts.put, False),
    "POST": Way(accounts.post, False),
    "DELETE": Way(accounts.delete, False),
}
_CONTAINER = {
    "GET": Way(containers.get, True),
    "HEAD": Way(containers.head, True),
    "PUT": Way(containers.put, False),
    "POST": Way(containers.post, False),
    "DELETE": Way(containers.delete, False),
}
_OBJECT = {
    "GET": Way(objects.get, True),
    "HEAD": Way(objects.head, True),
    "PUT": Way(objects.put, True),
    "POST": Way(objects.post, True),
    "DELETE": Way(objects.delete, True),
}


class Store:
    """The end of the pipeline. What filters get from it is an answer; a refusal is one, too."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except CumuletError as error:
            return answers.of(error)

    async def _answer(self, request: Request) -> Response:
        if not limits.is_text(request.path) and not (request.reserved and limits.is_utf8(request.path)):
            raise Precondition("Invalid UTF8 or contains NULL")
        way = self._way(request)
        judge, late = request.authorize, False
        if judge is not None:
            try:
                await judge(request)
            except (Unauthorized, Forbidden):
                if not way.late:
                    raise
                late = True
        request.authorize = judge if late else None
        try:
            return await cors.shared(self._site, request, way.handler)
        finally:
            request.authorize = judge

    def _way(self, request: Request) -> Way:
        parts = request.parts
        count = len(parts)
        while count > 1 and not parts[count - 1]:
            count -= 1
        if not all(parts[:count]):
            raise NotFound("")
        if count < 2:
            raise Precondition("Bad URL")
        if parts[0] not in self._site.limits.valid_api_versions:
            raise Invalid("")
        ways = (_ACCOUNT, _CONTAINER, _OBJECT)[count - 2]
        methods: tuple[str, ...] = accounts.METHODS
        if count == 2 and not self._site.options.allow_account_management:
            methods = tuple(each for each in methods if each not in ("DELETE", "PUT"))
        way = ways.get(request.method)
        if request.method == "OPTIONS":
            way = Way(partial(cors.options, methods=methods), False)
        if way is None:
            raise NotAllowed("", headers={"Allow": ", ".join(methods)})
        return way
