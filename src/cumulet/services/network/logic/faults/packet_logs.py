# SPDX-License-Identifier: Apache-2.0
"""Refusals of packet logs."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "LogResourceNotFound": (NotFound, "Log resource {id} could not be found."),
    "InvalidLogResourceType": (Invalid, "Invalid log resource_type: {resource_type}."),
    "LoggingTypeNotSupported": (Conflict, "Logging type {log_type} is not supported on port {port_id}."),
    "TargetResourceNotFound": (NotFound, "Target resource {target_id} could not be found."),
    "ResourceNotFound": (NotFound, "Resource {resource_id} could not be found."),
    "InvalidResourceConstraint": (
        Invalid,
        (
            "Invalid resource constraint between resource (security_group {resource_id}) and target resource "
            "(port {target_id})."
        ),
    ),
}
