# SPDX-License-Identifier: Apache-2.0
"""Refusals of address scopes, and of pools in them."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "AddressScopeNotFound": (NotFound, "Address scope {id} could not be found."),
    "AddressScopeInUse": (
        Conflict,
        (
            "Unable to complete operation on address scope {id}. "
            "There are one or more subnet pools in use on the address scope."
        ),
    ),
    "AddressScopeUpdateError": (Invalid, "Unable to update address scope {id} : {reason}."),
    "AddressScopePrefixConflict": (
        Conflict,
        "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.",
    ),
    "NetworkAddressScopeAffinityError": (
        Invalid,
        (
            "Subnets of the same address family hosted on the same network must all participate in the same "
            "address scope."
        ),
    ),
    "IllegalSubnetPoolIpVersionAssociationToAddressScope": (
        Invalid,
        (
            "Illegal subnetpool association: subnetpool {pool_id} cannot associate with address scope {scope_id} "
            "because subnetpool ip_version is not {ip_version}."
        ),
    ),
}
