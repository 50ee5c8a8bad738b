# SPDX-License-Identifier: Apache-2.0
"""The verbs that a host takes about volumes; the files themselves are the journal of what was done.

Bodies: `volume.create` a `VolumeSpec`; `volume.snapshot` a `SnapshotSpec`; `volume.extend` `{id, size, attached,
generation}`; `volume.delete` `{id}`; `volume.delete_snapshot` `{id}`; `volume.upload` `{id, image_id, format, attached,
generation}`; `volume.export` `{id, generation, client, shared}`, answered by a `RemoteDisk`; `volume.unexport`
`{id, generation}`; `volume.report` `{}`. Sizes are bytes. Whatever is done to a disk that somebody has open is refused
(Conflict, `StaleAttachment`) where the `generation` is that of another attachment; 0 means any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.block_storage.agent.backup import VolumesKeeper
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.drivers.base import CopyByOpener, VolumeBackend
from cumulet.services.block_storage.types import SnapshotSpec, VolumeSpec
from cumulet.services.image.contract import HostImages

LOG = logging.getLogger(__name__)


class VolumesOnHost:
    """The host service `block_storage`."""

    def __init__(self, host: Host, backend: VolumeBackend, exports: Exports, credentials: Callable[[], Path]) -> None:
        self._host = host
        self._backend = backend
        self._uploads = host.state / "block_storage" / "uploads"
        self._exports = exports
        self.keeper = VolumesKeeper(backend, lambda held, volume_id: self._by_opener(held, volume_id, 0, attached=True))
        self.disks = DisksForServers(host.contracts, backend, self.keeper, exports, credentials)

    @cached_property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "volume.create": self.create,
            "volume.extend": self.extend,
            "volume.delete": self.delete,
            "volume.snapshot": self.snapshot,
            "volume.delete_snapshot": self.delete_snapshot,
            "volume.upload": self.upload,
            "volume.export": self.export,
            "volume.unexport": self.unexport,
            "volume.report": lambda _body: self.report(),
        }

    def start(self) -> None:
        self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._uploads.iterdir():
            path.unlink()
        for name in self._backend.sweep():
            LOG.warning("removed what interrupted work had left: %s", name)
        self._exports.start()

    def stop(self) -> None:
        """Exports go on."""
        self._exports.close()

    def shutdown(self) -> None:
        """End the exports for now; the next start brings them back."""
        self._exports.rest()

    def report(self) -> Body:
        """What there is: `volumes` and `snapshots` (ids), `exports`, `stats` (bytes) and `capabilities`.

        `exports` gives the generations of the attachments that each is for, by volume.
        """
        return {
            "exports": {volume_id: export.generations for volume_id, export in self._exports.all().items()},
            "volumes": self._backend.volumes(),
            "snapshots": self._backend.snapshots(),
            "stats": msgspec.to_builtins(self._backend.stats()),
            "capabilities": msgspec.to_builtins(self._backend.capabilities),
        }

    def create(self, body: Body) -> Body:
        """Make the volume; a second time with the same size nothing is done."""
        spec = msgspec.convert(body, VolumeSpec)
        with ExitStack() as held:
            if spec.image_id is not None:
                images = self._host.contracts.use(HostImages)
                image = images.base(spec.image_id)
                self._backend.create_from_image(spec.id, spec.size, image, spec.image_format)
            elif spec.snapshot_id is not None:
                self._backend.create_from_snapshot(spec.id, spec.size, spec.snapshot_id)
            elif spec.source_volume_id is not None:
                copy = self._by_opener(held, spec.source_volume_id, spec.source_generation, attached=True)
                self._backend.clone(spec.id, spec.size, spec.source_volume_id, copy)
            else:
                self._backend.create_blank(spec.id, spec.size)
        return {"size": self._backend.size(spec.id)}

    def extend(self, body: Body) -> Body:
        """Make the volume larger, through its opener where it is open."""
        volume_id, size, generation = str(body["id"]), int(body["size"]), int(body.get("generation", 0))
        grown = self._exports.resize(volume_id, size, generation) or self._in_server(volume_id, size, generation)
        if not grown:
            with self.disks.closed([volume_id], attached=bool(body.get("attached"))):
                self._backend.extend(volume_id, size)
        return {"size": self._backend.size(volume_id)}

    def delete(self, body: Body) -> None:
        """Remove it; that it is asked for says that nobody has a claim on it."""
        volume_id = str(body["id"])
        self._exports.end(volume_id)
        with self.disks.closed([volume_id], attached=False):
            self._backend.delete(volume_id)

    def export(self, body: Body) -> Body:
        """Let the host `client` open the volume, for the attachment with this `generation`."""
        volume_id, generation, client = str(body["id"]), int(body["generation"]), str(body["client"])
        with ExitStack() as held:
            if self._exports.find(volume_id) is None:
                held.enter_context(self.disks.closed([volume_id]))
            remote = self._exports.begin(volume_id, generation, client, shared=bool(body.get("shared")))
        answer: Body = msgspec.to_builtins(remote)
        return answer

    def unexport(self, body: Body) -> None:
        """The attachment with this `generation` is over; nothing happens to a younger one."""
        self._exports.end(str(body["id"]), int(body["generation"]))

    def snapshot(self, body: Body) -> None:
        """Keep the volume's content as of now, through its opener where it is open."""
        spec = msgspec.convert(body, SnapshotSpec)
        with ExitStack() as held:
            copy = self._by_opener(held, spec.volume_id, spec.generation, attached=spec.attached)
            self._backend.snapshot(spec.id, spec.volume_id, copy)

    def upload(self, body: Body) -> None:
        """Fill a queued image with the volume's content as of now."""
        volume_id, image_id = str(body["id"]), str(body["image_id"])
        target_format: Literal["qcow2", "raw"] = "qcow2" if body["format"] == "qcow2" else "raw"
        path = self._uploads / f"{image_id}.{target_format}"
        try:
            with ExitStack() as held:
                generation = int(body.get("generation", 0))
                copy = self._by_opener(held, volume_id, generation, attached=bool(body.get("attached")))
                self._backend.export(volume_id, path, target_format, copy)
            self._host.contracts.use(HostImages).push(image_id, path)
        finally:
            path.unlink(missing_ok=True)

    def delete_snapshot(self, body: Body) -> None:
        self._backend.delete_snapshot(str(body["id"]))

    def _in_server(self, volume_id: str, size: int, generation: int) -> bool:
        """Make the volume larger in the server that has it open; False where none has."""
        hypervisor = self.disks.hypervisor()
        return hypervisor is not None and hypervisor.resize(volume_id, size, generation=generation)

    def _by_opener(self, held: ExitStack, volume_id: str, generation: int, *, attached: bool) -> CopyByOpener:
        """Copy through whoever has the volume open; where nobody has, hold it closed until `held` ends."""

        def copy(target: Path, target_format: Literal["qcow2", "raw"]) -> bool:
            if self._exports.copy(volume_id, target, target_format, generation):
                return True
            hypervisor = self.disks.hypervisor()
            if hypervisor is not None and hypervisor.copy(volume_id, target, target_format, generation=generation):
                return True
            held.enter_context(self.disks.closed([volume_id], attached=attached))
            return False

        return copy
