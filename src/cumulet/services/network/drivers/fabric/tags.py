# SPDX-License-Identifier: Apache-2.0
"""Devices that have the frames of one VLAN tag of a carrier: the kernel's own, or cables with packet programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cumulet.services.network.drivers.fabric import bpf
from cumulet.services.network.drivers.fabric.links import Links

KERNEL, PROGRAMS = "8021q", "bpf"
_OF_CARRIER = "cumulet tags"


class Tagged(NamedTuple):
    """A device `name` for the frames of `tag`, those of a network of `mtu` bytes; `stub` is the cable's other end."""

    tag: int
    name: str
    stub: str
    mtu: int


class _Carrier(NamedTuple):
    device: int
    array: bpf.Array
    stubs: dict[int, int]  # by tag, their devices' numbers


class Tags:
    """Brings the tagged devices of carriers to what is wanted, in the calling thread's namespace.

    Frames of a carrier whose tag nobody wants are dropped, where programs do it; the kernel's own VLAN devices leave
    them to the carrier.
    """

    def __init__(self, way: str) -> None:
        """`way` is KERNEL or PROGRAMS; with any other word nothing can be made."""
        self._way = way
        self._carriers: dict[str, _Carrier] = {}
        self._labels: dict[int, str] = {}  # programs of stubs, by their device's number

    def settle(self, links: Links, carrier: str, wanted: Iterable[Tagged], *, thorough: bool = False) -> None:
        """Have the devices of the carrier, not yet up nor on a bridge, and no others; OSError where it cannot be.

        `thorough` believes nothing that was made before.
        """
        listed = list(wanted)
        if not listed:
            self.release(links, carrier)
        elif self._way == KERNEL:
            for each in listed:
                links.vlan(each.name, carrier, each.tag)
        elif self._way == PROGRAMS:
            for each in listed:
                self._settle_stub(links, carrier, each, thorough=thorough)
            self._settle_carrier(links, carrier, {each.tag: each.stub for each in listed}, thorough=thorough)
        else:
            raise OSError("this host puts no tags on frames")

    def release(self, links: Links, carrier: str) -> None:
        """Leave all frames to the carrier itself."""
        known = self._carriers.pop(carrier, None)
        if known is None:
            return
        known.array.close()
        if carrier in links.devices and links.devices[carrier].index == known.device:
            links.end_program(carrier)

    def keep(self, links: Links, carriers: set[str]) -> None:
        """Release all other carriers."""
        for carrier in sorted(self._carriers.keys() - carriers):
            self.release(links, carrier)

    def close(self) -> None:
        """Let go of the arrays; the programs keep them, and go on."""
        for carrier in self._carriers.values():
            carrier.array.close()
        self._carriers.clear()

    def _settle_stub(self, links: Links, carrier: str, each: Tagged, *, thorough: bool) -> None:
        links.pair(each.name, each.stub, each.mtu)
        stub, label = links.devices[each.stub].index, f"tag {each.tag} to {links.devices[carrier].index}"
        if (thorough or self._labels.get(stub) != label) and links.program(each.stub) != label:
            links.run_program(each.stub, bpf.tagging(each.tag, links.devices[carrier].index), label)
        self._labels[stub] = label
        links.settle(each.stub, mtu=each.mtu)

    def _settle_carrier(self, links: Links, carrier: str, stubs: dict[int, str], *, thorough: bool) -> None:
        index = links.devices[carrier].index
        wanted = {tag: links.devices[stub].index for tag, stub in stubs.items()}
        known = self._carriers.get(carrier)
        if known is None or known.device != index or (thorough and links.program(carrier) != _OF_CARRIER):
            self._begin(links, carrier, wanted)
            return
        for tag in known.stubs.keys() - wanted.keys():
            known.array.put(tag, 0)
        for tag, stub in wanted.items():
            if known.stubs.get(tag) != stub:
                known.array.put(tag, stub)
        self._carriers[carrier] = known._replace(stubs=wanted)

    def _begin(self, links: Links, carrier: str, stubs: dict[int, int]) -> None:
        """Give the carrier a program with an array of its own; one of an agent before goes on until that moment."""
        old = self._carriers.pop(carrier, None)
        if old is not None:
            old.array.close()
        array = bpf.Array()
        try:
            for tag, stub in stubs.items():
                array.put(tag, stub)
            changes, was = links.changes, links.program(carrier)
            links.run_program(carrier, bpf.untagging(array), _OF_CARRIER)
        except BaseException:
            array.close()
            raise
        if was == _OF_CARRIER:
            links.changes = changes
        self._carriers[carrier] = _Carrier(links.devices[carrier].index, array, stubs)
