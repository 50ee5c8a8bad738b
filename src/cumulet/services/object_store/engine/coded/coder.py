# SPDX-License-Identifier: Apache-2.0
"""Segments to fragments and back, by pyeclib; it is loaded when a policy needs it, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.engine.coded.scheme import Scheme

INLINE = 1 << 16  # bytes that are encoded without a thread


class Undecodable(Exception):
    """The fragments do not give their segment back."""


class Coder:
    """For segments of `segment` bytes; the last of an object is shorter. Its verbs block, and may be called at once."""

    def __init__(self, driver: Any, error: type[Exception], scheme: Scheme) -> None:
        self._driver, self._error = driver, error
        self.scheme = scheme
        self._sizes: dict[int, int] = {}

    @property
    def needed(self) -> int:
        """Parity fragments that mend a single lost one."""
        return int(self._driver.min_parity_fragments_needed())

    def size(self, length: int) -> int:
        """Bytes of a fragment of a segment of `length` bytes."""
        if not length:
            return 0
        found = self._sizes.get(length)
        if found is None:
            found = int(self._driver.get_segment_info(length, length)["fragment_size"])
            if len(self._sizes) < 1000:
                self._sizes[length] = found
        return found

    def archive(self, length: int) -> int:
        """Bytes that a device keeps of an object of `length` bytes."""
        full, rest = divmod(length, self.scheme.segment)
        return full * self.size(self.scheme.segment) + self.size(rest)

    def encode(self, segment: bytes) -> list[bytes]:
        """By their index."""
        fragments: list[bytes] = self._driver.encode(segment)
        return fragments

    def decode(self, fragments: Sequence[bytes]) -> bytes:
        """As many that differ as there are data fragments."""
        try:
            segment: bytes = self._driver.decode(list(fragments))
        except self._error as error:
            raise Undecodable(str(error)) from error
        return segment

    def rebuild(self, fragments: Sequence[bytes], index: int) -> bytes:
        try:
            found: bytes = self._driver.reconstruct(list(fragments), [index])[0]
        except self._error as error:
            raise Undecodable(str(error)) from error
        return found

    def is_sound(self, fragment: bytes, index: int) -> bool:
        """Whether its own header says that it is this one."""
        try:
            told = self._driver.get_metadata(fragment, 1)
        except self._error:
            return False
        return bool(told.get("index") == index)


@cache
def coder_for(scheme: Scheme) -> Coder:
    """Invalid where this machine has no pyeclib, or that does not know the scheme."""
    try:
        from pyeclib import ec_iface
    except ImportError as error:
        raise Invalid(
            f"Erasure coding needs pyeclib, which this machine lacks ({error}): pip install 'cumulet[erasure]'"
        ) from None
    try:
        driver = ec_iface.ECDriver(k=scheme.data, m=scheme.parity, ec_type=scheme.type)
    except (ec_iface.ECDriverError, ValueError) as error:
        raise Invalid(f"The erasure code {scheme} cannot be had: {error}") from None
    return Coder(driver, ec_iface.ECDriverError, scheme)
