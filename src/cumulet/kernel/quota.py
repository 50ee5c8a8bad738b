# SPDX-License-Identifier: Apache-2.0
"""Quota checks: rows are counted in the transaction that adds to them, so that nothing can leak or be overrun."""

from __future__ import annotations

from collections.abc import Mapping

UNLIMITED = -1


def exceeded(limits: Mapping[str, int], used: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    """The names, sorted, of those resources of which `wanted` more would break the limit.

    A resource of which nothing is wanted is never exceeded, whatever its usage; a limit of -1 is none. The caller holds
    `tx.lock("quota:<service>:<project>")` while it counts and writes.
    """
    return sorted(
        name
        for name, more in wanted.items()
        if more > 0 and (limit := limits.get(name, UNLIMITED)) >= 0 and used.get(name, 0) + more > limit
    )
