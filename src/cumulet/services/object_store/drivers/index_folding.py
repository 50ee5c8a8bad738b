# SPDX-License-Identifier: Apache-2.0
"""What the words of a listing make of names: where they begin and end, and what lies in which subdir."""

from __future__ import annotations

from typing import NamedTuple

from cumulet.services.object_store.drivers.index_rules import prefix_end
from cumulet.services.object_store.types.indexes import Listing


class Span(NamedTuple):
    """Names from `lower` (with it where `closed`) to before `upper`; an empty `upper` is no bound."""

    lower: str
    closed: bool
    upper: str

    @property
    def first(self) -> str:
        """The least name that may be there."""
        return self.lower if self.closed else f"{self.lower}\0"


class Folding:
    """A listing's span, and with a delimiter its subdirs: what lies behind one is one entry, or with `path` none."""

    def __init__(self, listing: Listing) -> None:
        prefix, delimiter, path = listing.prefix, listing.delimiter, listing.path
        if path is not None:
            prefix, delimiter = (f"{path.rstrip('/')}/" if path else ""), "/"
        self.listing = listing
        self.prefix = prefix
        self.delimiter = delimiter
        self.itself = prefix if path is not None else None
        """The name that a listing by path leaves out."""
        # Swift leaves out the subdir that the caller named as the lower marker, and no other one.
        self.named = listing.end_marker if listing.reverse else listing.marker

    @property
    def span(self) -> Span:
        listing = self.listing
        marker, end = listing.marker, listing.end_marker
        if listing.reverse:
            marker, end = end, marker
        lower, closed = (marker, False) if marker and marker >= self.prefix else (self.prefix, True)
        if not listing.reserved and lower < "\x01":
            lower, closed = "\x01", True
        return Span(lower, closed, min((bound for bound in (end, prefix_end(self.prefix)) if bound), default=""))

    def folder(self, name: str) -> str | None:
        """The subdir that it lies in."""
        if not self.delimiter:
            return None
        found = name.find(self.delimiter, len(self.prefix))
        if found < 0:
            return None
        end = found + len(self.delimiter)
        return None if self.itself is not None and end == len(name) else name[:end]

    def shows(self, folder: str) -> bool:
        return self.itself is None and folder != self.named

    def beyond(self, folder: str, span: Span) -> Span | None:
        """What is left of `span` behind a subdir."""
        if not self.listing.reverse:
            end = prefix_end(folder)
            return Span(end, True, span.upper) if end else None
        # An object of the folder's own name is listed by its path.
        return Span(span.lower, span.closed, folder if self.itself is None else f"{folder}\0")
