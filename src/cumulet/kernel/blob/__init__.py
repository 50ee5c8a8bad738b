# SPDX-License-Identifier: Apache-2.0
"""Named bytes, each put whole and at once, kept in a folder, a bucket or an account: what backups are stored in.

A name is segments of letters, digits, dots, dashes and underscores with slashes between them. What is not there is
`kernel.errors.NotFound`, a store that does not answer NotReady, one without room StorageFull.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Protocol

from cumulet.kernel.errors import TooLarge

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class StorageFull(TooLarge):
    """There is no room for more bytes."""


class Blobs(Protocol):
    """A store of named bytes. Every method may be called from any thread, and may block."""

    def home(self, container: str) -> str:
        """The first segment of the names of all that is kept in `container`, which may be any text."""

    def put(self, name: str, content: bytes) -> None:
        """Keep `content`, durably, in the place of whatever has the name: nobody ever reads a part of it."""

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes (None: all) from `offset` on, fewer at the end."""

    def names(self, below: str) -> Iterator[str]:
        """Every name that begins with `below` and a slash, in no order."""

    def delete(self, name: str) -> None:
        """Remove one; nothing happens where there is none."""

    def delete_all(self, below: str) -> None:
        """Remove whatever `names` lists, and what interrupted work has left there."""

    def tidy(self, below: str) -> None:
        """Remove what interrupted work has left there; called while nobody puts anything there."""


def is_segment(text: str) -> bool:
    """Whether it is a plain name, that can mean nothing else."""
    return _NAME.fullmatch(text) is not None


def home_of(container: str) -> str:
    """`container` itself where it can be a name, else one that is made of it."""
    if is_segment(container):
        return container
    return f"container-{hashlib.sha256(container.encode()).hexdigest()}"


def check(name: str) -> str:
    """`name` itself; ValueError where a segment of it could mean anything but a plain name."""
    if not all(is_segment(each) for each in name.split("/")):
        raise ValueError(f"not a name in a store: {name!r}")
    return name
