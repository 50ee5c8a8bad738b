# SPDX-License-Identifier: Apache-2.0
"""Ports on the kernel's own bridges, for any host that has their network's way."""

from __future__ import annotations

from cumulet.services.network.contract import PortToBind, Vif
from cumulet.services.network.logic import agents, network_types


class Fabric:
    """`contract.MechanismDriver` for plain virtual interfaces: a tap on the network's bridge, behind its filter."""

    vnic_types = frozenset({"normal"})

    def bind(self, port: PortToBind) -> Vif | None:
        if port.physical_network is not None and not agents.leads_to(port.offers, port.physical_network):
            return None
        everywhere = network_types.find(port.network_type).everywhere
        if not everywhere and not agents.carries(port.offers, port.network_type):
            return None
        return Vif(kind="bridge", details={"port_filter": True, "connectivity": "l2"})
