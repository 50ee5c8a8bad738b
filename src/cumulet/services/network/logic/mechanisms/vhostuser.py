# SPDX-License-Identifier: Apache-2.0
"""Ports behind a switch in user space, which shares memory with the guest (vhost-user)."""

from __future__ import annotations

from cumulet.services.network.contract import PortToBind, Vif

_LONGEST_NAME = 14  # characters of a port's name in such a switch


class VhostUser:
    """`contract.MechanismDriver` for hosts that say in which directory their switch keeps its sockets.

    Where they say which physical networks it is on, ports of other networks are left to other drivers.
    """

    vnic_types = frozenset({"normal"})

    def bind(self, port: PortToBind) -> Vif | None:
        folder = port.offers.get("vhostuser_socket_dir")
        mapped = port.offers.get("vhostuser_bridge_mappings")
        if not folder or (isinstance(mapped, dict) and port.physical_network not in mapped):
            return None
        name = f"vhu{port.id}"[:_LONGEST_NAME]
        details = {
            "port_filter": False,
            "connectivity": "l2",
            "vhostuser_mode": "client",
            "vhostuser_socket": f"{folder}/{name}",
            "vhostuser_ovs_plug": True,
        }
        return Vif(kind="vhostuser", details=details)
