# SPDX-License-Identifier: Apache-2.0
"""A client of object stores that costs little itself: HTTP/1.1 on plain sockets, a thread for each connection."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

BUFFER = 1 << 20  # bytes that are sent or received at once
PATIENCE = 300.0  # seconds


class Refused(Exception):
    """An answer that is none of those that were hoped for."""


class Answer:
    """`size` is how many bytes its body had; the body itself is there where it was to be kept."""

    def __init__(self, status: int, headers: Mapping[str, str], size: int, body: bytes) -> None:
        self.status, self.headers, self.size, self.body = status, headers, size, body


class Line:
    """A connection that is kept. Raises OSError."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(BUFFER))

    def close(self) -> None:
        self._socket.close()

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        times: int = 1,
        keep: bool = False,
        digest: hashlib._Hash | None = None,
    ) -> Answer:
        """`body` is sent so many `times`. What comes is for the `digest`, and is kept only if it is to be."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {text}" for name, text in headers.items())]
        if method in ("PUT", "POST"):
            lines.append(f"Content-Length: {len(body) * times}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if times == 1 and len(body) < BUFFER:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            for _ in range(times):
                self._socket.sendall(body)
        return self._answer(method, keep, digest)

    def _answer(self, method: str, keep: bool, digest: hashlib._Hash | None) -> Answer:
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            more = self._socket.recv(1 << 16)
            if not more:
                raise ConnectionResetError("the server hung up")
            got += more
        status, *lines = got[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        first, length = got[end + 4 :], int(headers.get("content-length", "0"))
        if method == "HEAD" or status.split()[1] in ("204", "304"):
            length = 0
        parts = [first] if keep else []
        if digest is not None:
            digest.update(first)
        left = length - len(first)
        while left > 0:
            count = self._socket.recv_into(self._buffer, min(left, BUFFER))
            if not count:
                raise ConnectionResetError("the server hung up in the middle of a body")
            if keep:
                parts.append(bytes(self._buffer[:count]))
            if digest is not None:
                digest.update(self._buffer[:count])
            left -= count
        return Answer(int(status.split()[1]), headers, length, b"".join(parts))


@dataclass
class Burst:
    """What was done for a while: seconds on the clock, and of each request; what failed is told."""

    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.each) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        found = sorted(self.each)
        return found[min(len(found) - 1, int(len(found) * share))] * 1000


Work = Callable[[Line, int], None]


def burst(port: int, work: Work, concurrency: int, seconds: float, most: int) -> Burst:
    """`work(line, number)` on so many connections at once until the time is over or `most` is reached, and once each
    at least. A connection whose work fails ends there."""
    found = Burst()
    numbers = _numbers(most)
    guard = threading.Lock()
    start = threading.Barrier(concurrency + 1)
    end = [0.0]

    def one() -> None:
        own: list[float] = []
        with closing(Line(port)) as line:
            start.wait()
            try:
                while (number := next(numbers, None)) is not None:
                    began = time.perf_counter()
                    work(line, number)
                    ended = time.perf_counter()
                    own.append(ended - began)
                    if ended > end[0]:
                        break
            except (OSError, Refused) as error:
                with guard:
                    found.failed.append(f"{type(error).__name__}: {error}")
        with guard:
            found.each += own

    threads = [threading.Thread(target=one, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    end[0] = began + seconds
    start.wait(PATIENCE)
    for thread in threads:
        thread.join()
    found.seconds = time.perf_counter() - began
    return found


def _numbers(most: int) -> Iterator[int]:
    """As `range`, for several threads."""
    return iter(range(most))
