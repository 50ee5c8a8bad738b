# SPDX-License-Identifier: Apache-2.0
"""Refusals of conntrack helpers."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "ConntrackHelperNotFound": (NotFound, "Conntrack Helper {id} could not be found."),
    "ConntrackHelperNotAllowed": (Invalid, "Conntrack Helper {helper} is not allowed."),
    "InvalidProtocolForHelper": (
        Invalid,
        "Conntrack Helper {helper} does not support: {protocol}. Supported protocols are: {supported}",
    ),
}
