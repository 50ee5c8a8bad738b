# SPDX-License-Identifier: Apache-2.0
"""One holder at a time: a file that a process keeps locked while it lives, with its process id inside."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AGENT = "agent.lock"  # in the state directory, which has one agent at a time


class Held(Exception):
    """Somebody else has the lock; `owner` is the process id, 0 where it is not known yet."""

    def __init__(self, path: Path, owner: int) -> None:
        super().__init__(f"process {owner or '(unknown)'} holds {path}")
        self.owner = owner


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock at `path` until the block or the process ends. Raises Held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(path, _read(path)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def owner(path: Path) -> int | None:
    """The process that holds the lock at `path` (0 where it has not said its id yet), or None where nobody does."""
    try:
        file = path.open("r")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)
    return None


def _read(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else 0
