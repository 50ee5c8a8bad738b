# SPDX-License-Identifier: Apache-2.0
"""Refusals of NDP proxies."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "NDPProxyNotFound": (NotFound, "Ndp proxy {id} could not be found."),
    "RouterGatewayInUseByNDPProxy": (
        Conflict,
        (
            "Unable to unset external gateway of router {id}, There are one or more ndp proxies still in use on the "
            "router."
        ),
    ),
    "RouterInterfaceInUseByNDPProxy": (
        Conflict,
        (
            "Unable to remove subnet {subnet_id} from router {id}, There are one or more ndp proxies still in use on "
            "the subnet."
        ),
    ),
    "AddressScopeConflict": (
        Conflict,
        (
            "The IPv6 address scope {outside} of external network conflict with internal network's IPv6 address scope "
            "{inside}."
        ),
    ),
    "RouterGatewayNotValid": (Conflict, "Can not enable ndp proxy on router {id}, {reason}."),
    "RouterNDPProxyNotEnable": (
        Conflict,
        "The enable_ndp_proxy parameter of router {id} must be set as True while create ndp proxy entry on it.",
    ),
    "PortUnreachableRouter": (Conflict, "The port {port_id} cannot reach the router {id} by IPv6 subnet."),
    "InvalidAddress": (Invalid, "The address {address} is invalid, reason: {reason}."),
    "RouterIPv6GatewayInUse": (
        Conflict,
        (
            "Can't remove the IPv6 subnet from external gateway of router {id}, the IPv6 subnet in use by the router's "
            "ndp proxy."
        ),
    ),
    "NeutronDbObjectDuplicateEntry": (
        Conflict,
        "Failed to create a duplicate {kind}: for attribute(s) {names} with value(s) {values}",
    ),
}
