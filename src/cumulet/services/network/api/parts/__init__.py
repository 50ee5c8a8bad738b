# SPDX-License-Identifier: Apache-2.0
"""What families add to the resources of others, by the kind of resource."""

from __future__ import annotations

from cumulet.services.network.api.parts import qos
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.api.parts.port_attributes import PORT_ATTRIBUTES
from cumulet.services.network.api.parts.trunks import TRUNK_DETAILS
from cumulet.services.network.types import FloatingIp, Network, Port, Router

_PARTS: dict[type, tuple[Part, ...]] = {
    Network: (qos.NETWORKS,),
    Port: (PORT_ATTRIBUTES, qos.PORTS, TRUNK_DETAILS),
    Router: (qos.ROUTERS,),
    FloatingIp: (qos.FLOATING_IPS,),
}


def of(kind: type) -> tuple[Part, ...]:
    """The parts of this kind of resource."""
    return _PARTS.get(kind, ())
