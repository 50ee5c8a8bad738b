# SPDX-License-Identifier: Apache-2.0
"""Which part of an image's data a download asks for: the Range header, or Content-Range as old clients send it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cumulet.kernel.errors import Invalid
from cumulet.services.image.api.dialect import RANGE_REFUSED

# What comes behind is overlooked, as Glance's parser does.
_RANGE = re.compile(r"bytes *= *(?:(\d{1,4000}) *- *(\d{0,4000})|- *(\d{1,4000}))(?!\d)", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,4000})-(\d{1,4000})/(\d+|\*)", re.IGNORECASE)


def parse(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last, of `size` bytes; None for all of them.

    Invalid for several ranges, and with the code of status 416 for a range that is malformed or not in the data.
    """
    text = headers.get("range")
    if text is not None:
        return _range(text, size)
    text = headers.get("content-range")
    return None if text is None else _content_range(text, size)


def _range(text: str, size: int) -> tuple[int, int]:
    if "," in text:
        raise Invalid(
            "Requests with multiple ranges are not supported in Glance. "
            "You may make multiple single-range requests instead."
        )
    match = _RANGE.match(text)
    if match is None or (match[2] and int(match[1]) > int(match[2])):
        raise Invalid("Invalid Range header.", code=RANGE_REFUSED)
    if match[3] is not None:
        # The last none of the bytes are all of them, to Glance and its clients.
        return max(0, size - (int(match[3]) or size)), size
    start = int(match[1])
    _check_start("Range", start, size)
    return start, min(int(match[2]) + 1, size) if match[2] else size


def _content_range(text: str, size: int) -> tuple[int, int]:
    match = _CONTENT_RANGE.match(text)
    if match is None or int(match[1]) > int(match[2]):
        raise Invalid("Invalid Content-Range header.", code=RANGE_REFUSED)
    start, stop = int(match[1]), int(match[2]) + 1
    if stop > size:
        raise Invalid(
            "Invalid stop position in Content-Range header. "
            f"The stop position MUST be in the inclusive range [0, {size - 1}].",
            code=RANGE_REFUSED,
        )
    _check_start("Content-Range", start, size)
    return start, stop


def _check_start(header: str, start: int, size: int) -> None:
    if start >= size:
        raise Invalid(
            f"Invalid start position in {header} header. "
            f"Start position MUST be in the inclusive range [0, {size - 1}].",
            code=RANGE_REFUSED,
        )
