# SPDX-License-Identifier: Apache-2.0
"""Image bytes in memory, or in a folder that several processes share: complete, for tests and small images.

LIMITATIONS: each write costs as much as the whole draft; in a folder, nothing is synced to the disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TypeAlias

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import Capabilities, check_name, is_name

_Shelf: TypeAlias = MutableMapping[str, tuple[bytes | bytearray, float]]


class FakeStore:
    """`ByteStore` with room for `room` bytes, in memory where no `folder` is given."""

    def __init__(self, room: int = 1 << 30, folder: Path | None = None) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._drafts: _Shelf = {} if folder is None else _Files(folder / "drafts")
        self._keys: _Shelf = {} if folder is None else _Files(folder / "keys")
        self._address = "fake://" if folder is None else f"fake://{folder}"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=False, durable=False)

    def begin(self, draft: str, key: str) -> None:
        """A draft can be renamed: it need not know."""
        check_name(draft)
        check_name(key)

    def write(self, draft: str, offset: int, data: bytes) -> None:
        with self._lock:
            content = bytearray(self._drafts.get(check_name(draft), (b"", 0.0))[0])
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

    def url(self, key: str) -> str:
        return f"{self._address}/{key}"

    def key_of(self, url: str) -> str | None:
        name = url.removeprefix(f"{self._address}/")
        return name if name != url and is_name(name) else None

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


class _Files(MutableMapping[str, tuple[bytes | bytearray, float]]):
    """A file for each name, with the time of its last change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def __getitem__(self, name: str) -> tuple[bytes | bytearray, float]:
        path = self._folder / name
        try:
            return path.read_bytes(), path.stat().st_mtime
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: tuple[bytes | bytearray, float]) -> None:
        draft = self._folder / f".{name}.{os.getpid()}"
        draft.write_bytes(value[0])
        draft.rename(self._folder / name)

    def __delitem__(self, name: str) -> None:
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.name for path in self._folder.iterdir() if not path.name.startswith(".")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _there(found: tuple[bytes | bytearray, float] | None, name: str) -> bytes | bytearray:
    if found is None:
        raise NotFound(f"There are no bytes of {name}.")
    return found[0]
