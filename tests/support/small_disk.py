# SPDX-License-Identifier: Apache-2.0
"""A disk of some MiB that a test can fill, and make room on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 4096


class SmallDisk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self, left: int = 0) -> None:
        """Leave `left` bytes, rounded down to blocks."""
        with self._filling.open("ab", buffering=0) as sink:
            free = os.statvfs(self.path).f_bavail * BLOCK - left // BLOCK * BLOCK
            os.posix_fallocate(sink.fileno(), sink.tell(), free) if free > 0 else None

    def make_room(self) -> None:
        self._filling.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, mib: int) -> Iterator[SmallDisk]:
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "none", path], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
