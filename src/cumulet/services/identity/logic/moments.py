# SPDX-License-Identifier: Apache-2.0
"""The ends that callers give to what they make: times in text."""

from __future__ import annotations

from datetime import UTC, datetime

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid

_WRONG = (
    "The server could not comply with the request since it is either malformed or otherwise incorrect. "
    "The client is assumed to be in error."
)


def expiration(text: str | None) -> datetime | None:
    """The time that `text` says, in UTC without a zone; Invalid where it says none or one that has passed."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise Invalid(f"Timestamp not in expected format. {_WRONG}") from None
    if moment < clock.utcnow():
        raise Invalid(f"The 'expires_at' must not be before now. {_WRONG}")
    return moment
