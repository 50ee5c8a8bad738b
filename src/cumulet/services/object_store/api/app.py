# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: from sockets to the pipeline and back."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import lru_cache
from random import getrandbits
from typing import Any

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.metrics import Counter, Histogram
from cumulet.services.object_store.api import answers, pipeline
from cumulet.services.object_store.api.message import Body, Go, Gone, Headers, Request, Response, unquoted
from cumulet.services.object_store.api.protocol import RECEIVE, SEND_FILE
from cumulet.services.object_store.api.site import Site

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
ReceiveLarge = Callable[[], Awaitable[bytes]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
SendFile = Callable[[int, int, int], Awaitable[int]]

ACCESS = logging.getLogger("cumulet.access")
LOG = logging.getLogger("cumulet.objects")
REQUESTS = Counter("cumulet_object_requests_total", "Requests answered", ("method", "status"))
SECONDS = Histogram("cumulet_object_request_seconds", "Time from the first byte in to the last byte out", ("method",))

_OF_THE_SERVER = (b"content-length", b"transfer-encoding", b"connection")


class ObjectApp:
    """Serves Swift's API at the root of a port: plain HTTP, as servers are told (`lifespan="off"`, `ws="none"`)."""

    def __init__(self, site: Site, go: Go | None = None) -> None:
        self._go = go or pipeline.build(site)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = _request(scope, receive)
        send_file = scope["extensions"].get(SEND_FILE) if "extensions" in scope else None
        answer, first = await self._answer(request, has_sendfile=send_file is not None)
        status = answer.status
        try:
            await _send(request, answer, first, send, send_file)
        except Gone:
            status = 499
        except (ConnectionError, CumuletError) as error:
            LOG.info("%s %s was not sent to its end: %s", scope["method"], request.path, error)
            status = 499
            raise
        finally:
            await answer.close()
            took = time.perf_counter() - began
            REQUESTS.add(1, scope["method"], str(status))
            SECONDS.observe(took, scope["method"])
            ACCESS.info(
                "%s %s %d", scope["method"], request.path, status,
                extra={"request_id": request.id, "ms": round(took * 1000, 1),
                       "user": request.caller.user_id if request.caller is not None else ""},
            )  # fmt: skip

    async def _answer(self, request: Request, *, has_sendfile: bool) -> tuple[Response, bytes]:
        """The answer and its first piece: what fails before that can be refused."""
        try:
            answer = await self._go(request)
            if not has_sendfile:
                answer.stretch = None
            if answer.pieces is None or answer.stretch is not None or request.method == "HEAD":
                return answer, b""
            try:
                return answer, await anext(answer.pieces, b"")
            except BaseException:
                await answer.close()
                raise
        except CumuletError as error:
            return answers.of(error), b""
        except Gone:
            return answers.refusal(499), b""
        except Exception:
            LOG.exception("%s %s failed", request.method, request.path, extra={"request_id": request.id})
            return answers.refusal(500), b""


def _request(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    headers: Headers = {}
    for name, value in scope["headers"]:
        key, words = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{words}" if key in headers else words
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    if chunked:
        headers.pop("content-length", None)
    length = headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() else None
    large = scope["extensions"].get(RECEIVE) if "extensions" in scope else None
    body = Body(_pieces(receive, large, size), size)
    raw_path = scope["raw_path"].decode("latin-1").partition("?")[0]
    request = Request(scope["method"], unquoted(raw_path), headers, body, scope["query_string"].decode("latin-1"))
    request.client = scope["client"][0] if scope.get("client") else ""
    request.scheme, request.raw_path = scope["scheme"], raw_path
    extra = headers.get("x-trans-id-extra", "")
    request.id = _trans_id(began=time.time()) + (f"-{extra[:32]}" if extra else "")
    return request


def _trans_id(began: float) -> str:
    """In Swift's form: random digits, no secret, and the time in seconds, both hexadecimal."""
    return f"tx{getrandbits(84):021x}-{int(began):010x}"


async def _pieces(receive: Receive, large: ReceiveLarge | None, size: int | None) -> AsyncIterator[bytes]:
    if size == 0:
        return
    while True:
        if large is not None and (piece := await large()):
            yield piece
            continue
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone("the client went away")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def _send(request: Request, answer: Response, first: bytes, send: Send, send_file: SendFile | None) -> None:
    headers = answer.headers
    headers["x-trans-id"] = headers["x-openstack-request-id"] = request.id
    length = answer.length
    if answer.pieces is None and (request.method != "HEAD" or length is None):
        length = len(answer.body)
    if length is not None or answer.status == 304:
        headers["content-length"] = "0" if answer.status == 304 else str(length)
    else:
        headers.pop("content-length", None)
    if request.headers.get("connection", "").lower() == "keep-alive":
        headers["connection"] = "keep-alive"
    if answer.status >= 400 and "100-continue" in request.headers.get("expect", "").lower():
        headers["connection"] = "close"  # nobody knows whether the client still sends the body that it held back
    pairs = [(_title(name), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    if request.method == "HEAD" or answer.status in (204, 304):
        await send({"type": "http.response.body", "body": b""})
    elif answer.pieces is None:
        await send({"type": "http.response.body", "body": answer.body})
    elif answer.stretch is not None and send_file is not None:
        fd, offset, size, rest = answer.stretch
        sent = await send_file(fd, offset, size)
        await _send_pieces(b"", rest(sent) if sent < size else None, send)
    else:
        await _send_pieces(first, answer.pieces, send)


async def _send_pieces(first: bytes, pieces: AsyncIterator[bytes] | None, send: Send) -> None:
    if first:
        await send({"type": "http.response.body", "body": first, "more_body": True})
    if pieces is not None:
        async for piece in pieces:
            if _is_gone(send):
                raise Gone("the client went away")
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _is_gone(send: Send) -> bool:
    """Whether nobody hears the answer any more: uvicorn does not tell whoever sends."""
    return bool(getattr(getattr(send, "__self__", None), "disconnected", False))


class _AsWritten(bytes):
    """The name of a header that uvicorn, which sends all in lower case, leaves as it is."""

    def lower(self) -> bytes:
        return self


@lru_cache(4096)
def _title(name: str) -> bytes:
    """As Swift writes names of headers: there are clients that know no other way. Amazon's are in lower case."""
    known = name.encode("latin-1")
    return known if known in _OF_THE_SERVER or known.startswith(b"x-amz-") else _AsWritten(known.title())
