# SPDX-License-Identifier: Apache-2.0
"""What a back end has in nobody's care: adopted as volumes and snapshots, and abandoned.

Bodies, all with `kind` (volume or snapshot): `volume.strangers` `{}`, answered by `found`, a list of `Stranger`;
`volume.stranger` `{name}`, answered by one; `volume.adopt` `{id, name, size}`; `volume.abandon` `{id, name}`. Sizes are
bytes, names those of `Stranger`; each may name the `backend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.kernel.link.host import Body, Verb
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.contents import Contents
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.drivers.base import Kind


class Strangers:
    """These verbs."""

    def __init__(self, backends: Backends, exports: Exports, disks: DisksForServers, contents: Contents) -> None:
        self._backends = backends
        self._exports = exports
        self._disks = disks
        self._contents = contents

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "volume.strangers": self.find_all,
            "volume.stranger": self.find,
            "volume.adopt": self.adopt,
            "volume.abandon": self.abandon,
        }

    def find_all(self, body: Body) -> Body:
        return {"found": [msgspec.to_builtins(one) for one in self._backends.of(body).strangers(_kind(body))]}

    def find(self, body: Body) -> Body:
        found: Body = msgspec.to_builtins(self._backends.of(body).stranger(_kind(body), str(body["name"])))
        return found

    def adopt(self, body: Body) -> None:
        self._backends.of(body).adopt(_kind(body), str(body["id"]), str(body["name"]), int(body["size"]))

    def abandon(self, body: Body) -> None:
        """That it is asked for says that nobody has a claim on it."""
        kind, disk_id = _kind(body), str(body["id"])
        with ExitStack() as held:
            if kind == "volume":
                self._exports.end(disk_id)
                held.enter_context(self._disks.closed([disk_id], attached=False))
            self._backends.of(body).abandon(kind, disk_id, str(body["name"]))
            if kind == "volume":
                self._contents.forget(disk_id)


def _kind(body: Body) -> Kind:
    if body["kind"] not in ("volume", "snapshot"):
        raise Invalid(f"There are no disks of the kind {body['kind']}.")
    return "volume" if body["kind"] == "volume" else "snapshot"
