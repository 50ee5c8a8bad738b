# SPDX-License-Identifier: Apache-2.0
"""The sums of data on their way, each in a thread of its own beside the writing: hashing does not hold up Python."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import Protocol

import msgspec

AHEAD = 4  # pieces that may wait for a sum: the memory that an upload takes


class Sums(msgspec.Struct, frozen=True):
    """What identifies the data of an image: bytes, and sums in hexadecimal digits."""

    size: int
    md5: str
    sha512: str


class Digest(Protocol):
    """What data are summed by."""

    def update(self, data: bytes, /) -> None: ...


class Summing:
    """Sums pieces as they come: `update` with each in order, then `end` once, or `close` where no more will come.

    Data of one piece are summed at once; for more there is a thread a sum, until the end.
    """

    def __init__(self, *others: Digest | None) -> None:
        """`others` see all the data too, and have seen it when `end` returns."""
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()
        self._digests: list[Digest] = [self._md5, self._sha512, *(each for each in others if each is not None)]
        self._first = b""
        self._lanes: list[_Lane] = []

    def update(self, data: bytes) -> None:
        """Take a piece, which must not change any more; waits where the sums are `AHEAD` pieces behind."""
        if not data:
            return
        self.size += len(data)
        if not self._lanes and not self._first:
            self._first = data
            return
        if not self._lanes:
            self._lanes = [_Lane(digest) for digest in self._digests]
            self._put(self._first)
            self._first = b""
        self._put(data)

    def end(self) -> Sums:
        """The sums of all pieces."""
        if self._lanes:
            self.close()
        else:
            for digest in self._digests:
                digest.update(self._first)
        return Sums(self.size, self._md5.hexdigest(), self._sha512.hexdigest())

    def close(self) -> None:
        """End the threads; nothing happens where there are none."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.put(None)
        for lane in lanes:
            lane.join()

    def _put(self, data: bytes) -> None:
        for lane in self._lanes:
            lane.put(data)


class _Lane:
    """A thread that feeds one digest."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._waiting: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._work, name="sum", daemon=True)
        self._thread.start()
        self.put = self._waiting.put
        self.join = self._thread.join

    def _work(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._digest.update(data)
