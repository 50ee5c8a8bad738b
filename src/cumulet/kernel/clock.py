# SPDX-License-Identifier: Apache-2.0
"""The one source of wall-clock time, so that tests can hold it still."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_source: Callable[[], float] = time.time


def now() -> float:
    """Seconds since the epoch."""
    return _source()


def utcnow() -> datetime:
    """The current time in UTC, without a zone, as database columns keep it."""
    return from_seconds(now())


def from_seconds(moment: float) -> datetime:
    """Seconds since the epoch as `utcnow` would tell them."""
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)


def to_micros(moment: float) -> int:
    """Seconds since the epoch as whole microseconds, the same ones that `from_seconds` tells."""
    return (from_seconds(moment) - _EPOCH) // timedelta(microseconds=1)


def set_source(source: Callable[[], float] = time.time) -> None:
    """Replace the clock; without an argument, put the real one back."""
    global _source
    _source = source


def iso_z(moment: datetime) -> str:
    """`2026-01-31T12:00:00Z`: compute, image, network."""
    return moment.isoformat(timespec="seconds")[:19] + "Z"


def iso_micro(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000`: block storage, actions of servers."""
    return moment.isoformat(timespec="microseconds")[:26]


def iso_micro_z(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: identity."""
    return iso_micro(moment) + "Z"
