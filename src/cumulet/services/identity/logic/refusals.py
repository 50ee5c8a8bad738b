# SPDX-License-Identifier: Apache-2.0
"""Refusals whose reason the caller is not told: it could tell of what others have arranged, or of who is there."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, Forbidden, Unauthorized

UNPROVEN = "The request you have made requires authentication."


def refused() -> CumuletError:
    """The one answer to every wrong proof, so that nobody learns which part of it was wrong."""
    return Unauthorized(UNPROVEN)


def not_proven(reason: str, code: str) -> CumuletError:
    """The same answer; the reason stands in its field `reason`, for those who look into the error itself."""
    return Unauthorized(UNPROVEN, code=code, reason=reason)


def not_allowed(reason: str) -> CumuletError:
    """A 403 in general words, as in Keystone; the reason stands in its field `reason`."""
    return Forbidden("You are not authorized to perform the requested action.", reason=reason)
