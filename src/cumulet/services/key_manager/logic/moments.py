# SPDX-License-Identifier: Apache-2.0
"""Times as callers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SHORT = re.compile(r"[0-9]{4}(-[0-9]{2})?")


def parse(text: str) -> datetime:
    """An ISO 8601 time as naive UTC; without a zone it is UTC, a year or month is its beginning. Raises ValueError."""
    text = text.strip()
    if _SHORT.fullmatch(text):
        text = f"{text}-01-01"[:10]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(text) from None
