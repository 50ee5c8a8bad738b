# SPDX-License-Identifier: Apache-2.0
"""`aws-chunked`: a body in chunks, each with its size and maybe a signature before it, and with headers behind it."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256

import msgspec

from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.signatures import EMPTY, Claim

SMALLEST = 8192  # bytes of a chunk that is not the last one

_LONGEST_LINE = 8192
_LAST_SIGNATURE = "x-amz-trailer-signature"
_HEX = frozenset("0123456789abcdefABCDEF")


class Chain:
    """Verifies signatures each of which signs the one before, too; the first is that of the request."""

    def __init__(self, claim: Claim, secret: str) -> None:
        self._claim, self._key, self._last = claim, claim.key(secret), claim.signature

    def check_chunk(self, hash_: str, signature: str) -> None:
        """SignatureDoesNotMatch where it is not that of the chunk with this SHA-256."""
        self._check("AWS4-HMAC-SHA256-PAYLOAD", (EMPTY, hash_), signature)

    def check_trailers(self, trailers: Mapping[str, str]) -> None:
        said = "".join(f"{name}:{trailers[name]}\n" for name in sorted(trailers) if name != _LAST_SIGNATURE)
        hash_ = sha256((said or "\n").encode("latin-1")).hexdigest()
        self._check("AWS4-HMAC-SHA256-TRAILER", (hash_,), trailers[_LAST_SIGNATURE])

    def _check(self, kind: str, hashes: tuple[str, ...], signature: str) -> None:
        lines = (kind, self._claim.date, "/".join(self._claim.scope), self._last, *hashes)
        text = "\n".join(lines).encode("latin-1")
        wanted = hmac.digest(self._key, text, sha256).hex()
        if not hmac.compare_digest(wanted.encode(), signature.encode("latin-1")):
            raise msgspec.structs.replace(self._claim, text=text, signature=signature).mismatch()
        self._last = signature


class Chunks:
    """The bytes of `size` that lie in chunks in `pieces`, to be read once.

    The end of a chunk is given when its signature holds, the end of all when the trailers named in `expected` came.
    """

    def __init__(self, pieces: AsyncIterator[bytes], size: int, expected: frozenset[str], chain: Chain | None) -> None:
        self._pieces, self._size, self._expected, self._chain = pieces, size, expected, chain
        self._buffer = bytearray()
        self._ended = False
        self.trailers: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, number, last = self._size, 0, SMALLEST
        while True:
            number += 1
            size, parameters = _head(await self._line())
            if last < SMALLEST and size:
                raise S3Error("InvalidChunkSizeError", Chunk=number, BadChunkSize=last)
            if size > left:
                raise self._wrong_size(self._size - left + size)
            last, left = size, left - size
            async for piece in self._chunk(size, parameters):
                yield piece
            if not size:
                break
            if await self._exactly(2) != b"\r\n":
                raise _ended_early()
        await self._read_trailers()
        if left:
            raise self._wrong_size(self._size - left)

    async def _chunk(self, size: int, parameters: str) -> AsyncIterator[bytes]:
        signature = "" if self._chain is None else _signature(parameters, self._chain)
        hash_ = None if self._chain is None else sha256()
        while size:
            piece = await self._some(size)
            size -= len(piece)
            if hash_ is not None:
                hash_.update(piece)
                if not size and self._chain is not None:
                    self._chain.check_chunk(hash_.hexdigest(), signature)
                    hash_ = None
            yield piece
        if hash_ is not None and self._chain is not None:
            self._chain.check_chunk(hash_.hexdigest(), signature)

    async def _read_trailers(self) -> None:
        if not self._expected:
            if await self._exactly(2) not in (b"", b"\r\n"):
                raise _ended_early()
            return
        while line := await self._line(last=True):
            name, _, value = line.partition(":")
            if name.lower() not in self._expected:
                raise S3Error("MalformedTrailerError")
            self.trailers[name.strip()] = value.strip()
        if _LAST_SIGNATURE in self._expected and _LAST_SIGNATURE not in self.trailers:
            raise _ended_early()
        if set(self.trailers) != self._expected:
            raise S3Error("MalformedTrailerError")
        if _LAST_SIGNATURE in self._expected and self._chain is not None:
            self._chain.check_trailers(self.trailers)
            if len(self.trailers) == 1:
                raise _ended_early()

    async def _fill(self) -> bool:
        """Whether more came."""
        if self._ended:
            return False
        try:
            self._buffer += await anext(self._pieces)
        except StopAsyncIteration:
            self._ended = True
        return not self._ended

    async def _line(self, *, last: bool = False) -> str:
        """The next line without its end; with `last`, nothing where all has been read."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE or not await self._fill():
                if last and not self._buffer:
                    return ""
                raise _ended_early()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n") or end > _LONGEST_LINE:
            raise _ended_early()
        return line[:-2].decode("latin-1")

    async def _some(self, most: int) -> bytes:
        while not self._buffer:
            if not await self._fill():
                raise _ended_early()
        found = bytes(self._buffer[:most])
        del self._buffer[:most]
        return found

    async def _exactly(self, count: int) -> bytes:
        """So many bytes, fewer where all has been read."""
        while len(self._buffer) < count and await self._fill():
            pass
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _wrong_size(self, found: int) -> S3Error:
        return S3Error("IncompleteBody", NumberBytesExpected=self._size, NumberBytesProvided=found)


def _head(line: str) -> tuple[int, str]:
    """Size and parameters of a chunk."""
    size, _, parameters = line.partition(";")
    size = size.strip()
    if not size or not _HEX.issuperset(size) or len(size) > 16:
        raise S3Error("IncompleteBody", "The request body terminated unexpectedly")
    return int(size, 16), parameters


def _signature(parameters: str, chain: Chain) -> str:
    name, _, signature = parameters.partition("=")
    signature = signature.strip()
    if not parameters:
        raise _ended_early()
    if name.strip() != "chunk-signature":
        chain.check_chunk("", "")
    if not signature or ";" in signature:
        raise _ended_early()
    return signature


def _ended_early() -> S3Error:
    return S3Error("IncompleteBody", "The request body terminated unexpectedly")
