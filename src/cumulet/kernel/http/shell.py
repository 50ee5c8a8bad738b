# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: sockets on the loop, everything else in the pool."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import orjson

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import TooLarge
from cumulet.kernel.http import pipeline, websockets
from cumulet.kernel.http.message import Reply, Request
from cumulet.kernel.http.routes import Api, StreamHandler
from cumulet.kernel.metrics import Counter, Histogram

SLOW_THREADS = 32  # requests that wait for a password's hash or a directory at once; all others are not touched by it

ACCESS = logging.getLogger("cumulet.access")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = Callable[[], Reply]
T = TypeVar("T")

REQUESTS = Counter("cumulet_http_requests_total", "Requests answered", ("service", "method", "status"))
SECONDS = Histogram("cumulet_http_request_seconds", "Time from the last byte in to the first byte out", ("service",))


class Shell:
    """Serves the APIs of several services below one origin.

    `find_api` gives the service of a path's first segment (`"compute"`), loading it at its first request, or None.
    `pages` are plain pages of the process itself (`"/healthz"`); each must be quick, and is called in the pool.
    """

    def __init__(
        self, cloud: Cloud, find_api: Callable[[str], Api | None], pages: Mapping[str, Page], threads: int = 4
    ) -> None:
        self._cloud = cloud
        self._find_api = find_api
        self._apis: dict[str, Api] = {}  # those found already, for which no thread is needed
        self._pages = pages
        self._pool = ThreadPoolExecutor(threads, "request")
        self._slow_pool = ThreadPoolExecutor(SLOW_THREADS, "slow-request")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._websocket(scope, receive, send)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._slow_pool.shutdown(wait=False, cancel_futures=True)

    async def _http(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        path: str = scope["path"]
        page = self._pages.get(path)
        if page is not None:
            reply = await self._in_pool(page)
            await _send(reply, send, head=scope["method"] == "HEAD")
            return
        first = path.removeprefix("/").partition("/")[0]
        api = self._apis.get(first) or await self._load(first)
        if api is None:
            await _send(Reply(404, {"error": {"code": 404, "title": "Not Found", "message": "No such service."}}), send)
            return
        request = self._request(scope, api, path[len(api.root) :])
        reply = await self._answer(request, receive)
        status = reply.status
        await _send(pipeline.finish(request, reply), send, head=request.method == "HEAD")
        took = time.perf_counter() - began
        REQUESTS.add(1, api.service, request.method, str(status))
        SECONDS.observe(took, api.service)
        ACCESS.info(
            "%s %s%s %d", request.method, api.root, request.path, status,
            extra={"request_id": request.request_id, "ms": round(took * 1000, 1), "user": request.ctx.user_id},
        )  # fmt: skip

    async def _websocket(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand the client to the route of its path; where there is none it is answered 403."""
        await receive()  # that it wants to connect
        path: str = scope["path"]
        first = path.removeprefix("/").partition("/")[0]
        api = self._apis.get(first) or await self._load(first)
        for route in api.websockets if api is not None else ():
            if api is not None and path == api.root + route.path:
                websocket = websockets.Websocket(self._cloud, scope, receive, send, self._pool)
                await websockets.serve(websocket, route.handler)
                return
        await send({"type": "websocket.close", "code": websockets.REFUSED})

    async def _load(self, segment: str) -> Api | None:
        api = await self._in_pool(self._find_api, segment)
        if api is not None:
            self._apis[segment] = api
        return api

    def _request(self, scope: MutableMapping[str, Any], api: Api, path: str) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return Request(
            cloud=self._cloud,
            api=api,
            method=scope["method"],
            path=path or "/",
            query_string=scope["query_string"].decode("latin-1"),
            headers=headers,
            scheme=scope["scheme"],
            client=scope["client"][0] if scope.get("client") else "",
            request_id=_request_id(headers),
        )

    async def _answer(self, request: Request, receive: Receive) -> Reply:
        try:
            pipeline.look_up(request)
            routes = request.candidates
            if routes and all(route.stream for route in routes):
                request.chunks = _chunks(receive)
            else:
                request.raw = await _read(request, receive)
            if (known := _at_hand(request)) is not None:
                return known
            pool = self._slow_pool if any(route.slow for route in routes) else self._pool
            reply = await asyncio.get_running_loop().run_in_executor(pool, _process, request)
            if reply is None:
                assert request.route is not None
                reply = await cast(StreamHandler, request.route.handler)(request)
        except ConnectionResetError:
            return Reply(499)
        except Exception as error:
            return pipeline.failed(request, error)
        return reply

    async def _in_pool(self, fn: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)


def _at_hand(request: Request) -> Reply | None:
    """The answer, where the one route that can be meant has it in memory."""
    routes = request.candidates
    return routes[0].at_hand(request) if len(routes) == 1 and routes[0].at_hand is not None else None


def _process(request: Request) -> Reply | None:
    """Pass the request through the list, and make JSON of a long body here, where it holds up nobody else."""
    reply = pipeline.process(request)
    if reply is not None and reply.body is not None:
        reply.body = _bytes(reply.body)
    return reply


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # has no numbers beyond 64 bits, and IPv6 has networks of more addresses
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _request_id(headers: Mapping[str, str]) -> str:
    """The caller's own `req-<uuid>` where it sent one, as services do among themselves; else a new one."""
    asked = headers.get("x-openstack-request-id", "")
    if asked.startswith("req-") and ids.is_uuid(asked[4:]):
        return asked
    return ids.new_request_id()


async def _read(request: Request, receive: Receive) -> bytes:
    limit = request.api.body_limit
    parts: list[bytes] = []
    size = 0
    async for chunk in _chunks(receive):
        size += len(chunk)
        if size > limit:
            raise TooLarge("Request is too large.")
        parts.append(chunk)
    return b"".join(parts)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def _send(reply: Reply, send: Send, *, head: bool = False) -> None:
    body = b"" if reply.body is None else _bytes(reply.body)
    headers = dict(reply.headers)
    if reply.body is not None:
        headers.setdefault("Content-Type", reply.media_type)
    if reply.chunks is None and reply.status != 204:
        headers.setdefault("Content-Length", str(len(body)))
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
    if reply.chunks is not None and not head:
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head or reply.chunks is not None else body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
