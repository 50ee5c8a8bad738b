# SPDX-License-Identifier: Apache-2.0
"""Refusals of local IPs."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "LocalIPNotFound": (NotFound, "Local IP {id} could not be found."),
    "LocalIPInUse": (Conflict, "Local IP {id} is still associated with one or more ports."),
    "LocalIPNoIP": (Invalid, "Specified Port {port_id} has no fixed IPs configured."),
    "LocalIPRequestedIPNotFound": (Invalid, "Specified Port {port_id} does not have requested IP address: {ip}."),
    "LocalIPNoRequestedIP": (
        Invalid,
        "Specified Port {port_id} has several IPs, should specify exact IP address to use for Local IP.",
    ),
    "LocalIPPortOrNetworkRequired": (
        Invalid,
        "Either Port ID or Network ID must be specified for Local IP create.",
    ),
    "LocalIPAssociationNotFound": (NotFound, "Local IP {parent} association with port {id} could not be found."),
}
