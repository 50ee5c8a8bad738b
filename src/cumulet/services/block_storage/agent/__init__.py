# SPDX-License-Identifier: Apache-2.0
"""Block storage's part on a host: verbs to the keeper of volumes, and the way of the hypervisor to its disks."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.link import own_address
from cumulet.kernel.link.host import Host, HostService
from cumulet.services.block_storage.agent.credentials import Credentials
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.volumes import VolumesOnHost
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.block_storage.drivers.base import Exporter, VolumeBackend


def create(host: Host) -> HostService:
    """The host part, with the back end that the settings name."""
    fake = host.settings.block_storage.driver == "fake"
    backend = _fake_backend(host) if fake else _backend(host)
    address = own_address.own(host, host.settings.address) or "127.0.0.1"
    exports = Exports(host.name, address, host.journal("exports"), backend)
    exports.use(_fake_exporter(host, backend, exports) if fake else _exporter(host, address, exports))
    service = VolumesOnHost(host, backend, exports, _no_credentials if fake else _credentials(host).ready)
    host.contracts.offer(HostVolumes, lambda: service.disks)
    return service


def _backend(host: Host) -> VolumeBackend:
    from cumulet.services.block_storage.drivers.file import FileBackend

    return FileBackend(host.state / "block_storage")


def _exporter(host: Host, address: str, exports: Exports) -> Exporter:
    from cumulet.services.block_storage.drivers.nbd import NbdExporter

    folder = host.state / "block_storage" / "exports"
    return NbdExporter(folder, host.loop, address, _credentials(host).ready, exports.ended)


def _fake_backend(host: Host) -> VolumeBackend:
    from cumulet.services.block_storage.drivers.fake import FakeBackend

    fake: VolumeBackend = FakeBackend(host.state / "block_storage", journal=host.journal("block_storage.fake"))
    return host.injection.wrap(fake, "block_storage.fake", host.name)


def _fake_exporter(host: Host, backend: VolumeBackend, exports: Exports) -> Exporter:
    from cumulet.services.block_storage.drivers.fake import FakeExporter

    fake: Exporter = FakeExporter(backend, host.journal("exports.fake"), exports.ended)
    return host.injection.wrap(fake, "block_storage.fake.export", host.name)


def _credentials(host: Host) -> Credentials:
    return Credentials(host.state / "tls", host.name, host.call)


def _no_credentials() -> Path:
    """What a fake disk is opened with."""
    return Path()
