# SPDX-License-Identifier: Apache-2.0
"""Dynamic large objects: all that a container lists behind a prefix, joined when it is read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.api import answers, downloads
from cumulet.services.object_store.api.containers import SEEN
from cumulet.services.object_store.api.joined import Broken, Joined, Wanted
from cumulet.services.object_store.api.message import NOTHING, Go, Headers, Request, Response, unquoted, wire
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import conditions, listings, ranges
from cumulet.services.object_store.types.indexes import Info, Listed

HEADER = "x-object-manifest"

_CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range")


class Part(NamedTuple):
    """A segment, by the name of its object as text."""

    name: str
    size: int
    etag: str


Parts = list[Part]


class DynamicLarge:
    info = NOTHING

    def __init__(self, site: Site) -> None:
        self._page = site.limits.container_listing_limit

    async def __call__(self, request: Request, go: Go) -> Response:
        if len(request.parts) < 4 or not request.parts[3]:
            return await go(request)
        if request.method in ("GET", "HEAD") and request.query.get("multipart-manifest") != "get":
            return await self._read(request, go)
        if request.method == "PUT" and HEADER in request.headers:
            _check(request.headers[HEADER])
        return await go(request)

    async def _read(self, request: Request, go: Go) -> Response:
        request.whole = (*request.whole, HEADER)
        answer = await go(request)
        place = unquoted(answer.headers.get(HEADER, ""))
        if "/" not in place:
            return answer
        await answer.close()
        if answer.status in (304, 412):
            # It was judged by the manifest's own ETag.
            headers = {name: value for name, value in request.headers.items() if name not in _CONDITIONS}
            answer = await go(request.sub("HEAD", headers=headers, query=request.query_string, source="DLO"))
        if answer.status != 200:
            return answer
        listing = _Listing(request, go, place, self._page)
        first = await listing.page("")
        if isinstance(first, Response):
            return first
        return await self._joined(request, go, answer.headers, listing, first)

    async def _joined(self, request: Request, go: Go, headers: Headers, listing: _Listing, entries: Parts) -> Response:
        complete = len(entries) < self._page
        total = sum(each.size for each in entries)
        span = _span(request, total, complete=complete)
        if span is None:
            return answers.refusal(416, headers=_no_part(total, complete=complete))
        if complete:
            sum_ = hashlib.md5("".join(each.etag for each in entries).encode(), usedforsecurity=False)
            headers["etag"] = f'"{sum_.hexdigest()}"'
        refused = downloads.conditional(request, headers, conditions.time(headers.get("last-modified")) or 0)
        if refused is not None:
            return refused
        size = total if complete else None
        if request.method == "HEAD":
            return Response(200, headers, pieces=_nothing(), length=size)
        whole = span == (0, math.inf)
        begin, end = (0, size) if whole else span
        joined = Joined(request, go, listing.plan(entries), "DLO")
        try:
            await joined.begin(begin, end)
        except BaseException:
            await joined.close()
            raise
        if whole:
            return Response(200, headers, pieces=joined.pieces(0, size), length=size, ending=joined.close)
        headers["content-range"] = ranges.content_range(span, total)
        return Response(206, headers, pieces=joined.pieces(*span), length=span[1] - span[0], ending=joined.close)


class _Listing:
    """The segments of a manifest that says `place`, `most` at once."""

    def __init__(self, request: Request, go: Go, place: str, most: int) -> None:
        self._request, self._go, self._most = request, go, most
        container, _, self._prefix = place.partition("/")
        self._path = "/".join((*request.path.split("/", 3)[:3], container))

    async def page(self, marker: str) -> Parts | Response:
        """What is listed behind a name; the answer where that is refused."""
        found: Parts = []

        def seen(info: Info, entries: list[Listed]) -> None:
            found.extend(_part(entry, info.key.container) for entry in entries)

        query = {"format": "plain", "prefix": self._prefix, "marker": marker}
        asked = self._request.sub("GET", self._path, query=urlencode(query, encoding="latin-1"), source="DLO")
        asked.extra = {SEEN: seen}
        answer = await self._go(asked)
        return found if answer.ok else answer

    def plan(self, entries: Parts) -> Any:
        """Where the bytes are from a first one up to a last one, None for the end of all."""

        async def walk(first: int, last: int | None) -> AsyncGenerator[bytes | Wanted, None]:
            page, begin = entries, 0
            end = math.inf if last is None else last
            while True:
                for each in page:
                    size = each.size
                    low, high = max(first - begin, 0), min(end - begin, size)
                    begin += size
                    if low < high:
                        yield Wanted(f"{self._path}/{wire(each.name)}", low, None if high == size else int(high))
                if len(page) < self._most or begin >= end:
                    return
                following = await self.page(wire(page[-1].name))
                if isinstance(following, Response):
                    raise Broken("")
                page = following

        return walk


def _part(entry: Listed, container: str) -> Part:
    name, _, size, _, etag = entry
    if ";" in etag:
        # A link to a version stands for its bytes.
        told = listings.described(entry, "", container)
        size, etag = told["bytes"], told["hash"].partition(";")[0]
    return Part(name, size, etag)


def _check(said: str) -> None:
    container, _, prefix = said.partition("/")
    if not container or not prefix or "?" in said or "&" in said or prefix.startswith("/"):
        raise Invalid("X-Object-Manifest must be in the format container/prefix")


def _span(request: Request, total: int, *, complete: bool) -> Any:
    """The one part that is asked for, (0, infinity) for all; None where there is no such part."""
    asked = ranges.parse(request.headers.get("range", ""))
    if len(asked) != 1:
        return 0, math.inf
    first, last = asked[0]
    end = math.inf if first is None or last is None else last + 1
    if not complete and end >= total:
        # That could only be told with the whole listing.
        return 0, math.inf
    spans = ranges.of_length(asked, total)
    if not spans:
        return None
    return spans[0] if total else (0, math.inf)


def _no_part(total: int, *, complete: bool) -> Headers:
    headers = {"accept-ranges": "bytes"}
    return headers | {"content-range": f"bytes */{total}"} if complete else headers


async def _nothing() -> AsyncGenerator[bytes, None]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
