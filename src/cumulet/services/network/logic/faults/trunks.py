# SPDX-License-Identifier: Apache-2.0
"""Refusals of trunks."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "TrunkNotFound": (NotFound, "Trunk {id} could not be found."),
    "SubPortNotFound": (NotFound, "SubPort {port_id} on trunk {id} could not be found."),
    "TrunkPortInUse": (Conflict, "Port {port_id} is in use by another trunk."),
    "ParentPortInUse": (
        Conflict,
        "Port {port_id} is currently in use and is not eligible for use as a parent port.",
    ),
    "PortInUseAsTrunkParent": (Conflict, "Port {port_id} is currently a parent port for trunk {id}."),
    "PortInUseAsSubPort": (Conflict, "Port {port_id} is currently a subport for trunk {id}."),
    "DuplicateSubPort": (
        Conflict,
        "segmentation_type {type} and segmentation_id {number} already in use on trunk {id}.",
    ),
    "SubPortMtuGreaterThanTrunkPortMtu": (
        Conflict,
        "MTU {port_mtu} of subport {port_id} cannot be greater than MTU {trunk_mtu} of trunk {id}.",
    ),
    "TrunkInUse": (Conflict, "Trunk {id} is currently in use."),
    "TrunkDisabled": (Conflict, "Trunk {id} is currently disabled."),
}
