# SPDX-License-Identifier: Apache-2.0
"""The ways out of the physical network that the host itself is on: the cable to the host, and `pasta`."""

from __future__ import annotations

import socket
from collections.abc import Callable

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.egress import Egress
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import HostState, NetworkState


class Outside(Stage):
    """Stands while a network of the state is the physical one."""

    prefixes = (names.HOST_PEER, Egress.PLUG)

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._options = ground.options
        self._egress = Egress(ground.options.mark, wanted=ground.capabilities.egress)
        self._apart = Namespace(names.host_space(ground.options.mark)) if ground.options.apart else None

    def wanted(self, state: HostState) -> set[str]:
        is_there = any(network.physical == self._options.physical for network in state.networks)
        return {Egress.PLUG, names.HOST_PEER} if is_there else set()

    def settle(self, run: Run) -> None:
        """Bring all of it to its state; between two thorough passes only pasta is looked after."""
        physical = next((one for one in run.state.networks if one.physical == self._options.physical), None)
        cable = names.host_cable(self._options.mark)
        home = self._ground.home
        if physical is not None and not run.is_new(physical):
            with run.guarded(physical.id):
                run.changes += self._egress.keep()
            return
        if physical is None or not self._options.host_address:
            run.changes += self._at_host(lambda: _remove_cable(cable))
        else:
            with run.guarded(physical.id):
                run.changes += self._at_host(lambda: self._settle_cable(cable, physical.mtu))
                run.changes += home.visit(lambda: _join_cable(physical))
        if physical is not None:
            with run.guarded(physical.id):
                run.changes += self._egress.settle(home, physical, self._options.host_address)

    def remove(self) -> None:
        self._egress.remove()
        self._at_host(lambda: _remove_cable(names.host_cable(self._options.mark)))

    def _at_host(self, work: Callable[[], int]) -> int:
        """Run `work` in the host's namespace, or in the one that stands for it."""
        if self._apart is None:
            return in_thread(work, "cable")
        if self._apart.create():
            self._apart.visit(_loop)
        return self._apart.visit(work)

    def _settle_cable(self, cable: str, mtu: int) -> int:
        with Links() as links:
            links.cable(cable, names.HOST_PEER, self._ground.home, mtu=mtu)
            sysctl(f"net/ipv6/conf/{cable}/disable_ipv6", "1")
            links.settle(cable, mtu=mtu)
            links.addresses(cable, [self._options.host_address])
            return links.changes


def _loop() -> None:
    """What stands for the host reaches itself, as hosts do."""
    with Links() as links:
        links.settle("lo")


def _join_cable(network: NetworkState) -> int:
    with Links() as links:
        links.settle(names.HOST_PEER, mtu=network.mtu, master=names.bridge(network.id))
        return links.changes


def _remove_cable(cable: str) -> int:
    if cable not in {name for _, name in socket.if_nameindex()}:
        return 0
    with Links() as links:
        links.remove(cable)
        return links.changes
