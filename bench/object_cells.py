# SPDX-License-Identifier: Apache-2.0
"""What is measured of an object store: bursts of uploads and downloads, one long stream each way, listings."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bench import processes
from bench.object_load import BUFFER, Burst, Line, Refused, burst
from bench.object_servers import Server

CONTAINER, LISTED = "bench", "listed"
LARGE = 1 << 20  # bytes from which on objects are removed again, and the disk is let come to rest
ROWS, FOLDERS = 100_000, 100


@dataclass
class Sample:
    """One turn: CPU seconds of the server's processes, of how many requests, and what the client saw."""

    cpu: float
    count: int
    seconds: float
    p50: float = 0.0
    p99: float = 0.0
    size: int = 0  # bytes of each, where that matters


@dataclass
class Cell:
    """All turns of one kind of work at one server."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """CPU seconds of 1,000 requests: of all turns together, as each has few ticks of the clock."""
        return 1000 * sum(each.cpu for each in self.samples) / sum(each.count for each in self.samples)

    def median(self, name: str) -> float:
        return statistics.median(getattr(each, name) for each in self.samples)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return statistics.median(each.count / each.seconds for each in self.samples)


def measured(server: Server, work: Callable[[], Burst]) -> Sample:
    """Raises Refused where a request failed."""
    before = sum(processes.spent(server.top).values())
    done = work()
    cpu = sum(processes.spent(server.top).values()) - before
    if done.failed:
        raise Refused(f"{server.label}: {done.failed[0]}")
    return Sample(cpu, len(done.each), done.seconds, done.percentile(0.5), done.percentile(0.99))


class Objects:
    """Bursts of one size at one server; each turn has names of its own."""

    def __init__(self, server: Server, size: int) -> None:
        self._server, self._size, self._turn = server, size, 0
        self._body = os.urandom(min(size, LARGE)) * max(1, size // LARGE)
        self._etag = hashlib.md5(self._body, usedforsecurity=False).hexdigest()

    def turn(self, concurrency: int, seconds: float, most: int) -> dict[str, Sample]:
        """A burst of uploads, then of downloads of the same objects, one of which is compared with what was sent."""
        self._turn += 1
        os.sync()
        port = self._server.port
        uploads = measured(self._server, lambda: burst(port, self._put, concurrency, seconds, most))
        os.sync()
        count = uploads.count
        with closing(Line(port)) as line:
            digest = hashlib.md5(usedforsecurity=False)
            line.ask("GET", self._path(0), self._server.headers, digest=digest)
            if digest.hexdigest() != self._etag:
                raise Refused(f"{self._server.label}: what came back is not what was sent")
        downloads = measured(
            self._server,
            lambda: burst(port, lambda line, number: self._get(line, number % count), concurrency, seconds, most),
        )
        if self._size >= LARGE:
            with closing(Line(port)) as line:
                for number in range(count):
                    line.ask("DELETE", self._path(number), self._server.headers)
        return {"PUT": uploads, "GET": downloads}

    def _path(self, number: int) -> str:
        return f"{self._server.base}/{CONTAINER}/{self._size}-{self._turn}-{number:06d}"

    def _put(self, line: Line, number: int) -> None:
        answer = line.ask("PUT", self._path(number), self._server.headers, self._body)
        if answer.status not in (201, 204):
            raise Refused(f"PUT: {answer.status}")

    def _get(self, line: Line, number: int) -> None:
        answer = line.ask("GET", self._path(number), self._server.headers)
        if (answer.status, answer.size) != (200, self._size):
            raise Refused(f"GET: {answer.status}, {answer.size} bytes")


def stream(server: Server, size: int) -> dict[str, Sample]:
    """One object of so many bytes up and down; with `PUT + flush` for a store that does not flush what it takes."""
    body, path, times = os.urandom(BUFFER), f"{server.base}/{CONTAINER}/stream", size // BUFFER
    os.sync()

    def up(line: Line, _: int) -> None:
        answer = line.ask("PUT", path, server.headers, body, times=times)
        if answer.status not in (201, 204):
            raise Refused(f"PUT: {answer.status}")

    def up_and_flush(line: Line, number: int) -> None:
        up(line, number)
        server.flush()

    def down(line: Line, _: int) -> None:
        answer = line.ask("GET", path, server.headers)
        if (answer.status, answer.size) != (200, size):
            raise Refused(f"GET: {answer.status}, {answer.size} bytes")

    found = {}
    steps = {"PUT": up, "GET": down} if server.durable else {"PUT": up, "PUT + flush": up_and_flush, "GET": down}
    for name, work in steps.items():
        found[name] = measured(server, lambda work=work: burst(server.port, work, 1, 0.0, 1))
        if name != "GET":
            os.sync()
            if name == "PUT" and not server.durable:
                _remove(server, path)
    _remove(server, path)
    return found


def _remove(server: Server, path: str) -> None:
    with closing(Line(server.port)) as line:
        line.ask("DELETE", path, server.headers)


def names() -> list[str]:
    return [f"dir{number % FOLDERS:04d}/object{number:08d}" for number in range(ROWS)]


def listings(server: Server) -> dict[str, Sample]:
    """Of a container that has `names`; JSON, in pages of 10,000."""

    def pages(query: str, expected: int) -> Callable[[Line, int], None]:
        def work(line: Line, _: int) -> None:
            marker, count = "", 0
            while True:
                path = f"{server.base}/{LISTED}?format=json&limit=10000&marker={quote(marker, safe='')}{query}"
                rows: list[dict[str, Any]] = json.loads(line.ask("GET", path, server.headers, keep=True).body or b"[]")
                count += len(rows)
                if not rows or "reverse" in query:
                    break
                marker = rows[-1].get("name") or rows[-1]["subdir"]
            if count != expected:
                raise Refused(f"{server.label}: a listing has {count} rows in place of {expected}")

        return work

    asked = {
        "all, in pages of 10,000": ("", ROWS, 1),
        "1,000 with a prefix": ("&prefix=dir0001/", ROWS // FOLDERS, 5),
        "100 folders": ("&delimiter=/", FOLDERS, 5),
        "the last 10,000, reversed": ("&reverse=on", 10_000, 2),
    }
    return {
        title: measured(server, lambda q=query, n=rows, t=times: burst(server.port, pages(q, n), 1, PATIENT, t))
        for title, (query, rows, times) in asked.items()
    }


PATIENT = 600.0


def md5() -> float:
    """CPU seconds that MD5 takes of a GiB here and now."""
    piece, digest = os.urandom(LARGE), hashlib.md5(usedforsecurity=False)
    began = time.thread_time()
    for _ in range(128):
        digest.update(piece)
    return (time.thread_time() - began) * 8


def sizes(words: str) -> list[int]:
    """`1K,64K,16M` in bytes; ValueError."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return [int(word[:-1]) * units[word[-1]] if word[-1:] in units else int(word) for word in words.split(",")]


def written(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"
