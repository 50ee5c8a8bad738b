# SPDX-License-Identifier: Apache-2.0
"""Ports on the kernel's own bridges, for any host that is there."""

from __future__ import annotations

from cumulet.services.network.contract import PortToBind, Vif


class Fabric:
    """`contract.MechanismDriver` for plain virtual interfaces: a tap on the network's bridge, behind its filter."""

    vnic_types = frozenset({"normal"})

    def bind(self, port: PortToBind) -> Vif | None:
        return Vif(kind="bridge", details={"port_filter": True, "connectivity": "l2"})
