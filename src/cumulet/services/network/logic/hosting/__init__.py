# SPDX-License-Identifier: Apache-2.0
"""What families of resources add to the desired state of hosts: a module each, with a Feature that is listed here."""

from __future__ import annotations

from cumulet.services.network.logic.hosting.address_groups import AddressGroups
from cumulet.services.network.logic.hosting.address_scopes import AddressScopes
from cumulet.services.network.logic.hosting.base import Feature
from cumulet.services.network.logic.hosting.conntrack_helpers import ConntrackHelpers
from cumulet.services.network.logic.hosting.distributed import DistributedRouters
from cumulet.services.network.logic.hosting.ha import HaRouters
from cumulet.services.network.logic.hosting.local_ips import LocalIps
from cumulet.services.network.logic.hosting.metering import Metering
from cumulet.services.network.logic.hosting.ndp_proxies import NdpProxies
from cumulet.services.network.logic.hosting.packet_logs import PacketLogs
from cumulet.services.network.logic.hosting.plugs import Plugs
from cumulet.services.network.logic.hosting.port_forwardings import PortForwardings
from cumulet.services.network.logic.hosting.qos import Shapes
from cumulet.services.network.logic.hosting.stateless import Stateless
from cumulet.services.network.logic.hosting.trunks import Trunks

FEATURES: tuple[Feature, ...] = (
    AddressGroups(),
    AddressScopes(),
    Stateless(),
    PortForwardings(),
    ConntrackHelpers(),
    NdpProxies(),
    Metering(),
    PacketLogs(),
    LocalIps(),
    Shapes(),
    Plugs(),
    HaRouters(),
    Trunks(),
    DistributedRouters(),
)
