# SPDX-License-Identifier: Apache-2.0
"""An initial RAM disk's archive, written without root: files, folders and device nodes in the kernel's `newc` format.

Format: the kernel's documentation, "initramfs buffer format".
"""

from __future__ import annotations

import stat
from pathlib import Path


class Archive:
    """A growing archive in memory; entries belong to root and have no date, so that equal input gives equal bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._inode = 0
        self._folders: set[str] = set()

    def folder(self, name: str) -> None:
        """Add a folder and those above it, once."""
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self._folders:
                self._folders.add(path)
                self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file and the folders above it."""
        if "/" in name:
            self.folder(name.rpartition("/")[0])
        self._entry(name, stat.S_IFREG | mode, content)

    def tree(self, source: Path) -> None:
        """Add every regular file below `source` under its relative path."""
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.file(path.relative_to(source).as_posix(), path.read_bytes(), stat.S_IMODE(path.stat().st_mode))

    def character_device(self, name: str, major: int, minor: int) -> None:
        """Add a device node and the folders above it."""
        self.folder(name.rpartition("/")[0])
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        """The archive with its trailer."""
        self._entry("TRAILER!!!", 0)
        return bytes(self._bytes)

    def _entry(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        numbers = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        self._bytes += b"070701" + b"".join(b"%08x" % number for number in numbers) + encoded
        self._pad()
        self._bytes += content
        self._pad()

    def _pad(self) -> None:
        self._bytes += b"\0" * (-len(self._bytes) % 4)
