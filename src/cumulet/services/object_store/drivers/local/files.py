# SPDX-License-Identifier: Apache-2.0
"""The folder of a device: its marker, and files of bodies.

A file is written under the name that it keeps, one that was never used before, and is nothing before a row of the
catalogue names it. So there is nothing to rename, and what is found without a row is left of interrupted work.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cumulet.kernel import faults
from cumulet.services.object_store.drivers.base import INLINE, PIECE, DeviceFull, DeviceGone, Space
from cumulet.services.object_store.types.objects import Address

MARKER = "device.json"
DATA = "data"
SHELVES = tuple(f"{number:02x}" for number in range(256))  # folders of `DATA`, by the last two digits of the hash
FORMAT = 1
LATELY = 0.1  # seconds for which it is believed that a device is still there: to look costs more than a small object
MUCH = 256 << 20  # bytes that small objects do not fill in that time

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FLUSH = 256 << 20  # bytes of one body that may wait to be written by the kernel
_FLUSH_UNCACHED = 32 << 20  # then its pages go: to write into new memory can cost ten times as much as to copy
_BEGIN = 4 << 20  # bytes that the kernel is told to begin to write: by itself it waits, and the disk idles meanwhile


class Marker(msgspec.Struct, frozen=True):
    """What a folder says of itself: the device's name, and the layout of what lies here."""

    id: str
    format: int = FORMAT


def make(root: Path, name: str) -> None:
    """Make the folder a device, or see that it is this one; the folder itself must be there. DeviceGone for another.

    One that comes from a backup has its marker, and those folders alone that had files.
    """
    if not root.is_dir():
        raise DeviceGone(f"{root} is not there.", code="DeviceGone")
    is_made = (root / MARKER).exists()
    if is_made:
        check(root, name)
    data = root / DATA
    for folder in (data, *(data / shelf for shelf in SHELVES)):
        folder.mkdir(exist_ok=True)
    _flush(data)
    if is_made:
        return
    draft = root / f"{MARKER}.new"
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(Marker(name)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(root / MARKER)
    _flush(root)


def check(root: Path, name: str) -> os.stat_result:
    """That the device is there and is the one of that name; its marker. DeviceGone otherwise."""
    try:
        text = (root / MARKER).read_bytes()
        found = msgspec.json.decode(text, type=Marker)
        if found != Marker(name):
            raise DeviceGone(f"{root} is device {found.id} (format {found.format}), not {name}.", code="DeviceGone")
        return (root / MARKER).stat()
    except (OSError, msgspec.DecodeError) as error:
        raise DeviceGone(f"{root} is no device: {error}", code="DeviceGone") from error


def explained(error: OSError) -> DeviceFull | DeviceGone:
    """What the file system says, as the device's error."""
    if error.errno in _FULL:
        return DeviceFull("The device is full.", code="DeviceFull")
    return DeviceGone(f"The device does not answer: {os.strerror(error.errno or 0)}.", code="DeviceGone")


class Files:
    """Bodies in files below `root`.

    `durable` has a file, and its name, flushed before `Draft.seal` returns. `reserve`: bytes of the device that are
    never written to.
    """

    def __init__(self, root: Path, name: str, *, durable: bool, reserve: int) -> None:
        self._root = root
        self._marker = root / MARKER
        self._there = check(root, name)
        self._durable = durable
        self._reserve = reserve
        self._guard = threading.Lock()
        self._under_way: set[str] = set()  # named by no row, or perhaps not yet
        self._seen = 0.0  # when the marker was there
        self._roomy = 0.0  # when there was room for many small objects
        self.fd = os.open(root / DATA, os.O_RDONLY | os.O_DIRECTORY)  # what is mounted over it later is not this device

    def check(self) -> None:
        """DeviceGone if the folder has gone, or something else is in its place."""
        try:
            found = self._marker.stat()
        except OSError as error:
            raise explained(error) from error
        if (found.st_ino, found.st_dev) != (self._there.st_ino, self._there.st_dev):
            raise DeviceGone(f"{self._root} is another device now.", code="DeviceGone")

    def check_lately(self) -> None:
        """As `check`, of a moment ago."""
        now = time.monotonic()
        if now - self._seen > LATELY:
            self.check()
            self._seen = now

    def has_room(self, size: int) -> bool:
        """For a body of `size` bytes, as of a moment ago where there was much room for small ones."""
        now = time.monotonic()
        if size <= INLINE and now - self._roomy <= LATELY:
            return True
        free = self.space().free
        self._roomy = now if free > MUCH else 0.0
        return free > size

    def space(self) -> Space:
        try:
            found = os.fstatvfs(self.fd)
        except OSError as error:
            raise explained(error) from error
        return Space(found.f_blocks * found.f_frsize, max(0, found.f_bavail * found.f_frsize - self._reserve))

    def draft(self, address: Address, size: int | None, *, cached: bool) -> Draft:
        """Begin a file; where its size is known, its room is taken at once. If `cached`, it stays in memory."""
        name = f"{address.hash[-2:]}/{address.policy}-{address.partition}-{address.hash}-{os.urandom(8).hex()}"
        with self._guard:
            self._under_way.add(name)
        try:
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, dir_fd=self.fd)
        except OSError as error:
            self.settled(name)
            raise explained(error) from error
        faults.point("object_device.put:created")
        draft = Draft(self, name, fd, durable=self._durable, cached=cached)
        if size:
            try:
                os.posix_fallocate(fd, 0, size)
            except OSError as error:
                draft.drop()
                raise explained(error) from error
        return draft

    def settled(self, name: str) -> None:
        """A row names it now, or it is gone."""
        with self._guard:
            self._under_way.discard(name)

    def is_under_way(self, name: str) -> bool:
        with self._guard:
            return name in self._under_way

    def open(self, name: str) -> int:
        """For reading; FileNotFoundError where there is none."""
        return os.open(name, os.O_RDONLY, dir_fd=self.fd)

    def remove(self, name: str) -> bool:
        """False where there is none, or the disk fails: a sweep makes up for it."""
        faults.point("object_device.unlink")
        try:
            os.unlink(name, dir_fd=self.fd)
        except OSError:
            return False
        return True

    def walk(self) -> Iterator[tuple[str, int, int, str]]:
        """Each file, and what its name says: policy, partition and hash of its object."""
        for shelf in SHELVES:
            fd = os.open(shelf, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
            try:
                names = os.listdir(fd)  # noqa: PTH208
            finally:
                os.close(fd)
            for name in names:
                parts = name.split("-")
                if len(parts) == 4 and parts[0].isdigit() and parts[1].isdigit() and len(parts[2]) == 32:
                    yield f"{shelf}/{name}", int(parts[0]), int(parts[1]), parts[2]

    def flush_shelf(self, name: str) -> None:
        fd = os.open(name[:2], os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self.fd)


class Draft:
    """A file that is being written, by one thread at a time."""

    def __init__(self, files: Files, name: str, fd: int, *, durable: bool, cached: bool) -> None:
        self._files = files
        self.name = name
        self._fd = fd
        self._durable = durable
        self._cached = cached
        self._most = _FLUSH if cached else _FLUSH_UNCACHED
        self._size = 0
        self._unflushed = 0
        self._unbegun = 0  # bytes at the end that the kernel was not told to write

    def append(self, pieces: list[bytes]) -> None:
        """DeviceFull or DeviceGone leave it for `drop`."""
        try:
            count = sum(map(len, pieces))
            _write(self._fd, pieces)
            self._size += count
            self._unflushed += count
            self._unbegun += count
            if self._durable:
                self._move_on()
        except OSError as error:
            raise explained(error) from error
        faults.point("object_device.put:written")

    def _move_on(self) -> None:
        """Have the disk busy with what is there, so that flushes have little to wait for."""
        if self._unflushed >= self._most:
            os.fdatasync(self._fd)
            self._uncache()
            self._unflushed = self._unbegun = 0
        elif self._unbegun >= _BEGIN:
            _begin_to_write(self._fd, self._size - self._unbegun, self._unbegun)
            self._unbegun = 0

    def seal(self, size: int) -> None:
        """All of `size` bytes are there; from now on it is as safe as a committed row."""
        try:
            if os.fstat(self._fd).st_size != size:
                os.ftruncate(self._fd, size)
            if self._durable:
                os.fsync(self._fd)
                self._files.flush_shelf(self.name)
                self._uncache()
        except OSError as error:
            raise explained(error) from error
        os.close(self._fd)
        self._fd = -1
        faults.point("object_device.put:sealed")

    def _uncache(self) -> None:
        """Of what is flushed."""
        if not self._cached:
            with contextlib.suppress(OSError):  # it is advice
                os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def drop(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        self._files.remove(self.name)
        self._files.settled(self.name)


def read(fd: int, offset: int, length: int) -> bytes:
    """A piece; DeviceGone where the disk fails, or gives none."""
    try:
        data = os.pread(fd, min(length, PIECE), offset)
    except OSError as error:
        raise explained(error) from error
    if not data:
        raise DeviceGone("A body is shorter than it was.", code="DeviceGone")
    return data


_SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = ctypes.CDLL(None).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def _begin_to_write(fd: int, offset: int, length: int) -> None:
    """It promises nothing, and whatever goes wrong is told by the flush."""
    _sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)


def _write(fd: int, pieces: list[bytes]) -> None:
    at = 0
    while at < len(pieces):
        batch = pieces[at : at + 512]
        done = os.writev(fd, batch)
        for piece in batch:
            if done < len(piece):
                pieces[at] = piece[done:]
                break
            done -= len(piece)
            at += 1


def _flush(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
