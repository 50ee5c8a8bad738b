# SPDX-License-Identifier: Apache-2.0
"""The serial console's log: its tail, and its rotation under a QEMU that keeps the file open."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT = 1 << 20  # bytes in the current file before it is rotated; one older file is kept


def tail(log: Path, lines: int | None) -> bytes:
    """The last `lines` lines of the current and the older file, or all of both."""
    text = b"".join(path.read_bytes() for path in (_older(log), log) if path.exists())
    if lines is None or lines < 0:
        return text
    if lines == 0:
        return b""
    return b"".join(text.splitlines(keepends=True)[-lines:])


def rotate(log: Path, limit: int = LIMIT) -> None:
    """Move a log that is beyond `limit` bytes aside.

    QEMU appends, so that the file is copied and cut to nothing; what the guest writes in between is lost.
    """
    try:
        if log.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(log, _older(log))
    os.truncate(log, 0)


def _older(log: Path) -> Path:
    return log.with_name(log.name + ".1")
