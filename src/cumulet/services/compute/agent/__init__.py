# SPDX-License-Identifier: Apache-2.0
"""Compute's part on a host: verbs to a hypervisor, and a journal of the servers that should be here."""

from __future__ import annotations

from cumulet.kernel.link.host import Host, HostService
from cumulet.services.compute.agent.servers import ServersOnHost
from cumulet.services.compute.agent.supplies import ContractSupplies
from cumulet.services.compute.contract import HostDisks
from cumulet.services.compute.drivers.base import Hypervisor, Stopped, Supplies

# Servers need their networks, volumes and images back before they are started again.
AFTER = ("network", "block_storage", "image")


def create(host: Host) -> HostService:
    """The host part, with the hypervisor that the settings name."""
    service = ServersOnHost(host, lambda stopped: _hypervisor(host, ContractSupplies(host.contracts), stopped))
    host.contracts.offer(HostDisks, lambda: service.disks)
    return service


def _hypervisor(host: Host, supplies: Supplies, stopped: Stopped) -> Hypervisor:
    if host.settings.compute.driver == "fake":
        from cumulet.services.compute.drivers.fake import FakeHypervisor

        fake: Hypervisor = FakeHypervisor(host.journal("compute.fake"), supplies, stopped)
        return host.injection.wrap(fake, "compute.fake", host.name)
    from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor

    settings = host.settings.compute
    return QemuHypervisor(
        host.state / "compute",
        host.loop,
        supplies,
        stopped,
        accelerator=settings.accelerator,
        displays=settings.consoles,
        cpu=(settings.cpu_model, settings.cpu_flags),
    )
