# SPDX-License-Identifier: Apache-2.0
"""Image bytes as files in one folder: `<key>`, drafts in `drafts/`."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import Capabilities, check_name, is_name
from cumulet.services.image.drivers.holes import BLOCK as BLOCK
from cumulet.services.image.drivers.holes import solid, write_all

STRETCH = 8 << 20  # bytes that the disk is told to begin with
_SUMS = ".sums"  # no key begins with a dot
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileStore:
    """`ByteStore` on a local folder, or one that all replicas mount."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drafts = folder / "drafts"
        self._drafts.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=True, durable=True)

    def path(self, key: str) -> Path:
        """Where the bytes of `key` are, or would be."""
        return self._folder / check_name(key)

    def begin(self, draft: str, key: str) -> None:
        """A draft can be renamed: it need not know."""
        check_name(draft)
        check_name(key)

    def write(self, draft: str, offset: int, data: bytes) -> None:
        with _room():
            sink = os.open(self._draft(draft), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(sink, fcntl.LOCK_EX)  # else one would cut off what another has just written further on
                end = os.fstat(sink).st_size
                view = memoryview(data)
                for start, stop in solid(data, end - offset):
                    write_all(sink, view[start:stop], offset + start)
                _write_back(sink, offset, offset + len(data))
                if offset + len(data) > os.fstat(sink).st_size:
                    os.ftruncate(sink, offset + len(data))
                os.utime(sink)
            finally:
                os.close(sink)

    def read_draft(self, draft: str, offset: int, length: int) -> bytes:
        return _read(self._draft(draft), draft, offset, length)

    def drafts(self) -> dict[str, float]:
        return _ages(self._drafts)

    def publish(self, draft: str, key: str, size: int) -> None:
        source, target = self._draft(draft), self.path(key)
        try:
            sink = os.open(source, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if target.exists() and target.stat().st_size == size:
                return
            raise NotFound(f"There is no draft {draft}.") from None
        try:
            with _room():
                os.ftruncate(sink, size)
                os.fsync(sink)
        finally:
            os.close(sink)
        source.rename(target)
        _sync(self._folder)
        _sync(self._drafts)

    def discard(self, draft: str) -> None:
        self._draft(draft).unlink(missing_ok=True)

    def adopt(self, path: Path, draft: str) -> bool:
        """Have a file of this disk, which changes no more, as a draft without a copy of it; whether that can be."""
        self.discard(draft)
        try:
            self._draft(draft).hardlink_to(path)
        except OSError:
            return False
        return True

    def size(self, key: str) -> int:
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"There are no bytes of {key}.") from None

    def read(self, key: str, offset: int, length: int) -> bytes:
        return _read(self.path(key), key, offset, length)

    def url(self, key: str) -> str:
        return f"file://{self._folder / key}"

    def key_of(self, url: str) -> str | None:
        start = f"file://{self._folder}/"
        name = url.removeprefix(start)
        return name if url.startswith(start) and is_name(name) else None

    def delete(self, key: str) -> None:
        path = self.path(key)
        try:
            number = path.stat().st_ino
            path.unlink()
        except FileNotFoundError:
            return
        if number not in _numbers(self._folder).values():
            for name, each in _numbers(self._folder / _SUMS).items():
                if each == number:
                    (self._folder / _SUMS / name).unlink(missing_ok=True)

    def share(self, key: str, sha512: str) -> None:
        """Let `key` take no room of its own where other bytes with this sum are here: both are one file then.

        Each name is a reference of the file system's own: what is deleted under one stays under the others.
        """
        path, known = self.path(key), self._folder / _SUMS / check_name(sha512)
        known.parent.mkdir(exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):  # either may be deleted while we look
            try:
                known.hardlink_to(path)
            except FileExistsError:
                if known.stat().st_size == path.stat().st_size and not known.samefile(path):
                    draft = self._draft(f"share.{key}")
                    draft.unlink(missing_ok=True)
                    draft.hardlink_to(known)
                    draft.rename(path)
                    _sync(self._folder)

    def published(self) -> dict[str, float]:
        return _ages(self._folder, moved=True)

    def _draft(self, name: str) -> Path:
        return self._drafts / check_name(name)


def _read(path: Path, name: str, offset: int, length: int) -> bytes:
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"There are no bytes of {name}.") from None
    try:
        return b"".join(_pieces(source, offset, length))
    finally:
        os.close(source)


def _pieces(source: int, offset: int, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := os.pread(source, length, offset)):
        yield piece
        offset, length = offset + len(piece), length - len(piece)


def _write_back(sink: int, start: int, stop: int) -> None:
    """Let the disk begin with each stretch that is full: who waits for all of it at the end then waits less.

    Linux begins to write what it is advised not to keep, and keeps what is not written yet.
    """
    begun, end = start // STRETCH, stop // STRETCH
    if end > begun:
        os.posix_fadvise(sink, begun * STRETCH, (end - begun) * STRETCH, os.POSIX_FADV_DONTNEED)


def _ages(folder: Path, *, moved: bool = False) -> dict[str, float]:
    """Seconds since each file was written, or where it counts when it came here, since it was `moved`."""
    now, found = time.time(), {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it may go while we look
            if path.is_file():
                status = path.stat()
                found[path.name] = max(0.0, now - (max(status.st_mtime, status.st_ctime) if moved else status.st_mtime))
    return found


def _numbers(folder: Path) -> dict[str, int]:
    """The names in a folder, and which file of the file system each of them is."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}
    return {}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(f"Image storage media is full: {os.strerror(error.errno or 0)}") from error
        raise
