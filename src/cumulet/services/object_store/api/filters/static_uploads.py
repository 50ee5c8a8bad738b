# SPDX-License-Identifier: Apache-2.0
"""PUT of a manifest: its segments have to be there, and to be what the client says."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from cumulet.kernel.errors import CumuletError, Invalid, NotAllowed, TooLarge
from cumulet.services.object_store.api import answers, heartbeats
from cumulet.services.object_store.api.filters.copying import OVERRIDE
from cumulet.services.object_store.api.message import TRUE, Body, Filter, Go, Request, Response, path_of
from cumulet.services.object_store.api.objects import NoLength
from cumulet.services.object_store.logic import conditions, manifests, reports, segments
from cumulet.services.object_store.logic.manifests import Inline, Segment
from cumulet.services.object_store.logic.reports import Trouble
from cumulet.services.object_store.logic.segments import Entry

T = TypeVar("T")

HOOK = "slo.hook"
"""`Request.extra` may have a Hook under this name: it sees the entries, may change them, and tells what is wrong."""

_QUICK = 64 * 1024  # bytes that are read in about a millisecond
Hook = Callable[[list[Entry]], Sequence[Trouble]]


class Upload:
    """`whole` is the filter that tells of a segment what its readers see."""

    def __init__(self, whole: Filter, most: int, size: int, frequency: float, side_by_side: int) -> None:
        self._whole, self._most, self._size = whole, most, size
        self._frequency, self._side_by_side = frequency, side_by_side

    async def __call__(self, request: Request, go: Go) -> Response:
        entries = await self._entries(request)
        form = reports.form_of(request.headers.get("accept", ""))
        if heartbeats.wanted(request):
            work = partial(self._told, request, go, entries, form)
            pieces = heartbeats.beating(work, self._frequency, separator=b"\r\n\r\n")
            return Response(202, {"content-type": form}, pieces=pieces)
        answer, wrong = await self._store(request, go, entries)
        if wrong:
            return Response(400, {"content-type": form}, reports.report(form, {}, wrong, "upload"))
        return answer

    async def as_kept(self, request: Request, go: Go) -> Response:
        """Store a manifest whose entries another cluster has checked."""
        body = await request.body.read(self._size)
        if body is None:
            raise TooLarge(f"Manifest File > {self._size} bytes")
        said = conditions.bare(request.headers.get("etag", "")).lower()
        if said and said != hashlib.md5(body, usedforsecurity=False).hexdigest():
            return answers.refusal(422)
        try:
            found = await aside(segments.read, body)
            etag, size = segments.etag(found), sum(each.length for each in segments.pieces(body))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Invalid("It is no manifest.\n") from None
        _become_manifest(request, body, etag, size)
        return await go(request)

    async def _entries(self, request: Request) -> list[Segment | Inline]:
        if request.headers.get("x-copy-from"):
            raise NotAllowed("Multipart Manifest PUTs cannot be COPY requests")
        size = request.body.size
        if size is None and not request.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            raise NoLength("")
        body = await request.body.read(self._size) if size is None or size <= self._size else None
        if body is None:
            raise TooLarge(f"Manifest File > {self._size} bytes")
        _, container, name = request.names
        entries = await aside(manifests.parse, body, container, name)
        if sum(isinstance(each, Segment) for each in entries) > self._most:
            raise TooLarge(f"Number of object-backed segments must be <= {self._most}")
        return entries

    async def _told(self, request: Request, go: Go, entries: list[Segment | Inline], form: str) -> bytes:
        try:
            answer, wrong = await self._store(request, go, entries)
        except CumuletError as error:
            answer, wrong = answers.of(error), []
        said = {"Response Status": f"{answer.status} {answers.reason(answer.status)}"}
        if answer.ok:
            said |= {"Etag": answer.headers["etag"], "Last Modified": answer.headers["last-modified"]}
            said["Response Body"] = ""
        else:
            said["Response Body"] = answers.explained(answer.status)
        return reports.report(form, said, wrong, "upload")

    async def _store(
        self, request: Request, go: Go, entries: list[Segment | Inline]
    ) -> tuple[Response, Sequence[Trouble]]:
        """The answer to the PUT, and what is wrong with segments."""
        found, size, wrong = await self._checked(request, go, entries)
        hook: Hook | None = request.extra.get(HOOK)
        if hook is not None and not wrong:
            wrong = [*wrong, *hook(found)]
        if wrong:
            return answers.refusal(400), wrong
        etag = segments.etag(found)
        said = conditions.bare(request.headers.get("etag", ""))
        if said and said != etag:
            return answers.refusal(422), ()
        _become_manifest(request, segments.written(found), etag, size)
        answer = await go(request)
        if answer.ok:
            answer.headers["etag"] = f'"{etag}"'
        return answer, ()

    async def _checked(
        self, request: Request, go: Go, entries: list[Segment | Inline]
    ) -> tuple[list[Entry], int, list[Trouble]]:
        """What is kept of each, how many bytes they are, and what is wrong."""
        names = dict.fromkeys((each.container, each.name) for each in entries if isinstance(each, Segment))
        room = asyncio.Semaphore(self._side_by_side)
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._look(request, go, name, room)) for name in names}
        found: list[Entry] = []
        size, wrong = 0, []
        for index, each in enumerate(entries):
            if isinstance(each, Inline):
                found.append(segments.inline(each))
                size += len(each.data)
                continue
            there = tasks[each.container, each.name].result()
            name = quote(each.path)
            if isinstance(there, str):
                wrong.append((name, there))
                continue
            entry, length, troubles = segments.checked(each, there, last=index == len(entries) - 1)
            found.append(entry)
            size += length
            wrong += [(name, trouble) for trouble in troubles]
        return found, size, wrong

    async def _look(
        self, request: Request, go: Go, name: tuple[str, str], room: asyncio.Semaphore
    ) -> segments.Found | str:
        """What is there, or the status that was told of it."""
        path = path_of(request.names[0], *name, version=request.parts[0])
        async with room:
            try:
                answer = await self._whole(request.sub("HEAD", path, source="SLO"), go)
            except CumuletError as error:
                answer = answers.of(error)
        await answer.close()
        if not answer.ok:
            return f"{answer.status} {answers.reason(answer.status)}"
        headers = answer.headers
        return segments.Found(
            size=answer.length or 0,
            etag=conditions.bare(headers.get("etag", "")),
            content_type=headers.get("content-type", ""),
            modified=conditions.time(headers.get("last-modified")) or 0,
            large=headers.get(segments.MANIFEST, "").lower() in TRUE,
        )


async def aside(work: Callable[..., T], body: bytes, *more: str) -> T:
    """What is made of a manifest, beside the loop where that takes long."""
    if len(body) <= _QUICK:
        return work(body, *more)
    return await asyncio.to_thread(work, body, *more)


def _become_manifest(request: Request, body: bytes, etag: str, size: int) -> None:
    headers = request.headers
    request.body = Body.of(body)
    headers.pop("transfer-encoding", None)
    sum_ = hashlib.md5(body, usedforsecurity=False).hexdigest()
    # Listings have both ETags; what somebody before has put there stays.
    shown, semicolon, more = headers.get(f"{OVERRIDE}etag", "").partition(";")
    headers |= {
        "content-length": str(len(body)),
        "etag": sum_,
        segments.ETAG: etag,
        segments.SIZE: str(size),
        segments.MANIFEST: "True",
        f"{OVERRIDE}etag": f"{shown or sum_}{semicolon}{more}; slo_etag={etag}",
    }
    if not headers.get("content-type"):
        headers["content-type"] = mimetypes.guess_type(request.path)[0] or "application/octet-stream"
