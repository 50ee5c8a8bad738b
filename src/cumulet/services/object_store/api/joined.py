# SPDX-License-Identifier: Apache-2.0
"""Objects whose bytes lie in others: read one after the other, each by a request of the same caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import NamedTuple

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.object_store.api.message import Go, Request, Response
from cumulet.services.object_store.logic import conditions

PASSED_ON = ("x-open-expired",)


class Broken(Conflict):
    """What there is now is not what the object was made of."""


class Wanted(NamedTuple):
    """The bytes of an object from `first` up to `last`, None for its end; `etag` and `size` are what it has to have."""

    path: str
    first: int = 0
    last: int | None = None
    etag: str | None = None
    size: int | None = None


Plan = Callable[[int, int | None], AsyncGenerator[bytes | Wanted, None]]


class Joined:
    """`plan` tells what the bytes from a first one up to a last one (None: to the end) are made of, `source` who asks.

    What is not there any more, or has changed, is Broken: a refusal if `begin` meets it, an answer that ends too early
    if it comes later.
    """

    def __init__(self, request: Request, go: Go, plan: Plan, source: str) -> None:
        self._request, self._go, self._plan, self._source = request, go, plan, source
        self._begun: AsyncGenerator[bytes, None] | None = None
        self._current: AsyncGenerator[bytes, None] | None = None
        self._seen = b""

    async def begin(self, first: int, last: int | None) -> None:
        """Look whether there are bytes, before anything is answered; these are the first that are read."""
        self._begun = self._current = self._stream(first, last)
        self._seen = await anext(self._begun, b"")

    async def pieces(self, first: int, last: int | None) -> AsyncGenerator[bytes, None]:
        stream, self._begun = self._begun, None
        if stream is None:
            stream = self._current = self._stream(first, last)
        elif self._seen:
            seen, self._seen = self._seen, b""
            yield seen
        async for piece in stream:
            yield piece

    async def close(self) -> None:
        if self._current is not None:
            await self._current.aclose()

    async def _stream(self, first: int, last: int | None) -> AsyncGenerator[bytes, None]:
        left = None if last is None else last - first
        async with aclosing(self._bytes(first, last)) as pieces:
            async for piece in pieces:
                if left is not None and len(piece) > left:
                    yield piece[:left]
                    raise Broken("there is more than was said")
                yield piece
                if left is not None:
                    left -= len(piece)
        if left:
            raise Broken(f"{left} bytes are missing")

    async def _bytes(self, first: int, last: int | None) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._plan(first, last)) as plan:
            async for each in plan:
                if isinstance(each, bytes):
                    yield each
                    continue
                answer = await self._open(each)
                try:
                    left = _length(answer)
                    if answer.pieces is None:
                        left -= len(answer.body)
                        yield answer.body
                    else:
                        async for piece in answer.pieces:
                            left -= len(piece)
                            yield piece
                    if left:
                        raise Broken(f"{each.path} has {left} bytes less than it said")
                finally:
                    await answer.close()

    async def _open(self, wanted: Wanted) -> Response:
        headers = {name: self._request.headers[name] for name in PASSED_ON if name in self._request.headers}
        whole = wanted.first == 0 and wanted.last in (None, wanted.size)
        if not whole:
            headers["range"] = f"bytes={wanted.first}-{'' if wanted.last is None else wanted.last - 1}"
        asked = self._request.sub(
            "GET", wanted.path, headers=headers, query="multipart-manifest=get", source=self._source
        )
        answer = await self._go(asked)
        try:
            _check(wanted, answer, whole=whole)
        except BaseException:
            await answer.close()
            raise
        return answer


def _length(answer: Response) -> int:
    if answer.pieces is None:
        return len(answer.body)
    if answer.length is None:
        raise Broken("a segment's size is not known")
    return answer.length


def _check(wanted: Wanted, answer: Response, *, whole: bool) -> None:
    if answer.status >= 500:
        raise NotReady("")
    if not answer.ok:
        raise Broken("")
    if wanted.etag is not None and conditions.bare(answer.headers.get("etag", "")) != wanted.etag:
        raise Broken("")
    size = wanted.size if whole else None if wanted.last is None else wanted.last - wanted.first
    if size is not None and _length(answer) != size:
        raise Broken("")
