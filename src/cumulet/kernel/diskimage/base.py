# SPDX-License-Identifier: Apache-2.0
"""Bytes that nobody trusts, read a bounded piece at a time, and what is said of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from cumulet.kernel.errors import Invalid

BAD_DATA = "BadImageData"

# Offset and length in bytes to at most that many bytes.
Reader = Callable[[int, int], bytes]

SECTOR = 512
LARGEST = (1 << 63) - 1  # bytes: what a database keeps, and more than any disk
BLOCK = 64 << 10  # bytes that are read at once
MOST = 96  # blocks that one image may make us read; the largest honest header takes fewer


class Danger(msgspec.Struct, frozen=True):
    """Why an image is not to be opened: the name of the check that failed, and a sentence."""

    check: str
    says: str


class Found(msgspec.Struct, frozen=True):
    """What the bytes are. `virtual_size` is in bytes, None where the header does not tell."""

    format: str
    virtual_size: int | None = None
    dangers: tuple[Danger, ...] = ()


class CutOff(Exception):
    """The bytes end before the header does."""


class Bytes:
    """The content of an image. Never reads more than `MOST` blocks, whatever offsets a header names."""

    def __init__(self, read: Reader, size: int) -> None:
        self._read = read
        self._blocks: dict[int, bytes] = {}
        self.size = size

    def up_to(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes, fewer at the end. Raises Invalid where the image asks for too much reading."""
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            number, start = divmod(offset, BLOCK)
            block = self._block(number)
            piece = block[start : start + end - offset]
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def exactly(self, offset: int, length: int) -> bytes:
        """`length` bytes; raises CutOff where there are fewer."""
        found = self.up_to(offset, length)
        if len(found) < length:
            raise CutOff
        return found

    def fields(self, layout: str, offset: int) -> tuple[Any, ...]:
        """What `struct` finds at `offset`; raises CutOff."""
        return struct.unpack(layout, self.exactly(offset, struct.calcsize(layout)))

    def number(self, layout: str, offset: int) -> int:
        """One number at `offset`; raises CutOff."""
        return int(self.fields(layout, offset)[0])

    def starts(self, sign: bytes, offset: int = 0) -> bool:
        """Whether these bytes are there."""
        return self.up_to(offset, len(sign)) == sign

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if len(self._blocks) >= MOST:
                raise Invalid("The header of the image is too large.", code=BAD_DATA)
            self._blocks[number] = self._read(number * BLOCK, min(BLOCK, self.size - number * BLOCK))
        return self._blocks[number]
