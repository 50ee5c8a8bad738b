# SPDX-License-Identifier: Apache-2.0
"""Block storage's part on a host: verbs to the keepers of volumes, and the way of the hypervisor to their disks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cumulet.kernel.link import own_address
from cumulet.kernel.link.host import Host, HostService
from cumulet.services.block_storage.agent.backends import Backends, Kept
from cumulet.services.block_storage.agent.credentials import Credentials
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.volumes import VolumesOnHost
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.block_storage.drivers import kinds
from cumulet.services.block_storage.drivers.base import Exporter
from cumulet.settings.block_storage import FakeVolumeBackend, FileVolumeBackend, VolumeBackend

# The back end of this name keeps its volumes where hosts kept them before there were several.
OLDEST: dict[type, str] = {FileVolumeBackend: "file", FakeVolumeBackend: "fake"}


def create(host: Host) -> HostService:
    """The host part, with the back ends that the settings name."""
    listed = host.settings.block_storage.own_backends
    backends = Backends()
    address = own_address.own(host, host.settings.address) or "127.0.0.1"
    exports = Exports(host.name, address, host.journal("exports"), backends)

    @cache
    def nbd() -> Exporter:
        return _nbd_exporter(host, address, exports)

    for settings in listed:
        below = _below(settings)
        place = kinds.Place(host, settings, host.state / "block_storage" / below, address, nbd, exports.ended)
        made = kinds.find(settings.driver).make(place)
        backends.add(Kept(settings, made.backend, f"restored/{settings.name}" if made.elsewhere else below))
        for protocol, exporter in made.exporters.items():
            exports.use(exporter, settings.name, protocol)
    all_fake = all(isinstance(each, FakeVolumeBackend) for each in listed)
    service = VolumesOnHost(host, backends, exports, _no_credentials if all_fake else _credentials(host).ready)
    host.contracts.offer(HostVolumes, lambda: service.disks)
    return service


def _below(settings: VolumeBackend) -> str:
    return "" if settings.name == OLDEST.get(type(settings)) else f"backends/{settings.name}"


def _nbd_exporter(host: Host, address: str, exports: Exports) -> Exporter:
    from cumulet.services.block_storage.drivers.nbd import NbdExporter

    folder = host.state / "block_storage" / "exports"
    return NbdExporter(folder, host.loop, address, _credentials(host).ready, exports.ended)


def _credentials(host: Host) -> Credentials:
    return Credentials(host.state / "tls", host.name, host.call)


def _no_credentials() -> Path:
    """What a fake disk is opened with."""
    return Path()
