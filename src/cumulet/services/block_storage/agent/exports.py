# SPDX-License-Identifier: Apache-2.0
"""Volumes of this host that servers of other hosts have: who may open each, kept in a journal and made so.

An export belongs to one attachment, known by its generation: a younger one takes its place, an older one is refused.
That of a volume which several servers share belongs to all of their attachments, and ends with the last.
The port is kept as long as the attachment, so that the other host's server finds its disk again after a break.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel.errors import Conflict, CumuletError, NotFound, NotReady
from cumulet.kernel.keyed_locks import KeyedLocks
from cumulet.kernel.link.host import Journal
from cumulet.kernel.moment import Moment
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.block_storage.drivers.base import Exporter

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.2  # seconds before an export that ended and cannot be started is tried again, doubled up to LAST_PAUSE
LAST_PAUSE = 10.0
NBD = "nbd"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment and the host that opens the volume for it."""

    generation: int
    client: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Which attachment a volume is exported for: its generation, the host that opens it, and where.

    A `shared` one has the attachments `others` too, and remembers the generations of those that are `gone`. `backend`
    has the volume, "" says nothing of that. `protocol` is that of its exporter. A `loose` one is for no attachment at
    all, and ends where work needs the volume closed.
    """

    generation: int
    client: str
    port: int = 0
    shared: bool = False
    others: list[Holder] = []
    gone: list[int] = []
    backend: str = ""
    protocol: str = NBD
    loose: bool = False

    @property
    def generations(self) -> list[int]:
        return [self.generation, *(each.generation for each in self.others)]

    @property
    def clients(self) -> list[str]:
        """The hosts that may open it, sorted."""
        return sorted({self.client, *(each.client for each in self.others)})

    def is_for(self, generation: int, client: str, shared: bool, protocol: str) -> bool:
        """Whether it is that of this attachment."""
        return (self.generation, self.client, self.shared, self.protocol) == (generation, client, shared, protocol)

    def joined(self, holder: Holder, *, loose: bool) -> Export:
        """With one more attachment; Conflict for one that was here and is gone."""
        if holder.generation in self.gone:
            raise Conflict("The attachment was ended meanwhile.", code="GenerationTooOld")
        if holder.generation in self.generations:
            return self
        return msgspec.structs.replace(self, others=[*self.others, holder], loose=self.loose and loose)

    def left(self, generation: int) -> Export | None:
        """Without an attachment; None where it was the last."""
        holders = [Holder(generation=self.generation, client=self.client), *self.others]
        kept = [each for each in holders if each.generation != generation]
        if not kept:
            return None
        gone, first = sorted({*self.gone, generation}), kept[0]
        return msgspec.structs.replace(
            self, generation=first.generation, client=first.client, others=kept[1:], gone=gone
        )


class Exports:
    """The exports of one host, which others reach at `address` and know as `name`."""

    def __init__(self, name: str, address: str, journal: Journal, backends: Backends) -> None:
        self.name = name
        self._address = address
        self._journal = journal
        self._backends = backends
        self._exporters: dict[tuple[str, str], Exporter] = {}
        self._locks = KeyedLocks()
        self._leaving = threading.Event()

    def use(self, exporter: Exporter, backend: str, protocol: str = NBD) -> None:
        """Export this back end's volumes through `exporter`, which tells the ends of exports to `ended`."""
        self._exporters[backend, protocol] = exporter

    def start(self) -> None:
        """Bring back what the journal knows; end what it does not."""
        known = self.all()
        for exporter in self._tools():
            for volume_id in exporter.exports():
                if volume_id not in known or self._is_of_another(exporter, volume_id, known[volume_id]):
                    LOG.warning("volume %s was exported though no record says so: ended", volume_id)
                    exporter.stop(volume_id)
        for volume_id in known:
            try:
                self._run(volume_id)
            except CumuletError as error:
                LOG.error("volume %s cannot be exported again: %s", volume_id, error)
                threading.Thread(target=self.ended, args=(volume_id,), name="export-again", daemon=True).start()

    def close(self) -> None:
        """The agent is leaving; exports go on."""
        self._leaving.set()
        for exporter in self._tools():
            exporter.close()

    def rest(self) -> None:
        """End all exports for as long as this host is down."""
        self._leaving.set()
        for exporter in self._tools():
            for volume_id in exporter.exports():
                exporter.stop(volume_id, for_good=False)

    def all(self) -> dict[str, Export]:
        return {key: msgspec.convert(record, Export) for key, record in self._journal.items().items()}

    def find(self, volume_id: str) -> Export | None:
        record = self._journal.get(volume_id)
        return None if record is None else msgspec.convert(record, Export)

    def serves(self, volume_id: str) -> bool:
        """Whether the volume is exported to this host itself, at the wish of its hypervisor."""
        have = self.find(volume_id)
        return have is not None and have.protocol == NBD and not have.shared and have.client == self.name

    def of(self, volume_id: str, backend: str) -> Export | None:
        """The volume's export, unless it is known to be that of a disk on another back end than the one named."""
        found = self.find(volume_id)
        return None if found is not None and backend and found.backend not in ("", backend) else found

    def begin(
        self,
        volume_id: str,
        generation: int,
        client: str,
        *,
        shared: bool = False,
        backend: str = "",
        protocol: str = NBD,
        loose: bool = False,
    ) -> RemoteDisk:
        """Export the volume for this attachment, in the place of any older one; Conflict where one is younger.

        Where it is `shared` the others stay. A `loose` one has a generation, but no attachment.
        """
        with self._locks.hold(volume_id):
            have = self.find(volume_id)
            if have is not None and shared and have.shared:
                holder = Holder(generation=generation, client=client)
                self._keep(volume_id, have.joined(holder, loose=loose))
            elif have is not None and have.generation > generation:
                raise Conflict(f"Volume {volume_id} is exported for a younger attachment.", code="GenerationTooOld")
            elif have is not None and self.of(volume_id, backend) is None:
                # Whoever has it open would come back to the other disk.
                raise Conflict(f"Volume {volume_id} is exported from {have.backend}.", code="ExportedElsewhere")
            elif have is None or not have.is_for(generation, client, shared, protocol):
                if have is not None:
                    self._stop(volume_id)
                new = Export(generation=generation, client=client, shared=shared, backend=backend, protocol=protocol)
                self._keep(volume_id, msgspec.structs.replace(new, loose=loose))
            port = self._run(volume_id)
            now = self.find(volume_id)
            if now is None:
                raise NotReady(f"Volume {volume_id} is not exported any more.")
            door = self._tool(volume_id, now).door(volume_id, client)
        return RemoteDisk(
            address=self._address,
            port=port,
            export=door.export,
            server=self.name,
            protocol=door.protocol,
            initiator=door.initiator,
            user=door.user,
        )

    def secret(self, volume_id: str, client: str) -> str:
        """What the client proves itself by, which is in no `RemoteDisk`; "" where that is a certificate."""
        have = self.find(volume_id)
        return "" if have is None else self._tool(volume_id, have).door(volume_id, client).secret

    def end(self, volume_id: str, generation: int | None = None, backend: str = "") -> None:
        """End the export unless it is for an attachment younger than `generation`; a shared one, with its last.

        Of a volume that moves that of its disk on `backend` is meant.
        """
        with self._locks.hold(volume_id):
            have = self.of(volume_id, backend)
            if have is None and self.find(volume_id) is not None:
                return
            if have is not None and have.shared and generation is not None:
                left = have.left(generation)
                if left is not None:
                    self._keep(volume_id, left)
                    self._run(volume_id)
                    return
            if have is None or generation is None or have.generation <= generation:
                self._stop(volume_id)
                self._journal.delete(volume_id)

    def end_loose(self, volume_id: str) -> None:
        """End the export where no attachment stands behind it."""
        with self._locks.hold(volume_id):
            have = self.find(volume_id)
            if have is not None and have.loose:
                LOG.warning("volume %s was open to %s by no attachment: ended", volume_id, ", ".join(have.clients))
                self.end(volume_id)

    def resize(self, volume_id: str, size: int, generation: int = 0) -> bool:
        """Make the volume larger through its export; False where it has none, Conflict where that is another's."""
        with self._locks.hold(volume_id):
            have = self._serving(volume_id, generation)
            if have is None:
                return False
            self._run(volume_id)
            self._tool(volume_id, have).resize(volume_id, size)
            return True

    def copy(self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], generation: int = 0) -> bool:
        """Copy the volume through its export; False where it has none, Conflict where that is another's."""
        with self._locks.hold(volume_id):
            have = self._serving(volume_id, generation)
            if have is None:
                return False
            self._run(volume_id)
            self._tool(volume_id, have).copy(volume_id, target, target_format)
            return True

    def copy_at(
        self,
        volume_id: str,
        target: Path,
        target_format: Literal["qcow2", "raw"],
        generation: int,
        moment: Moment | None,
    ) -> None:
        """As `copy`, at a moment that is shared with others; NotReady where the volume has no export any more."""
        with self._locks.hold(volume_id):
            have = self._serving(volume_id, generation)
            if have is None:
                raise NotReady(f"Volume {volume_id} is not exported any more.")
            self._run(volume_id)
            self._tool(volume_id, have).copy(volume_id, target, target_format, moment)

    def ended(self, volume_id: str) -> None:
        """An export ended though it should run: start it again, and try until that is done."""
        pause = FIRST_PAUSE
        while not self._leaving.is_set():
            try:
                if self.find(volume_id) is None:
                    return
                self._run(volume_id)
            except NotFound:
                LOG.error("volume %s, which should be exported, is gone", volume_id)
                return
            except CumuletError as error:
                LOG.warning("volume %s cannot be exported for now: %s", volume_id, error)
                self._leaving.wait(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                LOG.info("volume %s is exported again", volume_id)
                return

    def _is_of_another(self, exporter: Exporter, volume_id: str, export: Export) -> bool:
        try:
            return self._tool(volume_id, export) is not exporter
        except CumuletError:
            return False

    def _tools(self) -> list[Exporter]:
        """Each exporter once."""
        return list({id(each): each for each in self._exporters.values()}.values())

    def _stop(self, volume_id: str) -> None:
        """Whoever exports it."""
        for exporter in self._tools():
            exporter.stop(volume_id)

    def _tool(self, volume_id: str, export: Export) -> Exporter:
        backend = export.backend or self._backends.holding(volume_id).name
        found = self._exporters.get((backend, export.protocol))
        if found is None:
            raise NotReady(f"The settings of this host name no back end {backend} with {export.protocol}.")
        return found

    def _serving(self, volume_id: str, generation: int) -> Export | None:
        """The volume's export; Conflict where it is not for the attachment (0: any)."""
        have = self.find(volume_id)
        if have is not None and generation and generation not in have.generations:
            raise Conflict(f"Volume {volume_id} is attached anew meanwhile.", code="StaleAttachment")
        return have

    def _keep(self, volume_id: str, export: Export) -> None:
        self._journal.put(volume_id, msgspec.to_builtins(export))

    def _run(self, volume_id: str) -> int:
        """See that the export of the journal is there."""
        with self._locks.hold(volume_id):
            have = self.find(volume_id)
            if have is None:
                return 0
            source = self._backends.source(volume_id, have.backend)
            port = self._tool(volume_id, have).export(volume_id, source, have.clients, have.port)
            if port != have.port:
                self._keep(volume_id, msgspec.structs.replace(have, port=port))
            return port
