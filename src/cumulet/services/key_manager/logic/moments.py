# SPDX-License-Identifier: Apache-2.0
"""Times as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse(text: str) -> datetime:
    """An ISO 8601 time as naive UTC; one without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(text) from None
