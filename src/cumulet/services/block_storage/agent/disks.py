# SPDX-License-Identifier: Apache-2.0
"""One opener a disk: who may touch a volume's bytes on this host at a given moment.

Either the hypervisor was given the disk (`open`), or it is exported to another host, or block storage works on it
closed (`closed`), never two of them. The hypervisor's own locks are never waited for while a disk is held here, so the
two cannot block each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.backup import VolumesKeeper
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.passwords import Passwords
from cumulet.services.block_storage.contract import DiskSource, NetworkSource, RemoteDisk
from cumulet.services.compute.contract import HostDisks

ASK_KEY = "volume.key"  # the control plane's verb: `{id, generation}` of an attachment, answered by `{passphrase}`
OPENING = 10.0  # seconds within which a server that asked for a disk has it open, unless its start takes longer
PATIENCE = 30.0  # seconds that an opener waits for work on the closed disk


class DisksForServers:
    """`contract.HostVolumes` on this host's back ends; `credentials()` is what others' exports are opened with.

    `call` asks the control plane, `passwords` are those of iSCSI targets.
    """

    def __init__(
        self,
        contracts: Contracts,
        backends: Backends,
        keeper: VolumesKeeper,
        exports: Exports,
        credentials: Callable[[], Path],
        call: Callable[..., Any],
        passwords: Passwords,
    ) -> None:
        self._contracts = contracts
        self._passwords = passwords
        self._keeper = keeper
        self._backends = backends
        self._exports = exports
        self._credentials = credentials
        self._call = call
        self._opening: dict[str, float] = {}
        self._busy: set[str] = set()
        self._changed = threading.Condition()

    def open(
        self, volume_id: str, *, generation: int = 0, remote: RemoteDisk | None = None, backend: str = ""
    ) -> DiskSource | NetworkSource:
        if remote is not None:
            if remote.protocol == "iscsi":
                return NetworkSource(remote=remote, credentials=self._passwords.ready(volume_id, generation))
            return NetworkSource(remote=remote, credentials=self._credentials())
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: volume_id not in self._busy, PATIENCE):
                    raise NotReady(f"Volume {volume_id} is being copied.")
                exported = self._exports.of(volume_id, backend)
                if exported is None or self._end_served(volume_id):
                    source = self._backends.source(volume_id, backend)
                    self._opening[volume_id] = time.monotonic()
                    return source
            if exported.shared or exported.generation >= generation:
                raise NotReady(f"Volume {volume_id} is open on host {exported.client}.")
            self._exports.end(volume_id, generation)

    def serve(self, volume_id: str, *, generation: int = 0) -> NetworkSource:
        with ExitStack() as held:
            if self._exports.find(volume_id) is None:
                held.enter_context(self.closed([volume_id], attached=False))
            remote = self._exports.begin(volume_id, generation, self._exports.name)
            with self._changed:
                self._opening[volume_id] = time.monotonic()
        return NetworkSource(remote=remote, credentials=self._credentials())

    def grow(self, volume_id: str, size: int, *, generation: int = 0) -> bool:
        return self._exports.serves(volume_id) and self._exports.resize(volume_id, size, generation)

    def key(self, attachment_id: str, generation: int) -> str:
        answer = self._call(ASK_KEY, {"id": attachment_id, "generation": generation})
        return str(answer["passphrase"])

    def close(self, volume_id: str) -> None:
        with self._changed:
            self._opening.pop(volume_id, None)
        self._end_served(volume_id)
        self._passwords.forget(volume_id)

    def copy_target(self, volume_id: str, into: Path) -> Path | None:
        if self._exports.find(volume_id) is not None:
            return None  # the export is its opener, and is asked for the copy
        return self._keeper.target(volume_id, into)

    def discard_copy(self, volume_id: str, into: Path) -> None:
        self._keeper.discard(volume_id, into)

    @contextmanager
    def closed(self, volume_ids: list[str], *, attached: bool = True, backend: str = "") -> Iterator[None]:
        """Hold disks that nobody has open; NotReady where somebody has, or is about to.

        `attached` False says that no server has a claim on them: what was asked for in the past is over. Of volumes
        that move those on `backend` are meant.
        """
        for volume_id in volume_ids:
            self._exports.end_loose(volume_id)
        if any(self.is_open(volume_id, backend) for volume_id in volume_ids):
            raise NotReady("The disk is open in a server.")
        self._hold(volume_ids, attached)
        try:
            for volume_id in volume_ids:
                self._end_served(volume_id)
            yield
        finally:
            with self._changed:
                self._busy.difference_update(volume_ids)
                self._changed.notify_all()

    def is_open(self, volume_id: str, backend: str = "") -> bool:
        """Whether a server, of this host or of another, may have it open now, on the back end if one is named."""
        if self._exports.of(volume_id, backend) is not None and not self._exports.serves(volume_id):
            return True
        hypervisor = self.hypervisor()
        return hypervisor is not None and hypervisor.is_open(volume_id, backend)

    def hypervisor(self) -> HostDisks | None:
        """Compute's part on this host, None where there is none."""
        if not self._contracts.offers(HostDisks):
            return None
        return self._contracts.use(HostDisks)

    def _end_served(self, volume_id: str) -> bool:
        """End the export that this host's hypervisor asked for; False where there is none."""
        if not self._exports.serves(volume_id):
            return False
        self._exports.end(volume_id)
        return True

    def _hold(self, volume_ids: list[str], attached: bool) -> None:
        with self._changed:
            free = self._changed.wait_for(lambda: self._busy.isdisjoint(volume_ids), PATIENCE)
            if not free:
                raise NotReady("Other work on the disk is under way.")
            for volume_id in volume_ids:
                if attached and self._is_awaited(volume_id):
                    raise NotReady("A server is about to open the disk.")
                self._opening.pop(volume_id, None)
            self._busy.update(volume_ids)

    def _is_awaited(self, volume_id: str) -> bool:
        """Whether a server that asked for the disk may still be about to open it."""
        since = self._opening.get(volume_id)
        if since is None:
            return False
        hypervisor = self.hypervisor()
        return time.monotonic() - since < OPENING or (hypervisor is not None and hypervisor.may_open(volume_id))
