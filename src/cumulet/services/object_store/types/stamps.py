# SPDX-License-Identifier: Apache-2.0
"""Time stamps, by which every replica decides alike what is newest.

One is an integer: units of 10 microseconds since 1970, and below them 13 bits of an offset that orders what the store
itself does to an object that keeps its time. On the wire it is Swift's `X-Timestamp`, `1234567890.12345`, with
`_` and the offset in 16 hexadecimal digits where that is not zero.
"""

from __future__ import annotations

import re

from cumulet.kernel import clock

UNITS = 100_000  # a second
MAX_OFFSET = (1 << 13) - 1
_BITS = 13  # all of it fits a signed integer of 64 bits, as databases have
_END = 10**10 * UNITS  # Swift's stamps have ten digits before the point
_FORM = re.compile(r"(\d{1,10})(?:\.(\d{1,9}))?(?:_([0-9a-fA-F]{1,16}))?", re.ASCII)


def now() -> int:
    return int(clock.now() * UNITS) << _BITS


def stamp(seconds: float, offset: int = 0) -> int:
    """ValueError for a time or an offset that has no stamp."""
    units = round(seconds * UNITS)
    if not 0 <= units < _END or not 0 <= offset <= MAX_OFFSET:
        raise ValueError(f"{seconds} with offset {offset} is no time of an object")
    return units << _BITS | offset


def parse(text: str) -> int:
    """ValueError for what is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time stamp")
    whole, part, offset = found.groups()
    number = int(offset or "0", 16)
    if number > MAX_OFFSET:
        raise ValueError(f"the offset of {text!r} is too large")
    return (int(whole) * UNITS + int((part or "").ljust(5, "0")[:5])) << _BITS | number


def normal(value: int) -> str:
    """Without the offset."""
    units = value >> _BITS
    return f"{units // UNITS:010d}.{units % UNITS:05d}"


def internal(value: int) -> str:
    """With the offset, if there is one."""
    offset = value & MAX_OFFSET
    return normal(value) + (f"_{offset:016x}" if offset else "")


def seconds(value: int) -> float:
    """Since 1970."""
    return (value >> _BITS) / UNITS
