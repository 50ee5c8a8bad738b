# SPDX-License-Identifier: Apache-2.0
"""Refusals of several gateways. Neutron has no status for them and answers 500."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, Invalid

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "UnableToRemoveGateways": (Invalid, "Unable to remove extra gateways from a router {id}"),
    "UnableToMatchGateways": (
        Invalid,
        "Unable to match a requested gateway port to existing gateway ports for router {id}",
    ),
}
