# SPDX-License-Identifier: Apache-2.0
"""Reading what a snapshot holds, without its holes."""

from __future__ import annotations

import errno
import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.kernel.run import run

MAP_TIME = 300.0  # seconds that the map of a part may take


class Qcow2Content:
    """`Content` of a qcow2 file at `path`, open as `handle`, that nobody writes to and that stands on no other.

    QEMU says where in the file each extent lies, for the part that was last asked for.
    """

    def __init__(self, path: Path, handle: int, size: int) -> None:
        self._path = path
        self._handle = handle
        self._size = size
        self._known = range(0)
        self._starts: list[int] = []
        self._map: list[tuple[int, int, int]] = []  # offset, length, offset in the file

    @property
    def size(self) -> int:
        return self._size

    def extents(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        self._look(start, length)
        yield from ((offset, extent) for offset, extent, _ in self._map)

    def read(self, offset: int, length: int) -> bytes:
        if not (offset in self._known and offset + length <= self._known.stop):
            self._look(offset, length)
        content = bytearray(length)
        at = max(0, bisect_right(self._starts, offset) - 1)
        for start, extent, place in self._map[at:]:
            if start >= offset + length:
                break
            first, last = max(start, offset), min(start + extent, offset + length)
            if first < last:
                content[first - offset : last - offset] = self._take(place + first - start, last - first)
        return bytes(content)

    def _look(self, start: int, length: int) -> None:
        words = ("--output=json", f"--start-offset={start}", f"--max-length={length}")
        said = json.loads(run(["qemu-img", "map", "-f", "qcow2", *words, self._path], timeout=MAP_TIME).stdout)
        found = []
        for each in said:
            if each["data"] and not each["zero"]:
                if "offset" not in each:
                    raise Conflict(f"{self._path.name} cannot be read in its own form.")
                found.append((int(each["start"]), int(each["length"]), int(each["offset"])))
        self._map = found
        self._starts = [each[0] for each in found]
        self._known = range(start, start + length)

    def _take(self, place: int, length: int) -> bytes:
        # The last cluster of the file may be shorter than it is on the disk that it is of.
        return os.pread(self._handle, length, place).ljust(length, b"\0")


def data(handle: int) -> Iterator[tuple[int, int]]:
    """Offset and length of what is not a hole in an open file."""
    end = 0
    while True:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, end - start
