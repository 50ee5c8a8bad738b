# SPDX-License-Identifier: Apache-2.0
"""Files that take no room for runs of zeros."""

from __future__ import annotations

import os
from collections.abc import Iterator

BLOCK = 64 * 1024  # bytes: a run of zeros this long is left out of the file
_ZEROS = bytes(BLOCK)


def solid(data: bytes, written: int) -> Iterator[tuple[int, int]]:
    """The parts of `data` that must be written: blocks with anything in them, and all within what is `written` already.

    Zeros may be left out only where nothing has been written yet.
    """
    begun = None
    for start in range(0, len(data), BLOCK):
        size = min(BLOCK, len(data) - start)
        is_hole = start >= written and data.startswith(_ZEROS[:size], start)
        if is_hole and begun is not None:
            yield begun, start
            begun = None
        elif not is_hole and begun is None:
            begun = start
    if begun is not None:
        yield begun, len(data)


def write_all(sink: int, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset` bytes."""
    while view:
        done = os.pwrite(sink, view, offset)
        view, offset = view[done:], offset + done
