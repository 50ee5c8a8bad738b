# SPDX-License-Identifier: Apache-2.0
"""Which parts of an object a request asks for, and what a body of several parts is made of.

Range is read as Swift does (RFC 9110, 14.1): a header that is not understood is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

MAX_RANGES = 50
MAX_OVERLAPS = 2
MAX_OUT_OF_ORDER = 7  # so many ranges may come in any order

Asked = tuple[int | None, int | None]  # first and last byte as written: (None, n) are the last n bytes
Span = tuple[int, int]  # the first byte and the one after the last


def parse(text: str) -> list[Asked]:
    """What the header says; nothing for one that has to be overlooked."""
    unit, _, said = text.replace(" ", "").partition("=")
    if unit.lower() != "bytes":
        return []
    found = [_asked(each) for each in said.split(",")]
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else []


def of(header: str | None, size: int) -> list[Span] | None:
    """The parts of `size` bytes that are to be sent: None for all of them, no part where that is refused (416)."""
    asked = [] if header is None else parse(header)
    spans = of_length(asked, size)
    # There are no numbers for a part of nothing.
    return None if not asked or (spans and not size) else spans


def of_length(asked: Sequence[Asked], size: int) -> list[Span]:
    """The parts that there are of `size` bytes; none at all where the request costs more than it may."""
    spans = [span for first, last in asked if (span := _span(first, last, size)) is not None]
    return [] if _is_abuse(spans) else spans


def content_range(span: Span, size: int) -> str:
    return f"bytes {span[0]}-{span[1] - 1}/{size}"


class Multipart:
    """A body of media type `multipart/byteranges` with these parts of `size` bytes of `content_type`."""

    def __init__(self, spans: Sequence[Span], size: int, content_type: str, boundary: str) -> None:
        self.spans = spans
        self.media_type = f"multipart/byteranges;boundary={boundary}"
        self._size, self._content_type, self._boundary = size, content_type, boundary

    @property
    def length(self) -> int:
        """Of the whole body, in bytes."""
        parts = sum(len(head) + span[1] - span[0] + 2 for head, span in self.parts())
        return parts + len(self.end)

    def parts(self) -> Iterator[tuple[bytes, Span]]:
        """What stands before each part's bytes, behind which a line ends."""
        for span in self.spans:
            lines = (
                f"--{self._boundary}",
                f"Content-Type: {self._content_type}",
                f"Content-Range: {content_range(span, self._size)}",
                "\r\n",
            )
            yield "\r\n".join(lines).encode(), span

    @property
    def end(self) -> bytes:
        return f"--{self._boundary}--".encode()


def _asked(text: str) -> Asked | None:
    first, hyphen, last = text.partition("-")
    if not hyphen or not (first or last) or not all(not each or _is_number(each) for each in (first, last)):
        return None
    if first and last and int(last) < int(first):
        return None
    return int(first) if first else None, int(last) if last else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4000


def _span(first: int | None, last: int | None, size: int) -> Span | None:
    if first is None:
        # The last none of the bytes are no part; of nothing, the last bytes are all of it.
        return (max(0, size - last), size) if last else None
    if first >= size:
        return None
    return first, size if last is None else min(last + 1, size)


def _is_abuse(spans: Sequence[Span]) -> bool:
    """RFC 9110, 17.15: many parts, those that overlap, and many that come in no order."""
    if len(spans) > MAX_RANGES:
        return True
    if sum(_overlap(one, other) for one, other in combinations(spans, 2)) > MAX_OVERLAPS:
        return True
    return len(spans) > MAX_OUT_OF_ORDER and any(one > other for one, other in pairwise(spans))


def _overlap(one: Span, other: Span) -> bool:
    """Whether an end of one lies inside of the other; two that are the same part do not count, as in Swift."""
    return any(a < end < b for (a, b), ends in ((one, other), (other, one)) for end in ends)
