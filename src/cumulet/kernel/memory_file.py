# SPDX-License-Identifier: Apache-2.0
"""Files that are nowhere but in memory, by which a program is told a secret: its arguments are everybody's to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def holding(content: bytes) -> Iterator[int]:
    """The descriptor of a file with this content, for a program that inherits it and opens `path_of` it."""
    handle = os.memfd_create("secret", os.MFD_CLOEXEC)
    try:
        os.write(handle, content)
        yield handle
    finally:
        os.close(handle)


def path_of(handle: int) -> str:
    """By which the program that has inherited the descriptor opens the file."""
    return f"/proc/self/fd/{handle}"
