# SPDX-License-Identifier: Apache-2.0
"""Read what is there, and tell what is not what it was: bits rot."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3

import msgspec

from cumulet.services.object_store.drivers.base import PIECE
from cumulet.services.object_store.drivers.local import catalogue_reads as reads
from cumulet.services.object_store.drivers.local.catalogue_rows import Body
from cumulet.services.object_store.drivers.local.files import Files
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Entry


class Damage(msgspec.Struct, frozen=True):
    entry: Entry
    reason: str


class Pass(msgspec.Struct, frozen=True):
    """`next`: the row to go on behind, 0 at the end."""

    next: int
    entries: int
    bytes: int
    damaged: tuple[Damage, ...]


def walk(say: sqlite3.Connection, files: Files, after: int, size: int) -> Pass:
    """About `size` bytes of bodies, from behind the row `after` on; blocks."""
    count = done = 0
    damaged: list[Damage] = []
    while done < size:
        found = reads.following(say, after)
        if found is None:
            return Pass(0, count, done, tuple(damaged))
        after, sum_, entry, body = found
        reason = "" if objects.digest(entry.address.hash, entry.version) == sum_ else "its row is damaged"
        reason = reason or _judge(files, entry, body)
        if reason:
            damaged.append(Damage(entry, reason))
        count += 1
        done += entry.version.size + 4096  # what the row itself takes: empty objects come to an end too
    return Pass(after, count, done, tuple(damaged))


def _judge(files: Files, entry: Entry, body: Body) -> str:
    """What is wrong with a body; nothing where it has been replaced meanwhile (the caller's quarantine sees that)."""
    if body.file is None:
        inline = body.inline or b""
        sum_, size = hashlib.md5(inline, usedforsecurity=False).hexdigest(), len(inline)
    else:
        try:
            sum_, size = _read(files, body.file)
        except FileNotFoundError:
            files.check()
            return "its file is missing"
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return "its file cannot be read"
    if size != entry.version.size:
        return f"it has {size} bytes in place of {entry.version.size}"
    return "" if sum_ == entry.version.etag else f"its MD5 is {sum_}"


def _read(files: Files, name: str) -> tuple[str, int]:
    sum_, size = hashlib.md5(usedforsecurity=False), 0
    fd = files.open(name)
    try:
        while piece := os.read(fd, PIECE):
            sum_.update(piece)
            size += len(piece)
    finally:
        os.close(fd)
    return sum_.hexdigest(), size
