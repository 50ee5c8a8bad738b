# SPDX-License-Identifier: Apache-2.0
"""The kinds of networks that the fabric carries on every host."""

from __future__ import annotations

from cumulet.services.network.contract import ProviderSegment

PHYSICAL = "public"  # the one physical network that the fabric joins to the host


class Flat:
    """`contract.TypeDriver`: a physical network as it is, without numbers."""

    overhead, numbers, everywhere = 0, range(0), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        if segment.physical_network is None:
            return "physical_network required for flat provider network"
        if segment.physical_network != PHYSICAL:
            return f"physical_network '{segment.physical_network}' unknown for flat provider network"
        return None


class Local:
    """`contract.TypeDriver`: a network for each host by itself; nothing leads from one host's to another's."""

    overhead, numbers, everywhere = 0, range(0), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        return None if segment.physical_network is None else "physical_network prohibited for local provider network"


class Vxlan:
    """`contract.TypeDriver`: a tunnel between all hosts that have ports on the network, told from others by its number.

    Projects' networks are numbered out of `network.segments`; an administrator may name any number that a header holds.
    """

    overhead, numbers, everywhere = 50, range(1, 1 << 24), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        if segment.physical_network is not None:
            return "provider:physical_network specified for vxlan network"
        return None
