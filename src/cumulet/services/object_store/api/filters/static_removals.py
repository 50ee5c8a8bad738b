# SPDX-License-Identifier: Apache-2.0
"""DELETE of a manifest with all that it names."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from functools import partial
from urllib.parse import quote, urlencode

import msgspec

from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.object_store.api import answers, heartbeats, metadata
from cumulet.services.object_store.api.message import TRUE, Go, Request, Response, wire
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.logic import media, reports, segments
from cumulet.services.object_store.logic.reports import Trouble
from cumulet.services.object_store.logic.segments import Entry
from cumulet.services.object_store.types.indexes import Key

_MOST_FAILURES = 1000


class _NoManifest(CumuletError):
    """Why what a manifest names is not known: as it is told in the report."""

    def __init__(self, told: int, words: str) -> None:
        super().__init__(words)
        self.told = told


class _Step(msgspec.Struct):
    """What is to be deleted, or why it is not."""

    name: str
    version: str | None = None
    failed: _NoManifest | None = None


class _Tally(msgspec.Struct):
    deleted: int = 0
    missing: int = 0
    wrong: list[Trouble] = []
    status: int = 400

    def count(self, name: str, answer: Response) -> None:
        if answer.ok:
            self.deleted += 1
        elif answer.status == 404:
            self.missing += 1
        else:
            self.status = 502 if answer.status >= 500 else self.status
            self.wrong.append((quote(name), _status(answer.status)))


class Removal:
    def __init__(self, site: Site, most: int, frequency: float, side_by_side: int, later: bool) -> None:
        self._site, self._most, self._frequency = site, most, frequency
        self._side_by_side, self._later = max(1, side_by_side), later

    async def __call__(self, request: Request, go: Go) -> Response:
        if self._later and request.query.get("async", "").lower() in TRUE:
            return await self._at_once(request, go)
        form = reports.form_of(request.headers.get("accept", ""), "")
        work = partial(self._told, request, go, form)
        pieces = heartbeats.beating(work, self._frequency, at_once=False, separator=b"\r\n\r\n")
        return Response(200, {"content-type": form or answers.HTML}, pieces=pieces)

    async def _told(self, request: Request, go: Go, form: str) -> bytes:
        tally = _Tally()
        status, words = 200, ""
        try:
            if not form:
                status = 406
            else:
                await self._remove(request, go, tally)
        except CumuletError as error:
            status, words = error.status, error.message
        if status == 200 and tally.wrong:
            status = tally.status
        elif status == 200 and not tally.deleted + tally.missing:
            status, words = 400, "Invalid bulk delete."
        said = {
            "Response Status": _status(status),
            "Response Body": words,
            "Number Deleted": tally.deleted,
            "Number Not Found": tally.missing,
        }
        head = b'<?xml version="1.0" encoding="UTF-8"?>\n' if form.endswith("/xml") else b""
        return head + reports.report(form or media.PLAIN, said, tally.wrong, "delete")

    async def _remove(self, request: Request, go: Go, tally: _Tally) -> None:
        batch: list[_Step] = []
        async for step in self._steps(request, go):
            if step.failed is not None:
                if step.failed.told == 404:
                    tally.missing += 1
                else:
                    tally.wrong.append((quote(step.name), step.failed.message))
                continue
            batch.append(step)
            if len(batch) == self._side_by_side:
                await self._delete(request, go, batch, tally)
                batch = []
        await self._delete(request, go, batch, tally)

    async def _delete(self, request: Request, go: Go, batch: list[_Step], tally: _Tally) -> None:
        for step, answer in zip(
            batch, await asyncio.gather(*(_deleted(request, go, step) for step in batch)), strict=True
        ):
            tally.count(step.name, answer)
        if len(tally.wrong) >= _MOST_FAILURES:
            raise Invalid("Max delete failures exceeded")

    async def _steps(self, request: Request, go: Go) -> AsyncGenerator[_Step, None]:
        """Segments first, each manifest behind what it names."""
        whole = _Step(_name(request), request.query.get("version-id"))
        waiting: deque[tuple[_Step, bool]] = deque([(whole, True)])
        while waiting:
            if len(waiting) > self._most * 10:
                raise Invalid("Too many buffered slo segments to delete.")
            step, manifest = waiting.popleft()
            if not manifest:
                yield step
                continue
            try:
                for entry in await _entries(request, go, step):
                    if "data" not in entry:
                        waiting.append((_Step(entry["name"]), bool(entry.get("sub_slo"))))
            except _NoManifest as why:
                step.failed = why
            waiting.append((step, False))

    async def _at_once(self, request: Request, go: Go) -> Response:
        """`async`: the segments go behind the answer, without a report and only if they are simple."""
        step = _Step(_name(request), request.query.get("version-id"))
        try:
            entries = [each for each in await _entries(request, go, step) if "data" not in each]
        except _NoManifest as why:
            return answers.refusal(why.told, why.message)
        homes = list(dict.fromkeys(entry["name"].split("/", 2)[1] for entry in entries))
        if len(homes) > 1:
            named = ", ".join(f'"{quote(each)}"' for each in homes)
            raise Invalid(f"All segments must be in one container. Found segments in {named}")
        if any(entry.get("sub_slo") for entry in entries):
            raise Invalid("No segments may be large objects.")
        account, container, _ = request.names
        for each in dict.fromkeys((container, *homes)) if entries else ():
            info = await self._site.engine.info(Key(account, each))
            await allow(request, metadata.value(info, "x-container-write"))
        names = [Name(account, *entry["name"].split("/", 2)[1:]) for entry in entries]
        await self._site.engine.delete_later(names, request.now())
        return await go(request)


async def _deleted(request: Request, go: Go, step: _Step) -> Response:
    query = "" if step.version is None else urlencode({"version-id": step.version}, encoding="latin-1")
    asked = request.sub("DELETE", _path(request, step.name), query=query, source="SLO")
    answer = await go(asked)
    await answer.close()
    return answer


async def _entries(request: Request, go: Go, step: _Step) -> list[Entry]:
    headers = {"range": "bytes=-1"}  # enough of what is no manifest
    query = {"multipart-manifest": "get"} | ({} if step.version is None else {"version-id": step.version})
    asked = request.sub(
        "GET",
        _path(request, step.name),
        headers=headers,
        query=urlencode(query, encoding="latin-1"),
        source="SLO",
    )
    asked.whole = (segments.MANIFEST,)
    answer = await go(asked)
    try:
        if answer.status == 404:
            raise _NoManifest(404, "SLO manifest not found")
        if answer.status == 401:
            raise _NoManifest(401, "401 Unauthorized")
        if answer.status != 416 and not answer.ok:
            raise _NoManifest(500, "Unable to load SLO manifest or segment.")
        if answer.headers.get(segments.MANIFEST, "").lower() not in TRUE:
            raise _NoManifest(400, "Not an SLO manifest")
        return segments.read(await answer.read())
    except ValueError:
        raise _NoManifest(500, "Unable to load SLO manifest") from None
    finally:
        await answer.close()


def _name(request: Request) -> str:
    return "/" + "/".join(request.names[1:])


def _path(request: Request, name: str) -> str:
    return "/".join(request.path.split("/", 3)[:3]) + wire(name)


def _status(status: int) -> str:
    return f"{status} {answers.reason(status)}"
