# SPDX-License-Identifier: Apache-2.0
"""How an object is sent: whole, in parts, or not at all where the client has it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.message import Headers, Request, Response, Stretch
from cumulet.services.object_store.drivers.base import FileSlice
from cumulet.services.object_store.logic import conditions, ranges
from cumulet.services.object_store.logic.ranges import Span

Pieces = Callable[[int, int], AsyncIterator[bytes]]

SHORT = 1 << 16  # bytes that are not worth a way of their own


def conditional(request: Request, headers: Headers, seconds: int) -> Response | None:
    """The answer where the request's conditions on the object, last modified at this second, do not hold."""
    etag = next((headers[name] for name in request.etags if headers.get(name)), headers.get("etag"))
    status = conditions.judge(request.headers, etag, seconds)
    if status is None:
        return None
    kept = {name: value for name, value in headers.items() if name not in ("content-length", "content-type")}
    return Response(status, kept) if status == conditions.NOT_MODIFIED else answers.refusal(status, headers=kept)


def wanted(request: Request, headers: Headers) -> str | None:
    """What part the request asks for of an object with these headers."""
    return None if any(name in headers for name in request.whole) else request.headers.get("range")


def part(headers: Headers, size: int, asked: str | None) -> tuple[int, Headers, list[Span]]:
    """The status, the headers and the parts that are sent of `size` bytes: no part where that is refused."""
    spans = ranges.of(asked, size)
    if spans is None:
        return 200, headers, [(0, size)]
    if not spans:
        return 416, {**headers, "content-range": f"bytes */{size}"}, []
    if len(spans) == 1:
        return 206, {**headers, "content-range": ranges.content_range(spans[0], size)}, spans
    return 206, headers, spans


def send(
    status: int,
    headers: Headers,
    size: int,
    spans: list[Span],
    pieces: Pieces,
    close: Callable[[], Awaitable[object]],
    file: FileSlice | None = None,
) -> Response:
    """The answer with these parts; `pieces` gives the bytes from the first up to the second, `close` ends that.

    They may be in a `file`, too, which is open until then.
    """
    if len(spans) == 1:
        (first, last), *_ = spans
        stretch = None
        if file is not None and last - first > SHORT:
            stretch = Stretch(file.fd, file.offset + first, last - first, lambda sent: pieces(first + sent, last))
        every = _sent(pieces, spans, None)
        return Response(status, headers, pieces=every, length=last - first, ending=close, stretch=stretch)
    several = ranges.Multipart(spans, size, headers.get("content-type", ""), secrets.token_hex(16))
    headers = {**headers, "content-type": several.media_type}
    return Response(status, headers, pieces=_sent(pieces, spans, several), length=several.length, ending=close)


async def _sent(pieces: Pieces, spans: list[Span], several: ranges.Multipart | None) -> AsyncGenerator[bytes, None]:
    if several is None:
        async for piece in pieces(*spans[0]):
            yield piece
        return
    for before, span in several.parts():
        yield before
        async for piece in pieces(*span):
            yield piece
        yield b"\r\n"
    yield several.end
