# SPDX-License-Identifier: Apache-2.0
"""Volumes that come from another place: another host, which exports them, or another back end of this one.

Body of `volume.receive`: `{id, backend, size, operation}` and where it is now, `remote` (a `RemoteDisk`) or `source`,
the name of a back end. Done once for an `operation`: what was left half way here by that id before is replaced.
That of `volume.recode` has the words of a `Recoding` too, and may name its own back end as the `source`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from cumulet.kernel.link.host import Body, Verb
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.contents import Contents
from cumulet.services.block_storage.contract import DiskSource, NetworkSource, RemoteDisk
from cumulet.services.block_storage.types.encryption import Recoding


class Moves:
    """This verb; `credentials()` is what others' exports are opened with."""

    def __init__(self, backends: Backends, contents: Contents, credentials: Callable[[], Path]) -> None:
        self._backends = backends
        self._contents = contents
        self._credentials = credentials

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {"volume.receive": self.receive, "volume.recode": self.recode}

    def receive(self, body: Body) -> None:
        """Have here what is there, whole or not at all; nobody has the disk, here or there."""
        self._receive(body, None)

    def recode(self, body: Body) -> None:
        """The same with the content encrypted otherwise, or no more."""
        self._receive(body, msgspec.convert(body, Recoding))

    def _receive(self, body: Body, recoding: Recoding | None) -> None:
        volume_id, size, backend = str(body["id"]), int(body["size"]), self._backends.of(body)
        source: DiskSource | NetworkSource
        if body.get("remote") is not None:
            remote = msgspec.convert(body["remote"], RemoteDisk)
            source = NetworkSource(remote=remote, credentials=self._credentials())
        else:
            source = self._backends.source(volume_id, str(body["source"]))
        self._contents.once(
            volume_id, str(body["operation"]), False, lambda: backend.receive(volume_id, size, source, recoding)
        )
