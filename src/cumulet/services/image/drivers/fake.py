# SPDX-License-Identifier: Apache-2.0
"""Image bytes in memory: complete, for tests that need no disk."""

from __future__ import annotations

import threading
import time

from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import Capabilities, StorageFull, check_name


class FakeStore:
    """`ByteStore` in memory, with room for `room` bytes."""

    def __init__(self, room: int = 1 << 30) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._drafts: dict[str, tuple[bytearray, float]] = {}
        self._keys: dict[str, tuple[bytes, float]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=False, durable=False)

    def write(self, draft: str, offset: int, data: bytes) -> None:
        with self._lock:
            content, _ = self._drafts.get(check_name(draft), (bytearray(), 0.0))
            self._grow(content, offset + len(data))
            content[offset : offset + len(data)] = data
            self._drafts[draft] = (content, time.time())

    def read_draft(self, draft: str, offset: int, length: int) -> bytes:
        with self._lock:
            return bytes(_there(self._drafts.get(check_name(draft)), draft)[offset : offset + length])

    def drafts(self) -> dict[str, float]:
        with self._lock:
            return {name: time.time() - when for name, (_, when) in self._drafts.items()}

    def publish(self, draft: str, key: str, size: int) -> None:
        check_name(key)
        with self._lock:
            there = self._drafts.get(check_name(draft))
            if there is None and len(self._keys.get(key, (b"", 0.0))[0]) == size and key in self._keys:
                return
            content = bytearray(_there(there, draft))
            self._grow(content, size)
            self._keys[key] = (bytes(content[:size]), time.time())
            del self._drafts[draft]

    def discard(self, draft: str) -> None:
        with self._lock:
            self._drafts.pop(check_name(draft), None)

    def size(self, key: str) -> int:
        with self._lock:
            return len(_there(self._keys.get(check_name(key)), key))

    def read(self, key: str, offset: int, length: int) -> bytes:
        with self._lock:
            return bytes(_there(self._keys.get(check_name(key)), key)[offset : offset + length])

    def delete(self, key: str) -> None:
        with self._lock:
            self._keys.pop(check_name(key), None)

    def published(self) -> dict[str, float]:
        with self._lock:
            return {name: time.time() - when for name, (_, when) in self._keys.items()}

    def _grow(self, content: bytearray, size: int) -> None:
        used = sum(len(each) for each, _ in (*self._drafts.values(), *self._keys.values()))
        more = size - len(content)
        if more > 0:
            if used + more > self._room:
                raise StorageFull("Image storage media is full: no room is left in memory")
            content.extend(bytes(more))


def _there(found: tuple[bytes | bytearray, float] | None, name: str) -> bytes | bytearray:
    if found is None:
        raise NotFound(f"There are no bytes of {name}.")
    return found[0]
