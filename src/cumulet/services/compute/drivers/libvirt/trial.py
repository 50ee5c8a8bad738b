# SPDX-License-Identifier: Apache-2.0
"""Whether libvirt starts servers here: one is made, started and removed as every other one."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from cumulet.kernel.errors import NotFound
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt.driver import LibvirtHypervisor
from cumulet.services.compute.types import PowerState, ServerSpec, VolumeSpec

DISK = 1 << 20  # bytes


class _Supplies:
    """One image, nothing else."""

    def __init__(self, image: Path) -> None:
        self._image = image

    def base(self, image_id: str) -> Path:
        return self._image

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        raise NotFound("no port")

    def close_tap(self, port_id: str) -> None:
        return

    def open_volume(self, volume: VolumeSpec, *, served: bool = False) -> Disk:
        raise NotFound("no volume")


def starts(uri: str) -> bool:
    """Whether a server runs after it was started; the daemon needs the right to this process's files.

    Raises NotReady where no daemon answers, Conflict where it refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image"
        image.write_bytes(bytes(DISK))
        spec = ServerSpec(id=str(uuid.uuid4()), vcpus=1, ram=32, image_id="trial", image_format="raw")
        hypervisor = LibvirtHypervisor(Path(scratch), _Supplies(image), lambda *_: None, uri, accelerator="tcg")
        try:
            hypervisor.build(spec)
            hypervisor.start(spec)
            return hypervisor.power(spec.id) == PowerState.RUNNING
        finally:
            hypervisor.destroy(spec.id)
            hypervisor.close()
