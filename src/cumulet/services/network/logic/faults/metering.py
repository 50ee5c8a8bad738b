# SPDX-License-Identifier: Apache-2.0
"""Refusals of metering labels and rules."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "MeteringLabelNotFound": (NotFound, "Metering label '{id}' does not exist."),
    "MeteringLabelRuleNotFound": (NotFound, "Metering label rule '{id}' does not exist."),
    "MeteringLabelRuleOverlaps": (
        Conflict,
        "Metering label rule with remote_ip_prefix '{remote_ip_prefix}' overlaps another.",
    ),
    "Invalid": (Invalid, "{reason}"),
}
