# SPDX-License-Identifier: Apache-2.0
"""Static large objects: manifests that name their segments one by one."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.object_store.api import answers, downloads
from cumulet.services.object_store.api.filters.container_sync import SYNCED
from cumulet.services.object_store.api.filters.static_removals import Removal
from cumulet.services.object_store.api.filters.static_uploads import Upload, aside
from cumulet.services.object_store.api.joined import PASSED_ON, Broken, Joined, Wanted
from cumulet.services.object_store.api.message import TRUE, Go, Headers, Request, Response, wire
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import segments
from cumulet.services.object_store.logic.segments import ETAG, MANIFEST, SIZE, Piece

_REMEMBERED = 20  # manifests within manifests that one answer keeps
_RESERVED = (
    "X-Static-Large-Object is a reserved header. "
    "To create a static large object add query param multipart-manifest=put."
)


class Unreadable(CumuletError):
    """What lies there as a manifest is none."""

    status = 500


class StaticLarge:
    def __init__(self, site: Site) -> None:
        options = site.options.of("slo")
        frequency = float(options.get("yield_frequency", 10))
        most = int(options.get("max_manifest_segments", 1000))
        size = int(options.get("max_manifest_size", 8 * 2**20))
        side_by_side = max(1, int(options.get("concurrency", 2)))
        later = bool(options.get("allow_async_delete", True))
        self._upload = Upload(self, most, size, frequency, side_by_side)
        self._removal = Removal(site, most, frequency, int(options.get("delete_concurrency", side_by_side)), later)
        self.info: Mapping[str, Any] = {
            "slo": {
                "max_manifest_segments": most,
                "max_manifest_size": size,
                "yield_frequency": options.get("yield_frequency", 10),
                "min_segment_size": 1,
                "allow_async_delete": later,
            }
        }

    async def __call__(self, request: Request, go: Go) -> Response:
        if len(request.parts) < 4 or not request.parts[3]:
            return await go(request)
        if SYNCED in request.extra:
            return await self._synced(request, go)
        asked = request.query.get("multipart-manifest")
        if request.method == "PUT" and asked == "put":
            return await self._upload(request, go)
        if request.method == "DELETE" and asked == "delete":
            return await self._removal(request, go)
        if request.method in ("GET", "HEAD"):
            return await self._read(request, go)
        if MANIFEST in request.headers:
            raise Invalid(_RESERVED)
        return await go(request)

    async def _synced(self, request: Request, go: Go) -> Response:
        """Another cluster sends a manifest as it keeps it, maybe before its segments."""
        if request.method == "PUT" and request.headers.get(MANIFEST, "").lower() in TRUE:
            return await self._upload.as_kept(request, go)
        return await go(request)

    async def _read(self, request: Request, go: Go) -> Response:
        manifest = request.query.get("multipart-manifest") == "get"
        raw = manifest and request.query.get("format") == "raw"
        if not manifest:
            request.etags = (*request.etags, ETAG)
        if raw or not manifest:
            request.whole = (*request.whole, MANIFEST)
        answer = await go(request)
        if answer.headers.get(MANIFEST, "").lower() not in TRUE:
            return answer
        try:
            if raw and answer.status == 200:
                return await _raw(request, answer, go)
            if not manifest:
                return await self._joined(request, answer, go)
        except BaseException:
            await answer.close()
            raise
        answer.headers["content-type"] = "application/json; charset=utf-8"
        return answer

    async def _joined(self, request: Request, answer: Response, go: Go) -> Response:
        number = _part_number(request)
        headers = answer.headers
        etag, size = headers.pop(ETAG, ""), int(headers.pop(SIZE, "0"))
        headers["x-manifest-etag"], headers["etag"] = headers.get("etag", ""), f'"{etag}"'
        if answer.status != 200:
            return answer
        if request.method == "HEAD" and number is None:
            answer.length = size
            return answer
        parts = await _pieces(await _manifest(request, answer, go))
        if number is not None:
            headers["x-parts-count"] = str(len(parts))
            return await self._part(request, go, parts, number, headers, size)
        status, headers, spans = downloads.part(headers, size, request.headers.get("range"))
        if not spans:
            return answers.refusal(416, headers=headers)
        return await self._sent(request, go, parts, (status, headers, size, spans))

    async def _part(
        self, request: Request, go: Go, parts: Sequence[Piece], number: int, headers: Headers, size: int
    ) -> Response:
        if number > len(parts):
            headers["content-range"] = f"bytes */{size}"
            if request.method == "HEAD":
                return Response(416, headers, length=0)
            return answers.refusal(416, "The requested part number is not satisfiable", headers)
        first = sum(each.length for each in parts[: number - 1])
        last = first + parts[number - 1].length
        headers["content-range"] = f"bytes {first}-{last - 1}/{size}"
        if request.method == "HEAD":
            return Response(206, headers, length=last - first)
        return await self._sent(request, go, parts, (206, headers, size, [(first, last)]))

    async def _sent(
        self,
        request: Request,
        go: Go,
        parts: Sequence[Piece],
        answer: tuple[int, Headers, int, list[tuple[int, int]]],
    ) -> Response:
        joined = Joined(request, go, _Plan(request, go, parts), "SLO")
        try:
            await joined.begin(*answer[3][0])
        except BaseException:
            await joined.close()
            raise
        return downloads.send(*answer, joined.pieces, joined.close)


class _Plan:
    """What lies where in the object, down to what is no such object itself."""

    def __init__(self, request: Request, go: Go, parts: Sequence[Piece]) -> None:
        self._request, self._go, self._parts = request, go, parts
        self._base = "/".join(request.path.split("/", 3)[:3])
        self._known: OrderedDict[str, list[Piece]] = OrderedDict()

    def __call__(self, first: int, last: int | None) -> AsyncGenerator[bytes | Wanted, None]:
        end = sum(part.length for part in self._parts) if last is None else last
        return self._walk(self._parts, first, end, 1)

    async def _walk(
        self, parts: Sequence[Piece], first: int, last: int, depth: int
    ) -> AsyncGenerator[bytes | Wanted, None]:
        begin = 0
        for part in parts:
            low, high = max(first - begin, 0), min(last - begin, part.length)
            begin += part.length
            if low >= high:
                continue
            if part.data is not None:
                yield part.data[low:high]
            elif not part.nested:
                path = self._base + wire(part.name)
                yield Wanted(path, part.first + low, part.first + high, part.etag, part.size)
            else:
                if depth >= segments.DEEPEST:
                    raise Broken("")
                inner = await self._manifest(part)
                async with aclosing(self._walk(inner, part.first + low, part.first + high, depth + 1)) as walk:
                    async for each in walk:
                        yield each
            if begin >= last:
                return

    async def _manifest(self, part: Piece) -> list[Piece]:
        known = self._known.get(part.name)
        if known is not None:
            self._known.move_to_end(part.name)
            return known
        asked = self._request.sub("GET", self._base + wire(part.name), query="multipart-manifest=get", source="SLO")
        answer = await self._go(asked)
        try:
            if not answer.ok or answer.headers.get(MANIFEST, "").lower() not in TRUE:
                raise Broken("")
            known = self._known[part.name] = await aside(segments.pieces, await answer.read())
        except ValueError:
            raise Broken("") from None
        finally:
            await answer.close()
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known


async def _manifest(request: Request, answer: Response, go: Go) -> bytes:
    """The body of an answer, which is asked for where that has only the headers."""
    if request.method != "HEAD":
        return await answer.read()
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    asked = request.sub("GET", headers=headers, query=_version(request), source="SLO")
    found = await go(asked)
    try:
        if not found.ok or MANIFEST not in found.headers:
            raise Unreadable("")
        return await found.read()
    finally:
        await found.close()


async def _raw(request: Request, answer: Response, go: Go) -> Response:
    """The manifest as a client may put it again."""
    try:
        body = await aside(segments.raw, await _manifest(request, answer, go))
    except (ValueError, KeyError):
        raise Unreadable("Unable to load SLO manifest") from None
    headers = answer.headers | {"etag": hashlib.md5(body, usedforsecurity=False).hexdigest()}
    if request.method == "HEAD":
        return Response(200, headers, length=len(body))
    return Response(200, headers, body)


async def _pieces(manifest: bytes) -> list[Piece]:
    try:
        return await aside(segments.pieces, manifest)
    except ValueError:
        raise Unreadable("Unable to load SLO manifest") from None


def _version(request: Request) -> str:
    """Whatever the query says on which version is meant."""
    said = {name: request.query[name] for name in ("version-id",) if name in request.query}
    return urlencode({"multipart-manifest": "get"} | said, encoding="latin-1")


def _part_number(request: Request) -> int | None:
    said = request.query.get("part-number")
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 20 and int(said)):
        raise Invalid("Part number must be an integer greater than 0")
    if request.headers.get("range"):
        raise Invalid("Range requests are not supported with part number queries")
    return int(said)
