# SPDX-License-Identifier: Apache-2.0
"""Refusals of RBAC policies."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "RbacPolicyNotFound": (NotFound, "RBAC policy of type unknown with ID {id} not found"),
    "RbacPolicyInUse": (
        Conflict,
        "RBAC policy on object {id} cannot be removed because other objects depend on it.\nDetails: {details}",
    ),
    "DuplicateRbacPolicy": (Conflict, "An RBAC policy already exists with those values."),
    "InvalidActionForType": (
        Invalid,
        "Invalid action '{action}' for object type '{object_type}'. Valid actions: {valid}",
    ),
}
