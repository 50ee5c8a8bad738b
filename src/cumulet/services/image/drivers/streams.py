# SPDX-License-Identifier: Apache-2.0
"""Bytes of far servers, read from open answers: who reads on where the last piece ended causes no new request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from cumulet.kernel.errors import NotReady

MOST = 32  # answers that are kept open
IDLE = 30.0  # seconds that an answer nobody reads on stays open


class Body(Protocol):
    """What is left of an answer."""

    def read(self, length: int) -> bytes:
        """The next bytes, fewer than `length` at the end alone; NotReady where the answer breaks off."""

    def close(self) -> None: ...


class Nothing:
    """A body without bytes: what is behind the end of everything."""

    def read(self, length: int) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is held."""


class _Open:
    """An answer that has been read up to `offset`."""

    def __init__(self, key: str, offset: int, body: Body) -> None:
        self.key = key
        self.offset = offset
        self.body = body
        self.since = time.monotonic()


class Streams:
    """Open answers of one server, made by `begin(key, offset)`, each used by one thread at a time."""

    def __init__(self, begin: Callable[[str, int], Body]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._idle: list[_Open] = []

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes of `key` from `offset` on, fewer at its end; an answer that breaks off is asked anew."""
        if length <= 0:
            return b""
        found = self._take(key, offset)
        if found is not None:
            try:
                return self._read(found, length)
            except NotReady:
                found.body.close()  # it may only have been idle for too long
        found = _Open(key, offset, self._begin(key, offset))
        try:
            return self._read(found, length)
        except BaseException:
            found.body.close()
            raise

    def forget(self, key: str) -> None:
        """Close what is open of `key`: other bytes may come to that name."""
        with self._lock:
            gone = [each for each in self._idle if each.key == key]
            self._idle = [each for each in self._idle if each.key != key]
        for each in gone:
            each.body.close()

    def _read(self, found: _Open, length: int) -> bytes:
        pieces = []
        while length > 0 and (piece := found.body.read(length)):
            pieces.append(piece)
            length -= len(piece)
        data = b"".join(pieces)
        if length > 0:
            found.body.close()
        else:
            found.offset += len(data)
            self._keep(found)
        return data

    def _take(self, key: str, offset: int) -> _Open | None:
        with self._lock:
            for each in self._idle:
                if (each.key, each.offset) == (key, offset):
                    self._idle.remove(each)
                    return each
        return None

    def _keep(self, found: _Open) -> None:
        found.since = now = time.monotonic()
        with self._lock:
            self._idle.append(found)
            old = [each for each in self._idle if now - each.since > IDLE]
            old += [each for each in self._idle if each not in old][: max(0, len(self._idle) - len(old) - MOST)]
            self._idle = [each for each in self._idle if each not in old]
        for each in old:
            each.body.close()
