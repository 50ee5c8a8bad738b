# SPDX-License-Identifier: Apache-2.0
"""Refusals of auto-allocated topologies."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "AutoAllocationFailure": (Conflict, "Deployment error: {reason}."),
    "DefaultExternalNetworkExists": (Conflict, "A default external network already exists: {id}."),
}
