# SPDX-License-Identifier: Apache-2.0
"""What families add to the resources of others, by the kind of resource."""

from __future__ import annotations

from cumulet.services.network.api.parts import qos
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.api.parts.conntrack_helpers import CONNTRACK_HELPERS
from cumulet.services.network.api.parts.dns import FLOATING_NAMES, NETWORK_DOMAIN, PORT_NAMES, SUBNET_PUBLISHING
from cumulet.services.network.api.parts.flavors import ROUTER_FLAVOR
from cumulet.services.network.api.parts.gateways import GATEWAYS
from cumulet.services.network.api.parts.ha import HA_NETWORK, ROUTER_HA
from cumulet.services.network.api.parts.ndp_proxies import ENABLE_NDP_PROXY
from cumulet.services.network.api.parts.port_attributes import PORT_ATTRIBUTES
from cumulet.services.network.api.parts.port_forwardings import PORT_FORWARDINGS
from cumulet.services.network.api.parts.tagged_frames import TAGGED_FRAMES
from cumulet.services.network.api.parts.trunks import TRUNK_DETAILS
from cumulet.services.network.types import FloatingIp, Network, Port, Router, Subnet

_PARTS: dict[type, tuple[Part, ...]] = {
    FloatingIp: (qos.FLOATING_IPS, FLOATING_NAMES, PORT_FORWARDINGS),
    Network: (qos.NETWORKS, NETWORK_DOMAIN, TAGGED_FRAMES, HA_NETWORK),
    Port: (PORT_ATTRIBUTES, PORT_NAMES, qos.PORTS, TRUNK_DETAILS),
    Router: (qos.ROUTERS, CONNTRACK_HELPERS, ENABLE_NDP_PROXY, ROUTER_FLAVOR, GATEWAYS, ROUTER_HA),
    Subnet: (SUBNET_PUBLISHING,),
}


def of(kind: type) -> tuple[Part, ...]:
    """The parts of this kind of resource."""
    return _PARTS.get(kind, ())
