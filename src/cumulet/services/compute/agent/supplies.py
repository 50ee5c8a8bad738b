# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor takes from the other host parts, found through their contracts."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.contracts import Contracts
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.types import VolumeSpec
from cumulet.services.image.contract import HostImages
from cumulet.services.network.contract import HostPorts


class ContractSupplies:
    """Asks at each use, for the other parts may be made after this one."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def base(self, image_id: str) -> Path:
        return self._contracts.use(HostImages).base(image_id)

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        return self._contracts.use(HostPorts).open_tap(port_id, multi_queue=multi_queue)

    def close_tap(self, port_id: str) -> None:
        self._contracts.use(HostPorts).close_tap(port_id)

    def open_volume(self, volume: VolumeSpec, *, served: bool = False) -> Disk:
        volumes = self._contracts.use(HostVolumes)
        # The key first, for which the control plane is asked: the disk that was asked for is to be open within seconds.
        key = volumes.key(volume.attachment_id, volume.generation) if volume.encrypted else ""
        if served and volume.remote is None:
            return Disk.of(volumes.serve(volume.volume_id, generation=volume.generation), key)
        source = volumes.open(
            volume.volume_id, generation=volume.generation, remote=volume.remote, backend=volume.backend
        )
        return Disk.of(source, key)
