# SPDX-License-Identifier: Apache-2.0
"""Pages of lists: limits, markers, and the link to the next page."""

from __future__ import annotations

from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http.message import Request

MOST_DIGITS = 4000  # Python makes no number of more


def whole_number(request: Request, name: str) -> int | None:
    """The query's `name` as a whole number of 0 or more, None where it is absent; Invalid for anything else."""
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise Invalid(
            f"{name} param must be an integer" if not text.startswith("-") else f"{name} param must be positive"
        )
    return int(text)


def link(request: Request, **changes: str) -> str:
    """The request's own URL with some parameters of its query replaced: the next page's address."""
    pairs = [(name, value) for name, value in request.query_pairs if name not in changes]
    return f"{request.url}?{urlencode([*pairs, *changes.items()])}"
