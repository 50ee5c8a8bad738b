# SPDX-License-Identifier: Apache-2.0
"""Sums of bodies that clients send along, in headers or behind the body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from cumulet.services.object_store.s3.errors import S3Error

PREFIX = "x-amz-checksum-"

_TWICE = "Expecting a single x-amz-checksum- header"


class Sum(Protocol):
    """A sum under way, as of hashlib."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Cyclic:
    """A cyclic redundancy check of `size` bytes."""

    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step, self._size, self._value = step, size, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _crc32c() -> Sum:
    from awscrt import checksums  # its import costs more than a request

    return _Cyclic(checksums.crc32c, 4)


def _crc64nvme() -> Sum:
    from awscrt import checksums

    return _Cyclic(checksums.crc64nvme, 8)


_MAKERS: Mapping[str, tuple[Callable[[], Sum], int]] = {
    "crc32": (lambda: _Cyclic(zlib.crc32, 4), 4),
    "crc32c": (_crc32c, 4),
    "crc64nvme": (_crc64nvme, 8),
    "sha1": (lambda: hashlib.sha1(usedforsecurity=False), 20),
    "sha256": (hashlib.sha256, 32),
}

ALGORITHMS = tuple(_MAKERS)
HEADERS = tuple(PREFIX + each for each in ALGORITHMS)


class Wanted:
    """What the body has to sum up to: `value`, or what comes behind it under the name `header`."""

    def __init__(self, header: str, value: bytes | None) -> None:
        self.header, self.value = header, value
        self.sum = _MAKERS[self.algorithm][0]()

    @property
    def algorithm(self) -> str:
        return self.header.removeprefix(PREFIX)

    @property
    def behind(self) -> bool:
        return self.value is None

    def arrived(self, said: str) -> None:
        """What came behind the body."""
        self.value = decoded(self.algorithm, said)
        if self.value is None:
            raise S3Error("InvalidRequest", f"Value for {self.header} trailing header is invalid.")

    def check(self) -> None:
        """BadDigest where the body sums up to something else."""
        if self.sum.digest() != self.value:
            name = self.algorithm.upper()
            raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")


def wanted(headers: Mapping[str, str]) -> Wanted | None:
    """What the headers of an upload say; InvalidRequest for what makes no sense."""
    said = {
        name: value
        for name, value in headers.items()
        if name.startswith(PREFIX) and name not in (f"{PREFIX}algorithm", f"{PREFIX}type")
    }
    if any(name not in HEADERS for name in said):
        raise S3Error("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
    if len(said) > 1:
        raise S3Error("InvalidRequest", f"{_TWICE}. Multiple checksum Types are not allowed.")
    behind = _trailers(headers)
    if len(said) + len(behind) > 1:
        raise S3Error("InvalidRequest", _TWICE)
    found: Wanted | None = None
    if said:
        ((name, value),) = said.items()
        sum_ = decoded(name.removeprefix(PREFIX), value)
        if sum_ is None:
            raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")
        found = Wanted(name, sum_)
    elif behind:
        found = Wanted(behind[0], None)
    _check_named(headers.get("x-amz-sdk-checksum-algorithm"), found)
    return found


def decoded(algorithm: str, said: str) -> bytes | None:
    """The sum; None for what is none of this algorithm."""
    try:
        found = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return None
    exact = len(found) == _MAKERS[algorithm][1] and base64.b64encode(found).decode() == said
    return found if exact else None


def _trailers(headers: Mapping[str, str]) -> list[str]:
    said = headers.get("x-amz-trailer", "").strip()
    found = [each.strip() for each in said.rstrip(",").split(",")] if said else []
    if any(each not in HEADERS for each in found):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    if len(found) > 1:
        raise S3Error("InvalidRequest", f"{_TWICE}. Multiple checksum Types are not allowed.")
    return found


def _check_named(algorithm: str | None, found: Wanted | None) -> None:
    if not algorithm:
        return
    if found is None:
        words = (
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )
        raise S3Error("InvalidRequest", words)
    if algorithm.lower() != found.algorithm:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
