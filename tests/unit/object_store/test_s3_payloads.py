# SPDX-License-Identifier: Apache-2.0
"""Bodies of S3 requests: sums and signatures of the whole, of chunks and of what stands behind them."""

from __future__ import annotations

import asyncio
import base64
import hmac
import zlib
from collections.abc import AsyncIterator
from hashlib import sha1, sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.object_store.s3 import checksums, payloads
from cumulet.services.object_store.s3.chunks import SMALLEST, Chain
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.signatures import EMPTY, Claim

CLAIM = Claim(
    version=4,
    access="a",
    signature="seed",
    date="20130524T000000Z",
    scope=("20130524", "us-east-1", "s3", "aws4_request"),
)
SCOPE = "20130524/us-east-1/s3/aws4_request"


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def chunked(parts: list[bytes], *, signed: bool = True, trailers: dict[str, str] | None = None) -> bytes:
    """As a client sends it: `trailers` None for none, with a signature of theirs where chunks are signed."""
    key, last, out = CLAIM.key("secret"), "seed", b""

    def sign(*lines: str) -> str:
        return hmac.digest(key, "\n".join(lines).encode(), sha256).hex()

    for part in [*parts, b""]:
        more = ""
        if signed:
            hash_ = sha256(part).hexdigest()
            last = sign("AWS4-HMAC-SHA256-PAYLOAD", CLAIM.date, SCOPE, last, EMPTY, hash_)
            more = f";chunk-signature={last}"
        out += f"{len(part):x}{more}\r\n".encode() + part + (b"\r\n" if part else b"")
    if trailers is None:
        return out + b"\r\n"
    said = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
    out += said.replace("\n", "\r\n").encode()
    if signed:
        hash_ = sha256((said or "\n").encode()).hexdigest()
        last = sign("AWS4-HMAC-SHA256-TRAILER", CLAIM.date, SCOPE, last, hash_)
        out += f"x-amz-trailer-signature:{last}\r\n".encode()
    return out + b"\r\n"


def received(wire: bytes, headers: dict[str, str], step: int = 7, claim: Claim = CLAIM) -> bytes:
    """What the store gets of these bytes, which come in pieces of `step`."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(wire), step):
            yield wire[start : start + step]

    async def read() -> bytes:
        payload = payloads.of(headers, claim, len(wire))
        wanted = checksums.wanted(headers)
        body = payloads.decoded(payload, pieces(), wanted, Chain(claim, "secret"))
        return b"".join([piece async for piece in body])

    return asyncio.run(read())


def streaming(kind: str, size: int, **more: str) -> dict[str, str]:
    said = {"x-amz-content-sha256": kind, "x-amz-decoded-content-length": str(size)}
    return said | {name.replace("_", "-"): value for name, value in more.items()}


def refusal(wire: bytes, headers: dict[str, str], **more: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        received(wire, headers, **more)
    return caught.value


@given(
    sizes=st.lists(st.integers(SMALLEST, SMALLEST + 40), max_size=2),
    tail=st.integers(1, 50),
    step=st.integers(1, 5000),
    signed=st.booleans(),
    behind=st.booleans(),
)
def test_chunks_come_out_as_they_went_in(sizes: list[int], tail: int, step: int, signed: bool, behind: bool) -> None:
    parts = [bytes([number + 65]) * size for number, size in enumerate([*sizes, tail])]
    whole = b"".join(parts)
    behind = behind or not signed
    trailers = {"x-amz-checksum-crc32": crc32(whole)} if behind else None
    kind = payloads.UNSIGNED_TRAILER if not signed else payloads.SIGNED_TRAILER if behind else payloads.SIGNED
    headers = streaming(kind, len(whole), **({"x_amz_trailer": "x-amz-checksum-crc32"} if behind else {}))
    assert received(chunked(parts, signed=signed, trailers=trailers), headers, step) == whole


def test_amazons_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html"""
    claim = Claim(
        version=4,
        access="AKIAIOSFODNN7EXAMPLE",
        signature="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        date="20130524T000000Z",
        scope=("20130524", "us-east-1", "s3", "aws4_request"),
    )
    chain = Chain(claim, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    chain.check_chunk(
        sha256(b"a" * 65536).hexdigest(), "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    )
    chain.check_chunk(
        sha256(b"a" * 1024).hexdigest(), "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
    )
    chain.check_chunk(EMPTY, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")


SIGNED = streaming(payloads.SIGNED, 5)
BEHIND = streaming(payloads.UNSIGNED_TRAILER, 5, x_amz_trailer="x-amz-checksum-crc32")


@pytest.mark.parametrize(
    ("wire", "headers", "code"),
    [
        (chunked([b"hello"]).replace(b"hello", b"jello"), SIGNED, "SignatureDoesNotMatch"),
        (chunked([b"hello"])[:-90], SIGNED, "IncompleteBody"),
        (chunked([b"hello"])[:30], SIGNED, "IncompleteBody"),
        (b"", SIGNED, "IncompleteBody"),
        (chunked([b"hello"], signed=False), SIGNED, "IncompleteBody"),
        (b"5;signature=x\r\nhello\r\n", SIGNED, "SignatureDoesNotMatch"),
        (b"5;chunk-signature=\r\nhello\r\n", SIGNED, "IncompleteBody"),
        (b"g\r\n", SIGNED, "IncompleteBody"),
        (b"-5\r\nhello\r\n", SIGNED, "IncompleteBody"),
        (b"f" * 20000, SIGNED, "IncompleteBody"),
        (chunked([b"hello!"]), SIGNED, "IncompleteBody"),
        (chunked([b"hell"]), SIGNED, "IncompleteBody"),
        (chunked([b"he", b"llo"]), SIGNED, "InvalidChunkSizeError"),
        (chunked([b"hello"], signed=False, trailers={"x-amz-checksum-crc32": crc32(b"x")}), BEHIND, "BadDigest"),
        (chunked([b"hello"], signed=False, trailers={"x-amz-checksum-crc32": "?"}), BEHIND, "InvalidRequest"),
        (chunked([b"hello"], signed=False, trailers={"x-other": "?"}), BEHIND, "MalformedTrailerError"),
        (chunked([b"hello"], signed=False, trailers={}), BEHIND, "MalformedTrailerError"),
    ],
    ids=range(17),
)
def test_chunks_that_are_refused(wire: bytes, headers: dict[str, str], code: str) -> None:
    assert refusal(wire, headers).code == code
    assert refusal(wire, headers, step=100_000).code == code


def test_what_is_not_verified_is_not_given() -> None:
    """The last piece of a chunk that does not hold does not come out, so that nothing of that can be committed."""
    wire = chunked([b"hello"]).replace(b"hello", b"jello")
    given_: list[bytes] = []

    async def read() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield wire

        body = payloads.decoded(payloads.of(SIGNED, CLAIM, len(wire)), pieces(), None, Chain(CLAIM, "secret"))
        async for piece in body:
            given_.append(piece)

    with pytest.raises(S3Error):
        asyncio.run(read())
    assert not given_


@given(data=st.binary(max_size=60), step=st.integers(1, 70))
def test_the_sum_of_the_whole(data: bytes, step: int) -> None:
    right = {"x-amz-content-sha256": sha256(data).hexdigest()}
    assert received(data, right, step) == data
    wrong = {"x-amz-content-sha256": sha256(data + b"x").hexdigest()}
    found = refusal(data, wrong, step=step)
    assert found.code == "XAmzContentSHA256Mismatch"
    assert found.extra["S3ComputedContentSHA256"] == sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("headers", "claim", "code"),
    [
        ({}, CLAIM, "InvalidRequest"),
        ({"x-amz-content-sha256": "short"}, CLAIM, "InvalidArgument"),
        ({"x-amz-content-sha256": payloads.SIGNED}, CLAIM, "MissingContentLength"),
        (streaming(payloads.SIGNED, -1), CLAIM, "InvalidArgument"),
        (streaming("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", 5), CLAIM, "NotImplemented"),
        (streaming(payloads.SIGNED, 5), Claim(version=2, access="a", signature="s"), "IncompleteBody"),
        (streaming(payloads.SIGNED, 500), Claim(version=2, access="a", signature="s"), "XAmzContentSHA256Mismatch"),
    ],
    ids=range(7),
)
def test_bodies_that_are_signed_in_no_way(headers: dict[str, str], claim: Claim, code: str) -> None:
    assert refusal(chunked([b"hello"]), headers, claim=claim).code == code


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_sums_in_headers(algorithm: str) -> None:
    known = {
        "crc32": "NhCmhg==",
        "crc32c": "mnG7TA==",
        "crc64nvme": "M3eFcAZSQlc=",
        "sha1": base64.b64encode(sha1(b"hello").digest()).decode(),
        "sha256": base64.b64encode(sha256(b"hello").digest()).decode(),
    }[algorithm]
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", f"x-amz-checksum-{algorithm}": known}
    assert received(b"hello", headers) == b"hello"
    assert refusal(b"hellO", headers).code == "BadDigest"
    named = headers | {"x-amz-sdk-checksum-algorithm": algorithm.upper()}
    assert received(b"hello", named) == b"hello"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-md9": "x"},
        {"x-amz-checksum-crc32": "NhCmhg==", "x-amz-checksum-sha1": "x"},
        {"x-amz-checksum-crc32": "NhCmhg"},
        {"x-amz-checksum-crc32": "NhCmh=="},
        {"x-amz-checksum-sha1": "NhCmhg=="},
        {"x-amz-trailer": "x-amz-meta-colour"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-checksum-crc32": "NhCmhg=="},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "NhCmhg=="},
    ],
    ids=range(10),
)
def test_sums_that_make_no_sense(headers: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        checksums.wanted(headers)
    assert caught.value.code == "InvalidRequest"


def test_a_trailer_needs_chunks() -> None:
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-trailer": "x-amz-checksum-crc32"}
    assert refusal(b"hello", headers).code == "MalformedTrailerError"


@pytest.mark.parametrize(
    ("said", "kept"), [("gzip", "gzip"), ("aws-chunked", ""), ("aws-chunked, gzip", "gzip"), ("br,aws-chunked", "br")]
)
def test_the_chunks_are_no_encoding_of_the_object(said: str, kept: str) -> None:
    assert payloads.encoding(said) == kept
