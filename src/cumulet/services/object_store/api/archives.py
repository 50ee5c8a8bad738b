# SPDX-License-Identifier: Apache-2.0
"""Archives of `tar`, packed or not, read as they come: never more of one in memory than a piece."""

from __future__ import annotations

import asyncio
import bz2
import tarfile
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, Literal, NamedTuple

Packed = Literal["", "gz", "bz2"]

PIECE = 1 << 18
HEADERS = 1 << 20  # bytes that the extended header of a member may have

_BLOCK = 512
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)


class Broken(Exception):
    """What came is no such archive, or not all of one."""


class Member(NamedTuple):
    """`name` has a character for each byte; `attributes` are those of the extended header, as text.

    `holes`: the bytes that follow are not the file's own, for some are left out.
    """

    name: str
    size: int
    regular: bool
    holes: bool
    attributes: Mapping[str, str]


class Archive:
    """Its members, one after the other; of each the data, piece by piece."""

    def __init__(self, pieces: AsyncIterable[bytes], packed: Packed = "") -> None:
        self._pieces = _unpacked(aiter(pieces), packed) if packed else aiter(pieces)
        self._buffer = b""
        self._left = self._padding = 0
        self._common: dict[str, str] = {}
        self._first = True

    async def member(self) -> Member | None:
        """The next one, None behind the last; what was not read of the one before is passed over."""
        while await self.data():
            pass
        await self._exactly(self._padding)
        self._padding = 0
        attributes, long_name = dict(self._common), ""
        while (info := await self._header()) is not None:
            if info.type in _EXTENDED:
                attributes |= _attributes(await self._small(info.size))
            elif info.type == tarfile.XGLTYPE:
                self._common |= _attributes(await self._small(info.size))
                attributes = self._common | attributes
            elif info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                found = (await self._small(info.size)).partition(b"\0")[0].decode("latin-1")
                long_name = found if info.type == tarfile.GNUTYPE_LONGNAME else long_name
            else:
                return self._found(info, attributes, long_name)
        return None

    async def data(self) -> bytes:
        """The next piece of this member, b"" at its end."""
        if not self._left:
            return b""
        piece = await self._some(min(self._left, PIECE))
        if not piece:
            raise Broken("unexpected end of data")
        self._left -= len(piece)
        return piece

    def _found(self, info: tarfile.TarInfo, attributes: dict[str, str], long_name: str) -> Member:
        try:
            size = int(attributes.get("size", info.size))
        except ValueError:
            size = -1
        if size < 0:
            raise Broken("invalid header")
        regular = info.isreg()
        if regular or info.type not in tarfile.SUPPORTED_TYPES:
            self._left, self._padding = size, -size % _BLOCK
        name = long_name or _wire(info.name)
        if "path" in attributes:
            name = _wire(attributes["path"])
        holes = info.type == tarfile.GNUTYPE_SPARSE or any(each.startswith("GNU.sparse.") for each in attributes)
        return Member(name, size, regular, holes, attributes)

    async def _header(self) -> tarfile.TarInfo | None:
        block = await self._block()
        if not block:
            if self._first:
                raise Broken("empty file")
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except (tarfile.HeaderError, ValueError) as error:
            raise Broken(str(error)) from None
        self._first = False
        more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
        while more:
            more = (await self._exactly(_BLOCK))[504]
        return info

    async def _block(self) -> bytes:
        found = b""
        while len(found) < _BLOCK and (piece := await self._some(_BLOCK - len(found))):
            found += piece
        return found

    async def _small(self, size: int) -> bytes:
        """The data of a header, and what fills its last block."""
        if not 0 <= size <= HEADERS:
            raise Broken("invalid header")
        found = await self._exactly(size)
        await self._exactly(-size % _BLOCK)
        return found

    async def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            piece = await self._some(size)
            if not piece:
                raise Broken("unexpected end of data")
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)

    async def _some(self, most: int) -> bytes:
        if not self._buffer:
            self._buffer = await anext(self._pieces, b"")
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece


async def _unpacked(pieces: AsyncIterator[bytes], packed: Packed) -> AsyncIterator[bytes]:
    unpacker = _Unpacker(packed)
    async for piece in pieces:
        unpacker.waiting += piece
        while data := await asyncio.to_thread(unpacker.take):
            yield data
    if not unpacker.ended:
        raise Broken("unexpected end of data")


class _Unpacker:
    """Streams that were packed, one behind the other; `waiting` is what still has to be unpacked."""

    def __init__(self, packed: Packed) -> None:
        self.waiting = b""
        self._packed = packed
        self._fed = self._begun = False
        self._stream: Any = self._new()

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof) or not self._fed

    def take(self) -> bytes:
        """A bounded piece; nothing where more has to come first."""
        self._fed = True
        while True:
            if self._stream.eof:
                self.waiting = self.waiting.lstrip(b"\0")
                if not self.waiting:
                    return b""
                self._stream = self._new()
            try:
                data: bytes = self._stream.decompress(self.waiting, PIECE)
            except (zlib.error, OSError):
                raise Broken("invalid compressed data" if self._begun else f"not a {self._packed} file") from None
            self.waiting = self._stream.unused_data or getattr(self._stream, "unconsumed_tail", b"")
            self._begun = self._begun or bool(data)
            if data or not self.waiting:
                return data

    def _new(self) -> Any:
        return zlib.decompressobj(31) if self._packed == "gz" else bz2.BZ2Decompressor()


def _attributes(data: bytes) -> dict[str, str]:
    """Records `length key=value` of an extended header."""
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        digits, space, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 9 else 0
        if not space or length <= len(digits) or data[length - 1 : length] != b"\n":
            raise Broken("invalid header")
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[_text(key)] = _text(value)
        data = data[length:]
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _wire(words: str) -> str:
    return words.encode("utf-8", "surrogateescape").decode("latin-1")
