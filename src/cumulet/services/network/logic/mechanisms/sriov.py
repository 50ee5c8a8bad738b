# SPDX-License-Identifier: Apache-2.0
"""Ports that are virtual functions of a network card, or a whole one (SR-IOV)."""

from __future__ import annotations

from cumulet.services.network.contract import PortToBind, Vif

_UNTAGGED = "0"  # as Neutron says of flat networks


class Sriov:
    """`contract.MechanismDriver` for hosts that say which of their cards are on the port's physical network."""

    vnic_types = frozenset({"direct", "macvtap", "direct-physical"})

    def bind(self, port: PortToBind) -> Vif | None:
        mappings = port.offers.get("device_mappings")
        if not isinstance(mappings, dict) or port.physical_network not in mappings:
            return None
        if port.vnic_type == "direct" and "switchdev" in port.profile.get("capabilities", ()):
            return None  # what a switch of its own offloads is that switch's to plug in
        tag = _UNTAGGED if port.segmentation_id is None else str(port.segmentation_id)
        kind = "hostdev_physical" if port.vnic_type == "direct-physical" else "hw_veb"
        return Vif(kind=kind, details={"port_filter": False, "connectivity": "l2", "vlan": tag})
