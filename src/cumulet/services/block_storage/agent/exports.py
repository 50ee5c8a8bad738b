# SPDX-License-Identifier: Apache-2.0
"""Volumes of this host that servers of other hosts have: who may open each, kept in a journal and made so.

An export belongs to one attachment, known by its generation: a younger one takes its place, an older one is refused.
That of a volume which several servers share belongs to all of their attachments, and ends with the last.
The port is kept as long as the attachment, so that the other host's server finds its disk again after a break.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel.errors import Conflict, CumuletError, NotFound
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.block_storage.drivers.base import Exporter, VolumeBackend

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.2  # seconds before an export that ended and cannot be started is tried again, doubled up to LAST_PAUSE
LAST_PAUSE = 10.0


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment and the host that opens the volume for it."""

    generation: int
    client: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Which attachment a volume is exported for: its generation, the host that opens it, and where.

    A `shared` one has the attachments `others` too, and remembers the generations of those that are `gone`.
    """

    generation: int
    client: str
    port: int = 0
    shared: bool = False
    others: list[Holder] = []
    gone: list[int] = []

    @property
    def generations(self) -> list[int]:
        return [self.generation, *(each.generation for each in self.others)]

    @property
    def clients(self) -> list[str]:
        """The hosts that may open it, sorted."""
        return sorted({self.client, *(each.client for each in self.others)})

    def joined(self, holder: Holder) -> Export:
        """With one more attachment; Conflict for one that was here and is gone."""
        if holder.generation in self.gone:
            raise Conflict("The attachment was ended meanwhile.", code="GenerationTooOld")
        if holder.generation in self.generations:
            return self
        return msgspec.structs.replace(self, others=[*self.others, holder])

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

    def __init__(self, name: str, address: str, journal: Journal, backend: VolumeBackend) -> None:
        self._name = name
        self._address = address
        self._journal = journal
        self._backend = backend
        self._exporter: Exporter | None = None
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}
        self._leaving = threading.Event()

    def use(self, exporter: Exporter) -> None:
        """Export through `exporter` from now on; it tells the ends of exports to `ended`."""
        self._exporter = exporter

    def start(self) -> None:
        """Bring back what the journal knows; end what it does not."""
        known = self.all()
        for volume_id in self._tool.exports():
            if volume_id not in known:
                LOG.warning("volume %s was exported though no record says so: ended", volume_id)
                self._tool.stop(volume_id)
        for volume_id in known:
            try:
                self._run(volume_id)
            except CumuletError as error:
                LOG.error("volume %s cannot be exported again: %s", volume_id, error)
                threading.Thread(target=self.ended, args=(volume_id,), name="export-again", daemon=True).start()

    def close(self) -> None:
        """The agent is leaving; exports go on."""
        self._leaving.set()
        self._tool.close()

    def rest(self) -> None:
        """End all exports for as long as this host is down."""
        self._leaving.set()
        for volume_id in self._tool.exports():
            self._tool.stop(volume_id)

    def all(self) -> dict[str, Export]:
        return {key: msgspec.convert(record, Export) for key, record in self._journal.items().items()}

    def find(self, volume_id: str) -> Export | None:
        record = self._journal.get(volume_id)
        return None if record is None else msgspec.convert(record, Export)

    def begin(self, volume_id: str, generation: int, client: str, *, shared: bool = False) -> RemoteDisk:
        """Export the volume for this attachment, in the place of any older one; Conflict where one is younger.

        Where it is `shared` the others stay.
        """
        with self._lock(volume_id):
            have = self.find(volume_id)
            if have is not None and shared and have.shared:
                self._keep(volume_id, have.joined(Holder(generation=generation, client=client)))
            elif have is not None and have.generation > generation:
                raise Conflict(f"Volume {volume_id} is exported for a younger attachment.", code="GenerationTooOld")
            elif have is None or (have.generation, have.client, have.shared) != (generation, client, shared):
                if have is not None:
                    self._tool.stop(volume_id)
                self._keep(volume_id, Export(generation=generation, client=client, shared=shared))
            port = self._run(volume_id)
        return RemoteDisk(address=self._address, port=port, export=volume_id, server=self._name)

    def end(self, volume_id: str, generation: int | None = None) -> None:
        """End the export unless it is for an attachment younger than `generation`; a shared one, with its last."""
        with self._lock(volume_id):
            have = self.find(volume_id)
            if have is not None and have.shared and generation is not None:
                left = have.left(generation)
                if left is not None:
                    self._keep(volume_id, left)
                    self._run(volume_id)
                    return
            if have is None or generation is None or have.generation <= generation:
                self._tool.stop(volume_id)
                self._journal.delete(volume_id)

    def resize(self, volume_id: str, size: int, generation: int = 0) -> bool:
        """Make the volume larger through its export; False where it has none, Conflict where that is another's."""
        with self._lock(volume_id):
            if not self._serves(volume_id, generation):
                return False
            self._run(volume_id)
            self._tool.resize(volume_id, size)
            return True

    def copy(self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], generation: int = 0) -> bool:
        """Copy the volume through its export; False where it has none, Conflict where that is another's."""
        with self._lock(volume_id):
            if not self._serves(volume_id, generation):
                return False
            self._run(volume_id)
            self._tool.copy(volume_id, target, target_format)
            return True

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

    @property
    def _tool(self) -> Exporter:
        assert self._exporter is not None
        return self._exporter

    def _serves(self, volume_id: str, generation: int) -> bool:
        """Whether the volume is exported; Conflict where it is, but not for the attachment (0: any)."""
        have = self.find(volume_id)
        if have is not None and generation and generation not in have.generations:
            raise Conflict(f"Volume {volume_id} is attached anew meanwhile.", code="StaleAttachment")
        return have is not None

    def _keep(self, volume_id: str, export: Export) -> None:
        self._journal.put(volume_id, msgspec.to_builtins(export))

    def _run(self, volume_id: str) -> int:
        """See that the export of the journal is there."""
        with self._lock(volume_id):
            have = self.find(volume_id)
            if have is None:
                return 0
            port = self._tool.export(volume_id, self._backend.source(volume_id), have.clients, have.port)
            if port != have.port:
                self._keep(volume_id, msgspec.structs.replace(have, port=port))
            return port

    @contextmanager
    def _lock(self, volume_id: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(volume_id, threading.RLock())
        with lock:
            yield
