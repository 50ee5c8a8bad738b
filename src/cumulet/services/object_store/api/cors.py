# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins that use a container or its objects: what their browsers are told (Fetch, CORS).

A container says in its metadata who may: `Access-Control-Allow-Origin`, `-Expose-Headers`, `-Max-Age`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api import answers, metadata
from cumulet.services.object_store.api.message import Headers, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.types.indexes import Info, Key

Handler = Callable[[Site, Request], Awaitable[Response]]

_SAID = "x-container-meta-access-control-"
_EXPOSED = frozenset(
    (
        "cache-control",
        "content-language",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
        "etag",
        "x-timestamp",
        "x-trans-id",
        "x-openstack-request-id",
    )
)


async def options(site: Site, request: Request, methods: Sequence[str]) -> Response:
    """What may be done with a path; asked before a page of another origin does it, whether that may."""
    allowed = ", ".join(methods)
    headers: Headers = {"allow": allowed}
    origin = request.headers.get("origin")
    if not origin or not "".join(request.parts[2:3]):
        return Response(200, headers)
    info = await _container(site, request)
    wanted = request.headers.get("access-control-request-method")
    if not _admits(site, info, origin) or wanted not in methods:
        return answers.refusal(401, headers=headers)
    varies = _admit(headers, info, origin)
    age = info.state.metadata.get(f"{_SAID}max-age") if info is not None and info.exists else None
    if age is not None and age[0]:
        headers["access-control-max-age"] = age[0]
    headers["access-control-allow-methods"] = allowed
    asked = [each.strip() for each in request.headers.get("access-control-request-headers", "").split(",")]
    if any(asked):
        headers["access-control-allow-headers"] = ", ".join(dict.fromkeys(each for each in asked if each))
        varies.append("Access-Control-Request-Headers")
    if varies:
        headers["vary"] = ", ".join(varies)
    return Response(200, headers)


async def shared(site: Site, request: Request, handler: Handler) -> Response:
    """What the handler answers, refusals too, with what lets a page of another origin read it."""
    origin = request.headers.get("origin")
    if not origin or len(request.parts) < 3 or request.method == "OPTIONS":
        return await handler(site, request)
    info = await _container(site, request)
    try:
        answer = await handler(site, request)
    except CumuletError as error:
        answer = answers.of(error)
    if site.options.strict_cors_mode and not _admits(site, info, origin):
        return answer
    headers = answer.headers
    if "access-control-expose-headers" not in headers:
        headers["access-control-expose-headers"] = ", ".join(sorted(_exposed(site, info, headers)))
    if "access-control-allow-origin" not in headers and (varies := _admit(headers, info, origin)):
        headers["vary"] = ", ".join([headers["vary"], *varies] if "vary" in headers else varies)
    return answer


async def _container(site: Site, request: Request) -> Info | None:
    account, container, _ = request.names
    return await site.engine.info(Key(account, container))


def _origins(info: Info | None) -> list[str]:
    return metadata.value(info, f"{_SAID}allow-origin").split(" ")


def _admits(site: Site, info: Info | None, origin: str) -> bool:
    known = {each.strip() for each in _origins(info)} - {""} | set(site.options.cors_allow_origin)
    return origin in known or "*" in known


def _admit(headers: Headers, info: Info | None, origin: str) -> list[str]:
    """Let that origin read the answer; on which headers of the request this depends."""
    if metadata.value(info, f"{_SAID}allow-origin").strip() == "*":
        headers["access-control-allow-origin"] = "*"
        return []
    headers["access-control-allow-origin"] = origin
    return ["Origin"]


def _exposed(site: Site, info: Info | None, headers: Headers) -> set[str]:
    own = {name for name in headers if name.startswith(("x-container-meta", "x-object-meta"))}
    said = {each.strip().lower() for each in metadata.value(info, f"{_SAID}expose-headers").split(" ")} - {""}
    return {*_EXPOSED, *site.options.cors_expose_headers, *own, *said}
