# SPDX-License-Identifier: Apache-2.0
"""Refusals of what ports say for those who plug them in."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "IPAddressChangeNotAllowed": (Invalid, "IP updates for port {id} are not allowed"),
    "PortBoundNUMAAffinityPolicy": (
        Conflict,
        (
            "Unable to complete operation on port {id}, port is already bound to host {host}, "
            "numa_affinity_policy value given {policy}."
        ),
    ),
}
