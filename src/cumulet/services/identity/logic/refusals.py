# SPDX-License-Identifier: Apache-2.0
"""Refusals whose reason the caller is not told, as in Keystone: it could tell of what others have arranged."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, Forbidden


def not_allowed(reason: str) -> CumuletError:
    """A 403 in general words; the reason stands in its field `reason`."""
    return Forbidden("You are not authorized to perform the requested action.", reason=reason)
