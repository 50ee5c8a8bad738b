# SPDX-License-Identifier: Apache-2.0
"""Many objects by one request: the files of an archive are made (`?extract-archive=tar.gz`), names of a list are
deleted (`?bulk-delete`).

The answer begins before all is done, so it is always 200; what came of it stands in its body.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from cumulet.kernel.errors import CumuletError, Invalid, NotAcceptable, NotFound, TooLarge, Unauthorized
from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.archives import Archive, Broken, Member, Packed
from cumulet.services.object_store.api.message import Body, Go, Gone, Headers, Request, Response, quoted, unquoted, wire
from cumulet.services.object_store.api.objects import NoLength
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import bulk, limits, media

LOG = logging.getLogger("cumulet.objects")

_PACKED: dict[str, Packed] = {"tar": "", "tar.gz": "gz", "tar.bz2": "bz2"}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z\x80-\xff-]+")

Report = Callable[["_Outcome"], Awaitable[None]]


class Bulk:
    """Settings are Swift's. `yield_frequency`: seconds after which the client is sent a blank while it waits."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("bulk")
        self.limits = site.limits
        self.most_containers = int(options.get("max_containers_per_extraction", 10_000))
        self.most_failed = int(options.get("max_failed_extractions", 1000))
        self.most_deletes = int(options.get("max_deletes_per_request", 10_000))
        self.most_failed_deletes = int(options.get("max_failed_deletes", 1000))
        self.at_once = min(1000, max(1, int(options.get("delete_concurrency", 2))))
        self.retries = int(options.get("delete_container_retry_count", 0))
        self.frequency = float(options.get("yield_frequency", 10))
        self.longest = self.limits.max_object_name_length + self.limits.max_container_name_length + 2
        self.info = {
            "bulk_upload": {
                "max_containers_per_extraction": self.most_containers,
                "max_failed_extractions": self.most_failed,
            },
            "bulk_delete": {
                "max_deletes_per_request": self.most_deletes,
                "max_failed_deletes": self.most_failed_deletes,
            },
        }

    async def __call__(self, request: Request, go: Go) -> Response:
        query = request.query if request.query_string else {}
        if request.method == "PUT" and "extract-archive" in query:
            packed = _PACKED.get(query["extract-archive"].lower().strip("."))
            if packed is None:
                raise Invalid("Unsupported archive format")
            return self._answer(request, "extract", _Extraction(self, request, go, packed).run)
        if request.method in ("POST", "DELETE") and "bulk-delete" in query:
            return self._answer(request, "delete", _Deletion(self, request, go).run)
        return await go(request)

    def _answer(self, request: Request, tag: str, run: Report) -> Response:
        try:
            form = media.best_of(request.headers.get("accept", ""))
        except Invalid:
            form = None
        first = b'<?xml version="1.0" encoding="UTF-8"?>\n' if form and form.endswith("/xml") else b" "
        pieces = _beating(partial(_told, form, tag, run), first, self.frequency)
        return Response(200, {"content-type": form or answers.HTML}, pieces=pieces)


class _Outcome:
    """What is told in the end."""

    def __init__(self) -> None:
        self.status = 200
        self.body = ""
        self.counts: dict[str, int] = {}
        self.failed: list[bulk.Failed] = []
        self.worst = 400

    def fail(self, name: str, status: int) -> None:
        if status >= 500:
            self.worst = 502
        self.failed.append((quoted(name), _status(status)))


async def _told(form: str | None, tag: str, run: Report) -> bytes:
    outcome = _Outcome()
    try:
        if form is None:
            raise NotAcceptable("")
        await run(outcome)
    except CumuletError as error:
        outcome.status, outcome.body = error.status, error.message
    except Broken as error:
        outcome.status, outcome.body = 400, f"Invalid Tar File: {error}"
    except Gone:
        raise
    except Exception:
        LOG.exception("A bulk request failed")
        outcome.status = 500
    told: dict[str, Any] = {"Response Status": _status(outcome.status), "Response Body": outcome.body}
    return bulk.report(form, told | outcome.counts, outcome.failed, tag)


async def _beating(
    work: Callable[[], Coroutine[Any, Any, bytes]], blank: bytes, seconds: float
) -> AsyncGenerator[bytes, None]:
    """What `work` returns, and blanks until it does."""
    task = asyncio.ensure_future(work())
    separator = b""
    try:
        while not (await asyncio.wait({task}, timeout=seconds))[0]:
            yield blank
            blank, separator = b" ", b"\r\n\r\n"
        yield separator + task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


class _Extraction:
    def __init__(self, settings: Bulk, request: Request, go: Go, packed: Packed) -> None:
        self._settings, self._request, self._go, self._packed = settings, request, go, packed
        self._containers: set[str] = set()
        self._made = 0

    async def run(self, outcome: _Outcome) -> None:
        outcome.status, outcome.counts["Number Files Created"] = 201, 0
        _check_length(self._request)
        version, account, rest = _place(self._request)
        base = rest.rstrip("/")
        archive = Archive(self._request.body, self._packed)
        while len(outcome.failed) < self._settings.most_failed and (member := await archive.member()) is not None:
            if not member.regular:
                continue
            name = member.name.removeprefix("./").lstrip("/")
            path = f"{base}/{name}" if base else name
            if "/" in path:
                await self._make(outcome, archive, member, f"/{version}/{account}/", path)
        if outcome.failed:
            outcome.status = outcome.worst
        elif not outcome.counts["Number Files Created"]:
            outcome.status, outcome.body = 400, "Invalid Tar File: No Valid Files"

    async def _make(self, outcome: _Outcome, archive: Archive, member: Member, root: str, path: str) -> None:
        settings, shown = self._settings, path[: self._settings.longest]
        refused = 0
        if not limits.is_text(root + path):
            refused = 412
        elif member.size > settings.limits.max_file_size:
            refused = 413
        headers = self._headers(member)
        if member.holes or headers is None:
            refused = refused or 400
        if refused or headers is None:
            outcome.fail(shown, refused)
            return
        container = path.partition("/")[0]
        no_container = 0
        if container not in self._containers:
            no_container = await self._make_container(root + container)
        self._containers.add(container)
        answer = await self._put(archive, member, root + path, headers)
        if answer.ok:
            outcome.counts["Number Files Created"] += 1
            return
        if no_container:
            outcome.failed.append((quoted((root + container)[: settings.longest]), _status(no_container)))
        outcome.fail(shown, answer.status)
        if answer.status == 401:
            raise Unauthorized("")

    async def _put(self, archive: Archive, member: Member, path: str, headers: Headers) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            while data := await archive.data():
                yield data

        made = self._request.sub(
            "PUT", path, headers=self._own() | headers, body=Body(pieces(), member.size), source="EA"
        )
        answer = await self._go(made)
        await answer.close()
        return answer

    async def _make_container(self, path: str) -> int:
        """The status where there is none and none can be made: objects may be allowed all the same."""
        asked = self._request.sub("HEAD", path, headers=self._own(), source="EA")
        answer = await self._go(asked)
        await answer.close()
        if answer.status == 404:
            answer = await self._go(self._request.sub("PUT", path, headers=self._own(), source="EA"))
            await answer.close()
            if answer.ok:
                self._made += 1
                if self._made > self._settings.most_containers:
                    raise Invalid(f"More than {self._settings.most_containers} containers to create from tar.")
        if answer.status == 401:
            raise Unauthorized("")
        return 0 if answer.ok else answer.status

    def _headers(self, member: Member) -> Headers | None:
        """Of the object; None where an attribute of the file cannot be one."""
        found: Headers = {"content-length": str(member.size)}
        for name, value in self._request.headers.items():
            if name in ("x-delete-at", "x-delete-after") or name.startswith("x-object-meta-"):
                found[name] = value
        for attribute, words in member.attributes.items():
            header = bulk.header_of(attribute)
            if header is None:
                continue
            try:
                name, value = wire(header), wire(words)
            except UnicodeError:
                return None
            if not _HEADER.fullmatch(name) or any(ord(each) < 32 or ord(each) == 127 for each in value):
                return None
            found[name] = value
        return found

    def _own(self) -> Headers:
        return _own(self._request)


class _Deletion:
    def __init__(self, settings: Bulk, request: Request, go: Go) -> None:
        self._settings, self._request, self._go = settings, request, go

    async def run(self, outcome: _Outcome) -> None:
        outcome.counts = {"Number Deleted": 0, "Number Not Found": 0}
        version, account, _ = _place(self._request)
        kind = self._request.headers.get("content-type", "")
        if kind and not kind.startswith("text/plain"):
            raise NotAcceptable("")
        names = [each for each in await self._names() if each]
        root = f"/{version}/{account}/"
        for first in (True, False):  # containers come last: they have to be empty by then
            await self._delete(outcome, root, (each for each in names if ("/" in each.strip("/")) is first))
        if outcome.failed:
            outcome.status = outcome.worst
        elif not any(outcome.counts.values()):
            outcome.status, outcome.body = 400, "Invalid bulk delete."

    async def _names(self) -> list[str]:
        """One a line, with percent signs."""
        _check_length(self._request)
        most, found, line = self._settings.most_deletes, [], b""
        async for piece in self._request.body:
            *lines, line = (line + piece).split(b"\n")
            found += [_name(each) for each in lines]
            if len(found) > most:
                break
            if len(line) > 2 * self._settings.longest:
                raise Invalid("Invalid File Name")
        if line and (last := _name(line)):
            found.append(last)
        if len(found) > most:
            raise TooLarge(f"Maximum Bulk Deletes: {most} per request")
        return found

    async def _delete(self, outcome: _Outcome, root: str, names: Iterator[str]) -> None:
        """Some at once."""

        async def work() -> None:
            for name in names:
                if len(outcome.failed) >= self._settings.most_failed_deletes:
                    return
                await self._one(outcome, root, name)

        workers = [asyncio.ensure_future(work()) for _ in range(self._settings.at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for each in workers:
                each.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if len(outcome.failed) >= self._settings.most_failed_deletes:
            raise Invalid("Max delete failures exceeded")

    async def _one(self, outcome: _Outcome, root: str, name: str) -> None:
        path = root + name.lstrip("/")
        if not limits.is_text(path):
            outcome.fail(name, 412)
            return
        for attempt in range(self._settings.retries + 1):
            if attempt:
                await asyncio.sleep(1.5**attempt)
            answer = await self._go(self._request.sub("DELETE", path, headers=_own(self._request), source="BD"))
            await answer.close()
            if answer.status != 409:
                break
        if answer.ok:
            outcome.counts["Number Deleted"] += 1
        elif answer.status == 404:
            outcome.counts["Number Not Found"] += 1
        else:
            outcome.fail(name, answer.status)


def _own(request: Request) -> Headers:
    """What other requests of the same caller carry."""
    kept = ("x-auth-token", "x-service-token", "referer", "origin")
    return {name: request.headers[name] for name in kept if name in request.headers}


def _place(request: Request) -> tuple[str, str, str]:
    """Version, account and what stands behind them."""
    version, account, *rest = [*request.path.split("/", 3)[1:], ""]
    if not version or not account:
        raise NotFound("")
    return version, account, rest[0]


def _check_length(request: Request) -> None:
    if request.body.size is None and request.headers.get("transfer-encoding", "").lower() != "chunked":
        raise NoLength("")


def _name(line: bytes) -> str:
    return unquoted(line.strip().decode("latin-1"))


def _status(status: int) -> str:
    return f"{status} {answers.reason(status)}"
