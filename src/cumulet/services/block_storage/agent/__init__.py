# SPDX-License-Identifier: Apache-2.0
"""Block storage's part on a host: verbs to the keeper of volumes, and the way of the hypervisor to its disks."""

from __future__ import annotations

from cumulet.kernel.link.host import Host, HostService
from cumulet.services.block_storage.agent.volumes import VolumesOnHost
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.block_storage.drivers.base import VolumeBackend


def create(host: Host) -> HostService:
    """The host part, with the back end that the settings name."""
    service = VolumesOnHost(host, _backend(host))
    host.contracts.offer(HostVolumes, lambda: service.disks)
    return service


def _backend(host: Host) -> VolumeBackend:
    root = host.state / "block_storage"
    if host.settings.block_storage.driver == "fake":
        from cumulet.services.block_storage.drivers.fake import FakeBackend

        fake: VolumeBackend = FakeBackend(root, journal=host.journal("block_storage.fake"))
        return host.injection.wrap(fake, "block_storage.fake", host.name)
    from cumulet.services.block_storage.drivers.file import FileBackend

    return FileBackend(root)
