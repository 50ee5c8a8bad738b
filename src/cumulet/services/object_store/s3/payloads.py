# SPDX-License-Identifier: Apache-2.0
"""Bodies as they are signed: whole with a sum, in signed or unsigned chunks (`aws-chunked`), or not at all.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256

import msgspec

from cumulet.services.object_store.s3.checksums import Wanted
from cumulet.services.object_store.s3.chunks import Chain, Chunks
from cumulet.services.object_store.s3.errors import S3Error, argument, unsupported
from cumulet.services.object_store.s3.signatures import UNSIGNED, Claim

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CURVES = ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")
STREAMING = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, *_CURVES)

_SHA256 = "x-amz-content-sha256"
_LENGTH = "x-amz-decoded-content-length"
_HEX = frozenset("0123456789abcdef")

Pieces = AsyncIterator[bytes]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """How the body comes. `said` is what the header says, "" where there is none; `size` are the bytes of the body
    itself, None where its end is yet to come. One that is `void` is signed in a way that it cannot be."""

    said: str = ""
    size: int | None = None
    void: bool = False

    @property
    def streaming(self) -> bool:
        return self.said in STREAMING


def of(headers: Mapping[str, str], claim: Claim, size: int | None) -> Payload:
    """What the headers say of a body of `size` bytes on the wire. InvalidRequest or InvalidArgument for no sense."""
    said = headers.get(_SHA256, "")
    header_4 = claim.version == 4 and not claim.in_query
    if not said:
        if header_4:
            raise S3Error("InvalidRequest", f"Missing required header for this request: {_SHA256}")
        return Payload(size=size)
    if said in STREAMING:
        return _streaming(said, headers.get(_LENGTH), header_4, size)
    if header_4 and said != UNSIGNED and not (len(said) == 64 and _HEX.issuperset(said.lower())):
        words = f"{_SHA256} must be {UNSIGNED}, {UNSIGNED_TRAILER}, {SIGNED}, {SIGNED_TRAILER} or a valid sha256 value."
        raise argument(_SHA256, said, words)
    return Payload(said=said, size=size)


def _streaming(said: str, length: str | None, header_4: bool, size: int | None) -> Payload:
    try:
        decoded = int(length or "")
    except ValueError:
        raise S3Error("MissingContentLength") from None
    if decoded < 0:
        raise argument(_LENGTH, decoded)
    if not header_4:
        if decoded < (size or 0):
            raise S3Error("IncompleteBody", NumberBytesExpected=decoded, NumberBytesProvided=size)
        return Payload(said=said, size=size, void=True)
    if said in _CURVES:
        raise unsupported(f"Don't know how to validate {said} streams")
    return Payload(said=said, size=decoded)


def encoding(said: str) -> str:
    """A Content-Encoding without that of the chunks, which is not the object's."""
    if "aws-chunked" not in said:
        return said
    return ", ".join(each.strip() for each in said.split(",") if each.strip() not in ("", "aws-chunked"))


def decoded(payload: Payload, pieces: Pieces, wanted: Wanted | None, chain: Chain | None) -> Pieces:
    """The body itself. Before its last piece is given, all is verified that is said of it; `chain` verifies chunks."""
    if payload.void:
        return _mismatch(payload, pieces)
    if payload.streaming:
        names = set()
        if payload.said == SIGNED_TRAILER:
            names.add("x-amz-trailer-signature")
        if wanted is not None and wanted.behind:
            names.add(wanted.header)
        signed = None if payload.said == UNSIGNED_TRAILER else chain
        chunks = Chunks(pieces, payload.size or 0, frozenset(names), signed)
        return _summed(aiter(chunks), wanted, chunks) if wanted is not None else aiter(chunks)
    if wanted is not None and wanted.behind:
        raise S3Error("MalformedTrailerError")
    if payload.said not in ("", UNSIGNED):
        pieces = _hashed(pieces, payload)
    return _summed(pieces, wanted, None) if wanted is not None else pieces


async def _mismatch(payload: Payload, pieces: Pieces) -> Pieces:
    hash_ = sha256()
    async for piece in pieces:
        hash_.update(piece)
        yield b""
    raise _not_as_signed(payload.said, hash_.hexdigest())


async def _hashed(pieces: Pieces, payload: Payload) -> Pieces:
    hash_, held = sha256(), b""
    async for piece in pieces:
        if held:
            yield held
        hash_.update(piece)
        held = piece
    if hash_.hexdigest() != payload.said.lower():
        raise _not_as_signed(payload.said, hash_.hexdigest())
    if held:
        yield held


async def _summed(pieces: Pieces, wanted: Wanted, chunks: Chunks | None) -> Pieces:
    held = b""
    async for piece in pieces:
        if held:
            yield held
        wanted.sum.update(piece)
        held = piece
    if chunks is not None and wanted.behind:
        wanted.arrived(chunks.trailers.get(wanted.header, ""))
    wanted.check()
    if held:
        yield held


def _not_as_signed(said: str, found: str) -> S3Error:
    return S3Error("XAmzContentSHA256Mismatch", ClientComputedContentSHA256=said, S3ComputedContentSHA256=found)
