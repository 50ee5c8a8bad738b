# SPDX-License-Identifier: Apache-2.0
"""Refusals of address groups, by name: the kernel's error and the text."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "AddressGroupNotFound": (NotFound, "Address group {id} could not be found."),
    "AddressGroupInUse": (Conflict, "Address group {id} is in use on one or more security group rules."),
    "AddressesNotFound": (NotFound, "Addresses {addresses} not found in the address group {id}."),
    "AddressesAlreadyExist": (Invalid, "Addresses {addresses} already exist in the address group {id}."),
}
