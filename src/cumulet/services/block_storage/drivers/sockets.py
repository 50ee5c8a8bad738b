# SPDX-License-Identifier: Apache-2.0
"""How many peers a program serves at a port: by what the kernel knows of its sockets."""

from __future__ import annotations

import contextlib
from pathlib import Path

_ESTABLISHED = "01"


def count(pid: int, port: int) -> int:
    """The TCP connections to the local `port` that the process has open, of both families."""
    inodes = set(_inodes(pid))
    return sum(1 for family in ("tcp", "tcp6") for inode in _established(pid, family, port) if inode in inodes)


def _inodes(pid: int) -> list[str]:
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name = str(handle.readlink())
            if name.startswith("socket:["):
                found.append(name.removeprefix("socket:[").removesuffix("]"))
    return found


def _established(pid: int, family: str, port: int) -> list[str]:
    """The inodes of connections in the process's name space; a line has `place:port` twice, the state, and more."""
    try:
        lines = Path(f"/proc/{pid}/net/{family}").read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:
        return []
    fields = [line.split() for line in lines]
    return [words[9] for words in fields if words[3] == _ESTABLISHED and int(words[1].rpartition(":")[2], 16) == port]
