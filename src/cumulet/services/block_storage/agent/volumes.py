# SPDX-License-Identifier: Apache-2.0
"""The verbs that a host takes about volumes; the files themselves are the journal of what was done.

Each may name the `backend` that it is for, and else means the first. Bodies: `volume.create` a `VolumeSpec`;
`volume.snapshot` a `SnapshotSpec`; `volume.snapshot_group` a `GroupSnapshotSpec`; `volume.extend` `{id, size, attached,
generation}`; `volume.delete` `{id}`; `volume.delete_snapshot` `{id}`; `volume.upload` `{id, image_id, format, attached,
generation}`; `volume.export` `{id, generation, client, shared, protocol}`, answered by a `RemoteDisk`, over iSCSI with
the client's `secret`; `volume.unexport` `{id, generation, backend}`; `volume.report` `{}`; those of `contents`,
`moves`, `strangers` and `backups`.

Sizes are bytes. Whatever is done to a disk that somebody has open is refused (Conflict, `StaleAttachment`) where the
`generation` is that of another attachment; 0 means any.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from cumulet.kernel import detached, log_levels
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.backup import VolumesKeeper
from cumulet.services.block_storage.agent.backups import BackupsOnHost
from cumulet.services.block_storage.agent.contents import Contents
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.moves import Moves
from cumulet.services.block_storage.agent.passwords import Passwords
from cumulet.services.block_storage.agent.strangers import Strangers
from cumulet.services.block_storage.agent.together import CopiesTogether
from cumulet.services.block_storage.drivers.base import CopyByOpener, VolumeBackend, nobody
from cumulet.services.block_storage.types import SnapshotSpec, VolumeSpec
from cumulet.services.block_storage.types.groups import GroupSnapshotSpec
from cumulet.services.image.contract import HostImages

LOG = logging.getLogger(__name__)


class VolumesOnHost:
    """The host service `block_storage`."""

    def __init__(self, host: Host, backends: Backends, exports: Exports, credentials: Callable[[], Path]) -> None:
        self._host = host
        self._backends = backends
        self._uploads = host.state / "block_storage" / "uploads"
        self._exports = exports
        self.keeper = VolumesKeeper(
            backends, lambda held, volume_id: self._by_opener(held, volume_id, 0, attached=True)
        )
        passwords = Passwords(host.state / "block_storage" / "secrets", host.call)
        self.disks = DisksForServers(host.contracts, backends, self.keeper, exports, credentials, host.call, passwords)
        self._contents = Contents(host, backends, self.disks)
        self._strangers = Strangers(backends, exports, self.disks, self._contents)
        self._together = CopiesTogether(self.disks, exports)
        self._moves = Moves(backends, self._contents, credentials)
        self._backups = BackupsOnHost(host, backends, self.disks)

    @cached_property
    def verbs(self) -> Mapping[str, Verb]:
        return {name: self._in_order(verb) for name, verb in self._verbs.items()}

    @property
    def _verbs(self) -> Mapping[str, Verb]:
        return {
            "volume.create": self.create,
            "volume.extend": self.extend,
            "volume.delete": self.delete,
            "volume.snapshot": self.snapshot,
            "volume.delete_snapshot": self.delete_snapshot,
            "volume.snapshot_group": self.snapshot_group,
            "volume.upload": self.upload,
            "volume.export": self.export,
            "volume.unexport": self.unexport,
            "volume.report": lambda _body: self.report(),
            "volume.log_levels": lambda body: {"levels": log_levels.found(str(body.get("prefix", "")))},
            "volume.set_log_levels": lambda body: log_levels.change(str(body["level"]), str(body.get("prefix", ""))),
            **self._contents.verbs,
            **self._strangers.verbs,
            **self._moves.verbs,
            **self._backups.verbs,
        }

    def start(self) -> None:
        self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        detached.end_writers(self._uploads)
        for path in self._uploads.iterdir():
            path.unlink()
        for each in self._backends:
            for name in each.driver.sweep():
                LOG.warning("removed what interrupted work had left: %s", name)
            for name in each.driver.bring_back(self._host.state / "block_storage" / each.place):
                LOG.warning("took back from a backup: %s", name)
        self._exports.start()

    def stop(self) -> None:
        """Exports go on."""
        self._exports.close()

    def shutdown(self) -> None:
        """End the exports for now; the next start brings them back."""
        self._exports.rest()

    def report(self) -> Body:
        """What there is: of each of the `backends` as `Kept.report`, of all `volumes`, `snapshots` (ids), `exports`;
        `restores` are volumes that are being restored.

        `exports` gives the generations of the attachments that each is for, by volume. `stats` and `capabilities` are
        those of the first, for a control plane of the release before.
        """
        backends = self._backends.report()
        return {
            "backends": backends,
            "exports": {volume_id: export.generations for volume_id, export in self._exports.all().items()},
            "volumes": sorted({each for one in backends for each in one["volumes"]}),
            "snapshots": sorted({each for one in backends for each in one["snapshots"]}),
            "restores": self._backups.drafts(),
            **({word: backends[0][word] for word in ("stats", "capabilities")} if backends else {}),
        }

    def create(self, body: Body) -> Body:
        """Make the volume; a second time with the same size nothing is done."""
        spec = msgspec.convert(body, VolumeSpec)
        backend = self._backends.get(spec.backend)
        with ExitStack() as held:
            if spec.image_id is not None:
                images = self._host.contracts.use(HostImages)
                image = images.base(spec.image_id)
                backend.create_from_image(spec.id, spec.size, image, spec.image_format, spec.container)
            elif spec.snapshot_id is not None:
                backend.create_from_snapshot(spec.id, spec.size, spec.snapshot_id)
            elif spec.source_volume_id is not None:
                copy = self._copy(backend, held, spec.source_volume_id, spec.source_generation, attached=True)
                backend.clone(spec.id, spec.size, spec.source_volume_id, copy)
            else:
                backend.create_blank(spec.id, spec.size, spec.container)
        return {"size": backend.size(spec.id)}

    def extend(self, body: Body) -> Body:
        """Make the volume larger, through its opener where it is open."""
        volume_id, size, generation = str(body["id"]), int(body["size"]), int(body.get("generation", 0))
        backend = self._backends.of(body)
        if not body.get("attached"):
            self._exports.end_loose(volume_id)
        grown = backend.capabilities.extends_open
        if grown:
            backend.extend(volume_id, size)
        grown = grown or self._exports.resize(volume_id, size, generation)
        grown = grown or self._in_server(volume_id, size, generation)
        if not grown:
            with self.disks.closed([volume_id], attached=bool(body.get("attached"))):
                backend.extend(volume_id, size)
        return {"size": backend.size(volume_id)}

    def delete(self, body: Body) -> None:
        """Remove it; that it is asked for says that nobody has a claim on it."""
        volume_id, backend = str(body["id"]), self._backends.of(body)
        name = str(body.get("backend", ""))
        self._exports.end(volume_id, backend=name)
        with self.disks.closed([volume_id], attached=False, backend=name):
            backend.delete(volume_id)
            self._contents.forget(volume_id)
            self._backups.forget(volume_id)

    def export(self, body: Body) -> Body:
        """Let the host `client` open the volume, for the attachment with this `generation`."""
        volume_id, generation, client = str(body["id"]), int(body["generation"]), str(body["client"])
        with ExitStack() as held:
            if self._exports.find(volume_id) is None:
                held.enter_context(self.disks.closed([volume_id], backend=str(body.get("backend", ""))))
            remote = self._exports.begin(
                volume_id,
                generation,
                client,
                shared=bool(body.get("shared")),
                backend=str(body.get("backend", "")),
                protocol=str(body.get("protocol", "nbd")),
                loose=bool(body.get("loose")),
            )
            secret = self._exports.secret(volume_id, client)
        answer: Body = msgspec.to_builtins(remote)
        return {**answer, "secret": secret} if secret else answer

    def unexport(self, body: Body) -> None:
        """The attachment with this `generation` is over; nothing happens to a younger one, or on another back end."""
        self._exports.end(str(body["id"]), int(body["generation"]), str(body.get("backend", "")))

    def snapshot(self, body: Body) -> None:
        """Keep the volume's content as of now, through its opener where it is open."""
        spec = msgspec.convert(body, SnapshotSpec)
        with ExitStack() as held:
            backend = self._backends.get(spec.backend)
            copy = self._copy(backend, held, spec.volume_id, spec.generation, attached=spec.attached)
            backend.snapshot(spec.id, spec.volume_id, copy)

    def snapshot_group(self, body: Body) -> None:
        """Keep the content of several volumes as of one moment, through their openers where they are open."""
        spec = msgspec.convert(body, GroupSnapshotSpec)
        specs = {one.volume_id: one for one in spec.snapshots}
        with ExitStack() as held:
            backend = self._backends.get(spec.backend)
            wanted = {one.id: volume_id for volume_id, one in specs.items()}
            if backend.capabilities.copies_open:
                backend.snapshot_together(wanted)
                return
            backend.snapshot_together(
                wanted, lambda targets, target_format: self._together.copy(held, specs, targets, target_format)
            )

    def upload(self, body: Body) -> None:
        """Fill a queued image with the volume's content as of now."""
        volume_id, image_id = str(body["id"]), str(body["image_id"])
        target_format: Literal["qcow2", "raw"] = "qcow2" if body["format"] == "qcow2" else "raw"
        # No other file has the name: a program of an agent that died may still write to its own.
        path = self._uploads / f"{image_id}.{secrets.token_hex(8)}.{target_format}"
        try:
            with ExitStack() as held:
                generation = int(body.get("generation", 0))
                backend = self._backends.of(body)
                copy = self._copy(backend, held, volume_id, generation, attached=bool(body.get("attached")))
                backend.export(volume_id, path, target_format, copy)
            self._host.contracts.use(HostImages).push(image_id, path)
        finally:
            path.unlink(missing_ok=True)

    def delete_snapshot(self, body: Body) -> None:
        self._backends.of(body).delete_snapshot(str(body["id"]))

    def _in_server(self, volume_id: str, size: int, generation: int) -> bool:
        """Make the volume larger in the server that has it open; False where none has."""
        hypervisor = self.disks.hypervisor()
        return hypervisor is not None and hypervisor.resize(volume_id, size, generation=generation)

    def _in_order(self, verb: Verb) -> Verb:
        def run(body: Body) -> Any:
            with self._backends.order(body):
                return verb(body)

        return run

    def _copy(
        self, backend: VolumeBackend, held: ExitStack, volume_id: str, generation: int, *, attached: bool
    ) -> CopyByOpener:
        """Who copies the volume where it is open: the storage itself, or whoever has it open."""
        if backend.capabilities.copies_open:
            return nobody
        return self._by_opener(held, volume_id, generation, attached=attached)

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
