# SPDX-License-Identifier: Apache-2.0
"""Refusals of port forwardings."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "PortForwardingNotFound": (NotFound, "Port Forwarding {id} could not be found."),
    "FipInUseByPortForwarding": (Conflict, "Floating IP {id} in use by Port Forwarding resources."),
    "PortHasBindingFloatingIP": (
        Conflict,
        (
            "Cannot create port forwarding to floating IP {address} ({id}) with port {port_id} using fixed IP {fixed}, "
            "as that port already has a binding floating IP."
        ),
    ),
    "Conflict": (Conflict, "{message}"),
}
