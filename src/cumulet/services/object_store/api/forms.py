# SPDX-License-Identifier: Apache-2.0
"""Forms as browsers send them (`multipart/form-data`, RFC 7578), read as they come."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Mapping
from typing import NamedTuple

HEADERS = 1 << 16  # bytes that the headers of a part may have

_ATTRIBUTES = re.compile(r'(\w+)=(".*?"|[^";]+)(; ?|$)')


class Malformed(Exception):
    """What came is no form."""


class Part(NamedTuple):
    """Headers by their names in lower case; `attributes` are those of its disposition, a kind like `form-data`."""

    headers: Mapping[str, str]
    disposition: str
    attributes: Mapping[str, str]


class Form:
    """The parts of a body, one after the other; of each the data, piece by piece."""

    def __init__(self, pieces: AsyncIterable[bytes], boundary: str) -> None:
        self._pieces = aiter(pieces)
        self._line = b"--" + boundary.encode("latin-1")
        self._boundary = b"\r\n" + self._line
        self._buffer = b""
        self._begun = self._inside = self._ended = False

    async def part(self) -> Part | None:
        """The next one, None behind the last; what was not read of the one before is passed over."""
        if not self._begun:
            await self._begin()
        while self._inside:
            await self.data()
        if self._ended:
            return None
        self._inside = True
        return _part(await self._headers())

    async def data(self) -> bytes:
        """The next piece of this part, b"" at its end."""
        if not self._inside:
            return b""
        while True:
            found = self._buffer.find(self._boundary)
            if found >= 0 and len(self._buffer) < found + len(self._boundary) + 2:
                if found:
                    return self._taken(found)
            elif found >= 0:
                data = self._taken(found)
                self._leave()
                return data or await self.data()
            elif len(self._buffer) >= len(self._boundary):
                return self._taken(len(self._buffer) - len(self._boundary) + 1)
            await self._more()

    async def _begin(self) -> None:
        self._begun = True
        while True:
            while b"\n" not in self._buffer and len(self._buffer) < len(self._line) + 2:
                if not await self._fill():
                    break
            line, newline, rest = self._buffer.partition(b"\n")
            if line.strip() or not newline:
                break
            self._buffer = rest
        first = self._buffer[: len(self._line) + 2]
        if first.rstrip(b"\r\n") == self._line + b"--":
            self._ended = True
        elif line.strip() != self._line or not newline:
            raise Malformed("invalid starting boundary")
        self._buffer = rest

    def _leave(self) -> None:
        """Behind a boundary: two characters say whether it is the last."""
        rest = self._buffer[len(self._boundary) :]
        self._inside, self._ended = False, rest.startswith(b"--")
        self._buffer = rest[2:]

    async def _headers(self) -> bytes:
        while True:
            if self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]
                return b""
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                head = self._taken(end)
                self._buffer = self._buffer[4:]
                return head
            if len(self._buffer) > HEADERS:
                raise Malformed("headers of a part are too long")
            await self._more()

    def _taken(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def _more(self) -> None:
        if not await self._fill():
            raise Malformed("the form ends too early")

    async def _fill(self) -> bool:
        piece = await anext(self._pieces, b"")
        self._buffer += piece
        return bool(piece)


def disposition(header: str) -> tuple[str, dict[str, str]]:
    """`form-data; name="a"` as its first word and its attributes."""
    kind, _, rest = header.partition(";")
    rest, found = rest.strip(), {}
    while (match := _ATTRIBUTES.match(rest)) is not None:
        rest = rest[match.end() :]
        found[match[1]] = match[2].strip('"')
    return kind.strip(), found


def _part(head: bytes) -> Part:
    try:
        lines = head.decode()
    except UnicodeError:
        lines = head.decode("latin-1")
    headers: dict[str, str] = {}
    for line in re.sub(r"\r\n[ \t]+", " ", lines).split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    kind, attributes = disposition(headers.get("content-disposition", ""))
    return Part(headers, kind, attributes)
