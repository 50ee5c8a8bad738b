# SPDX-License-Identifier: Apache-2.0
"""Times as S3 tells them."""

from __future__ import annotations

import math
from calendar import timegm
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_tz
from time import strptime

from cumulet.services.object_store.types import stamps

LAST = 9_999_999_999  # stamps have ten digits

V2, V4 = "%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%SZ"


def seconds(text: str, form: str = V2) -> int:
    """Since 1970, of a date of mail or one of this form; ValueError for what is none."""
    try:
        parts = parsedate_tz(text)
    except (TypeError, IndexError, OverflowError):  # the parser stumbles over some words
        parts = None
    if parts is None:
        return timegm(strptime(text, form))
    try:
        return timegm((*parts[:6], 0, 1, 0)) - (parts[9] or 0)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is no time") from None


def basic(when: int) -> str:
    """As signatures of version 4 tell it."""
    return datetime.fromtimestamp(when, UTC).strftime(V4)


def xml(when: float) -> str:
    """Whole seconds, never before what is told."""
    return datetime.fromtimestamp(math.ceil(when), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def of_stamp(stamp: int) -> str:
    return xml(stamps.seconds(stamp))


def of_listing(text: str) -> str:
    """Of what Swift's listings tell: UTC with microseconds and without a zone."""
    return xml(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def of_header(text: str) -> str:
    """Of a header's time."""
    return xml(seconds(text))


def header(when: float) -> str:
    return formatdate(when, usegmt=True)
