# SPDX-License-Identifier: Apache-2.0
"""Compute's part on a host: verbs to a hypervisor, and a journal of the servers that should be here."""

from __future__ import annotations

import msgspec

from cumulet.kernel.link.host import Host, HostService
from cumulet.services.compute.agent.servers import ServersOnHost
from cumulet.services.compute.agent.supplies import ContractSupplies
from cumulet.services.compute.contract import HostDisks
from cumulet.services.compute.drivers.base import Hypervisor, Stopped, Supplies
from cumulet.services.compute.drivers.parts import Rules

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
        from cumulet.services.compute.drivers.fake_machine import FakeMachine

        machine = FakeMachine(**msgspec.structs.asdict(host.settings.fake_machine))
        fake: Hypervisor = FakeHypervisor(host.journal("compute.fake"), supplies, stopped, machine, _rules(host))
        return host.injection.wrap(fake, "compute.fake", host.name)
    settings = host.settings.compute
    folder, cpu = host.state / "compute", (settings.cpu_model, settings.cpu_flags)
    if settings.driver == "libvirt":
        from cumulet.services.compute.drivers.libvirt.driver import LibvirtHypervisor

        return LibvirtHypervisor(
            folder,
            supplies,
            stopped,
            uri=settings.libvirt_uri,
            accelerator=settings.accelerator,
            displays=settings.consoles,
            cpu=cpu,
            rules=_rules(host),
        )
    from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor

    return QemuHypervisor(
        folder,
        host.loop,
        supplies,
        stopped,
        accelerator=settings.accelerator,
        displays=settings.consoles,
        cpu=cpu,
        rules=_rules(host),
    )


def _rules(host: Host) -> Rules:
    """Which of the machine's parts servers may have for themselves."""
    settings = host.settings
    return Rules(
        dedicated=settings.compute.cpu_dedicated_set,
        shared=settings.compute.cpu_shared_set,
        reserved_pages=settings.compute.reserved_huge_pages,
        devices=settings.pci.device_spec,
        mdev_types=settings.devices.enabled_mdev_types,
    )
