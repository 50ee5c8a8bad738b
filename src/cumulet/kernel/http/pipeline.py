# SPDX-License-Identifier: Apache-2.0
"""THE list of handlers that every request passes, in order; then what every answer gets.

A handler takes the request and returns None to go on, or a Reply to end there. They run in a thread of the pool, so
they may query. Reading the body and sending the answer belong to the shell (`kernel.http.shell`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import msgspec
import orjson

from cumulet.kernel import log, origin
from cumulet.kernel.allowance import Allowance, allows
from cumulet.kernel.auth import Authenticator
from cumulet.kernel.errors import CumuletError, Forbidden, Invalid, NotAllowed, NotFound, Unauthorized
from cumulet.kernel.http.errors import unauthenticated
from cumulet.kernel.http.message import Reply, Request
from cumulet.kernel.http.routes import ANYONE, PUBLIC, Handler, Node, Route
from cumulet.kernel.schema import Schema

LOG = logging.getLogger(__name__)

NUL = "\0"

Step = Callable[[Request], Reply | None]


def look_up(request: Request) -> None:
    """Note the routes of this path and method, where there are any."""
    for node, values in request.api.find(request.path):
        candidates = _of(node, request.method)
        if candidates:
            request.candidates, request.params = candidates, values
            return


def find_path(request: Request) -> None:
    """Refuse what `look_up` found no route for: 404 for the path, 405 for the method."""
    if NUL in request.path:
        raise NotFound("The resource could not be found.", code="NoSuchPath")
    if request.candidates:
        return
    allowed = {method for node, _ in request.api.find(request.path) for method in node.routes}
    if allowed:
        allow = ", ".join(sorted(allowed))
        raise NotAllowed("The method is not allowed for this resource.", headers={"Allow": allow})
    raise NotFound("The resource could not be found.", code="NoSuchPath")


def negotiate_version(request: Request) -> None:
    """Settle the microversion that the caller asked for."""
    if request.api.microversions is not None:
        request.version = request.api.microversions.negotiate(request.headers)


def authenticate(request: Request) -> None:
    """Turn the token into the caller; a public route needs none."""
    if all(route.rule == PUBLIC for route in request.candidates):
        return
    token = request.headers.get("x-auth-token")
    if not token and request.api.token_of is not None:
        token = request.api.token_of(request) or ""
        request.headers = {**request.headers, "x-auth-token": token}
    if not token:
        raise Unauthorized("The request you have made requires authentication.")
    authenticator = request.cloud.contracts.use(Authenticator)
    ctx = authenticator.context(token, request.headers.get("x-service-token"))
    request.ctx = msgspec.structs.replace(ctx, request_id=request.request_id)
    for method in ctx.methods:
        if method in request.api.closed_to:
            raise Forbidden(request.api.closed_to[method])
    if ctx.allowances is not None:
        _check_allowed(request, ctx.allowances)


def parse_body(request: Request) -> None:
    """Parse the JSON body of a route that takes one."""
    if not request.raw or all(route.stream or route.raw for route in request.candidates):
        return
    try:
        request.body = orjson.loads(request.raw)
    except orjson.JSONDecodeError:
        raise Invalid("Malformed request body", code="MalformedRequestBody") from None


def choose_route(request: Request) -> None:
    """Choose among the path's routes by action and microversion."""
    routes = [route for route in request.candidates if route.serves(request.version)]
    if not routes:
        raise NotFound("The resource could not be found.", code="NoSuchVersion")
    if any(route.action for route in routes):
        routes = [_by_action(request, routes)]
    request.route = routes[0]


def authorize(request: Request) -> None:
    """Judge the route's rule."""
    route = _chosen(request)
    if route.rule not in (PUBLIC, ANYONE):
        request.require(route.rule, route.target(request) if route.target is not None else None)


def validate(request: Request) -> None:
    """Hold the body and the query against the route's schemas."""
    route = _chosen(request)
    if route.body is not None:
        if request.body is None and not request.raw:
            raise Invalid("The request body is missing.", code="MissingBody")
        _check(request, route.body, request.body)
    if route.query is not None:
        values: dict[str, list[str]] = {}
        for name, value in request.query_pairs:
            values.setdefault(name, []).append(value)
        _check(request, route.query, values)


def refuse_nul(request: Request) -> None:
    """Refuse the one character that not every database can keep, in whatever place; a schema's own words come first."""
    if "%00" in request.query_string or (b"\\u0000" in request.raw and _holds_nul(request.body)):
        raise Invalid("The request must not contain NUL characters.", code="NulCharacter")


def handle(request: Request) -> Reply | None:
    """Call the route's handler; a stream's is awaited by the shell."""
    route = _chosen(request)
    return None if route.stream else cast(Handler, route.handler)(request)


REQUEST: tuple[Step, ...] = (
    find_path,
    negotiate_version,
    authenticate,
    parse_body,
    choose_route,
    authorize,
    validate,
    refuse_nul,
    handle,
)


def process(request: Request) -> Reply | None:
    """Pass `request` through the list; None where a stream handler has to finish it."""
    log.request_id.set(request.request_id)
    origin.current.set(request)
    try:
        for step in REQUEST:
            reply = step(request)
            if reply is not None:
                return reply
        return None
    except Exception as error:
        return failed(request, error)


def failed(request: Request, error: Exception) -> Reply:
    """The answer to an error: the service's own body for one of the dozen, 500 for a bug."""
    if isinstance(error, CumuletError):
        if isinstance(error, Unauthorized) and not error.code:
            return unauthenticated(request)
        return request.api.dialect.error(error, request)
    LOG.error("a bug: %s %s", request.method, request.path, exc_info=error)
    bug = CumuletError(
        f"Unexpected API Error. Please report this with the request id {request.request_id}. ({type(error).__name__})"
    )
    return request.api.dialect.error(bug, request)


def finish(request: Request, reply: Reply) -> Reply:
    """Add what every answer carries."""
    for name in request.api.request_id_headers:
        reply.headers.setdefault(name, request.request_id)
    for name, value in request.api.headers.items():
        reply.headers.setdefault(name, value)
    if request.api.microversions is not None and request.version != (0, 0):
        for name, value in request.api.microversions.headers(request.version).items():
            reply.headers.setdefault(name, value)
    return reply


def _of(node: Node, method: str) -> tuple[Route, ...] | None:
    return node.routes.get(method) or (node.routes.get("GET") if method == "HEAD" else None)


def _by_action(request: Request, routes: list[Route]) -> Route:
    body = request.body
    if not isinstance(body, dict) or len(body) != 1:
        raise Invalid("Malformed request body", code="MalformedRequestBody")
    for route in routes:
        if route.action in body:
            return route
    name = next(iter(body))
    if any(route.action == name for route in request.candidates):
        raise NotFound("The resource could not be found.", code="NoSuchVersion")
    raise Invalid(f"There is no such action: {name}", code="NoSuchAction")


def _check(request: Request, schema: Schema, value: object) -> None:
    schema.check(value, request.version if request.api.microversions is not None else None)


def _holds_nul(body: Any) -> bool:
    todo = [body]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            if NUL in value:
                return True
        elif isinstance(value, dict):
            todo.extend(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return False


def _check_allowed(request: Request, allowances: tuple[Allowance, ...]) -> None:
    """Refuse what the token is not for, unless a service goes on with what the user was allowed to begin."""
    if request.ctx.is_service or all(route.always_allowed for route in request.candidates):
        return
    manifest = next(service for service in request.cloud.services if service.package == request.api.service)
    names = {manifest.type, *(entry.type for entry in manifest.catalog)}
    if not allows(allowances, names, request.method, (request.path, request.api.root + request.path)):
        raise Unauthorized("The request you have made requires authentication.")


def _chosen(request: Request) -> Route:
    assert request.route is not None
    return request.route
