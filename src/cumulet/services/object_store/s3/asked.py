# SPDX-License-Identifier: Apache-2.0
"""A request as its signature was made for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from urllib.parse import parse_qsl


class Asked:
    """`path` is without percent signs and `raw_path` as it came; both, the query and the values of headers are as on
    the wire: each character stands for a byte. Headers are named in lower case; those that came several times are
    joined by commas.
    """

    def __init__(
        self, method: str, path: str, headers: Mapping[str, str], query_string: str = "", raw_path: str = ""
    ) -> None:
        self.method, self.path, self.headers, self.query_string = method, path, headers, query_string
        self.raw_path = raw_path or path

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the query, in their order."""
        return parse_qsl(self.query_string, keep_blank_values=True, encoding="latin-1")

    @cached_property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        return dict(self.pairs)


def stripped(value: str | None) -> str | None:
    """Without control characters and spaces around it; None for what has nothing else."""
    if not value:
        return value
    found = value.strip("".join(map(chr, range(0x21))))
    return found or None
