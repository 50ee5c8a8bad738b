# SPDX-License-Identifier: Apache-2.0
"""Availability zones of the network service: all hosts are in one."""

from __future__ import annotations

from cumulet.kernel.errors import NotFound

DEFAULT = "nova"


def check_hints(hints: list[str]) -> None:
    """Raise AvailabilityZoneNotFound for a zone that is not there."""
    unknown = next((hint for hint in hints if hint != DEFAULT), None)
    if unknown is not None:
        raise NotFound(f"AvailabilityZone {unknown} could not be found.", code="AvailabilityZoneNotFound")
