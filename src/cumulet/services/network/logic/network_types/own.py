# SPDX-License-Identifier: Apache-2.0
"""The kinds of networks of this package: those that the fabric carries, and those that it would only know by name."""

from __future__ import annotations

from cumulet.services.network.contract import ProviderSegment
from cumulet.services.network.types.provider import ANY, FIRST_VLAN, LAST_VLAN


class Flat:
    """`contract.TypeDriver`: a physical network as it is, without numbers."""

    overhead, numbers, everywhere = 0, range(0), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        if not segment.physical_network:
            return "physical_network required for flat provider network"
        if not segment.known:
            return "Flat provider networks are disabled"
        if segment.physical_network not in segment.known and ANY not in segment.known:
            return f"physical_network '{segment.physical_network}' unknown for flat provider network"
        return None


class Local:
    """`contract.TypeDriver`: a network for each host by itself; nothing leads from one host's to another's."""

    overhead, numbers, everywhere = 0, range(0), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        return None if segment.physical_network is None else "physical_network prohibited for local provider network"


class Vlan:
    """`contract.TypeDriver`: the frames of a physical network that have the network's tag."""

    overhead, numbers, everywhere = 0, range(FIRST_VLAN, LAST_VLAN + 1), False

    def refuse(self, segment: ProviderSegment) -> str | None:
        if segment.physical_network and segment.physical_network not in segment.known:
            return f"physical_network '{segment.physical_network}' unknown for VLAN provider network"
        if not segment.physical_network and segment.segmentation_id is not None:
            return "segmentation_id requires physical_network for VLAN provider network"
        return None


class Tunnel:
    """`contract.TypeDriver`: a tunnel between all hosts that have ports on the network, told from others by its number.

    Projects' networks are numbered out of `network.segments`; an administrator may name any number that a header holds.
    """

    def __init__(self, name: str, overhead: int, numbers: range, *, everywhere: bool) -> None:
        self.overhead, self.numbers, self.everywhere = overhead, numbers, everywhere
        self._name = name

    def refuse(self, segment: ProviderSegment) -> str | None:
        if segment.physical_network:
            return f"provider:physical_network specified for {self._name} network"
        return None


VXLAN = Tunnel("vxlan", 50, range(1, 1 << 24), everywhere=True)
GENEVE = Tunnel("geneve", 50, range(1, 1 << 24), everywhere=False)
GRE = Tunnel("gre", 42, range(1, 1 << 32), everywhere=False)
