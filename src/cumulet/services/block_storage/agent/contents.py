# SPDX-License-Identifier: Apache-2.0
"""Closed volumes whose content is put there anew: from a snapshot of this host, or from an image.

Bodies: `volume.revert` `{id, snapshot_id, operation, attached}`; `volume.reimage` `{id, image_id, image_format,
operation, container}` (that of an encrypted volume, see `types.encryption`).
Each is done once for an `operation`: an order that comes a second time, late, touches nothing that was written since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.types.encryption import Container
from cumulet.services.image.contract import HostImages


class Contents:
    """These verbs; the journal `contents` holds the last operation of each volume."""

    def __init__(self, host: Host, backends: Backends, disks: DisksForServers) -> None:
        self._host = host
        self._backends = backends
        self._disks = disks
        self._journal = host.journal("contents")

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {"volume.revert": self.revert, "volume.reimage": self.reimage}

    def revert(self, body: Body) -> None:
        """Make the volume what it was at its snapshot; `attached` says whether anybody has a claim on it."""
        volume_id, snapshot_id = str(body["id"]), str(body["snapshot_id"])
        attached, backend = bool(body.get("attached")), self._backends.of(body)
        self.once(volume_id, str(body["operation"]), attached, lambda: backend.revert(volume_id, snapshot_id))

    def reimage(self, body: Body) -> None:
        """Write the image over the volume, which a server that does not run may have a claim on."""
        volume_id, image_format, backend = str(body["id"]), str(body["image_format"]), self._backends.of(body)
        image = self._host.contracts.use(HostImages).base(str(body["image_id"]))
        said = body.get("container")
        container = None if said is None else msgspec.convert(said, Container)
        self.once(
            volume_id,
            str(body["operation"]),
            True,
            lambda: backend.reimage(volume_id, image, image_format, container),
        )

    def forget(self, volume_id: str) -> None:
        """The volume is gone."""
        self._journal.delete(volume_id)

    def once(self, volume_id: str, operation: str, attached: bool, work: Callable[[], None]) -> None:
        """Do the work on a volume that nobody has open, unless it is that which was done last."""
        with self._disks.closed([volume_id], attached=attached):
            if self._journal.get(volume_id) != operation:
                work()
                self._journal.put(volume_id, operation)
