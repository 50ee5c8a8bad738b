# SPDX-License-Identifier: Apache-2.0
"""File systems on a server's new disks, made in sparse files: nothing is mounted, and nobody need be root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict
from cumulet.kernel.run import Arg

_TIME = 600.0  # seconds for a very large disk


@contextmanager
def formatted(path: Path, size: int, filesystem: str, label: str) -> Iterator[Path]:
    """A sparse raw disk of `size` bytes at `path` with a file system (ext2, ext3, ext4, vfat) or swap space.

    The file is removed in the end. Raises Conflict where the disk cannot be formatted so, such as one too small.
    """
    path.unlink(missing_ok=True)
    try:
        with path.open("wb") as disk:
            disk.truncate(size)
        try:
            run.run(_words(path, filesystem, label), timeout=_TIME)
        except run.CommandFailed as error:
            raise Conflict(f"Disk {label} cannot be formatted as {filesystem}: {error.output}") from error
        yield path
    finally:
        path.unlink(missing_ok=True)


def _words(path: Path, filesystem: str, label: str) -> list[Arg]:
    if filesystem == "swap":
        return ["mkswap", "-L", label, path]
    if filesystem == "vfat":
        return ["mkfs.vfat", "-n", label, path]
    # What the guest's kernel can initialize later is left to it.
    return ["mke2fs", "-q", "-F", "-t", filesystem, "-L", label, "-E", "lazy_itable_init=1,nodiscard", path]
