# SPDX-License-Identifier: Apache-2.0
"""The verbs that give a server of this host another flavor, and keep the old one's disks until they are not wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cumulet.kernel.link.host import Body, Verb
from cumulet.services.compute.agent.records import Record, Records, Wish
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import ServerSpec


class ResizesOnHost:
    """`wish(record, wish)` writes what the server should do, and tells its power.

    Each verb takes the server's `id`, and does nothing where it is done already.
    """

    def __init__(self, hypervisor: Hypervisor, records: Records, wish: Callable[[Record, Wish], Body]) -> None:
        self._hypervisor = hypervisor
        self._records = records
        self._wish = wish

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "server.resize": self.resize,
            "server.confirm_resize": self.confirm,
            "server.revert_resize": self.revert,
        }

    def resize(self, body: Body) -> Body:
        """Make the stopped server what `spec` (a ServerSpec) says, and start it if `start`.

        Its volumes and ports stay those that it has. Conflict (`ResizeError`) for a disk that would shrink.
        """
        wanted = msgspec.convert(body["spec"], ServerSpec)
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            before = record.before or record.spec
            kept = {name: getattr(record.spec, name) for name in ("volumes", "ports", "config_drive")}
            after = msgspec.structs.replace(wanted, **kept)
            # The journal first: whatever is half done then can be taken back.
            record = msgspec.structs.replace(record, spec=after, before=before)
            self._records.put(record)
            self._hypervisor.resize(before, after)
            return self._started(record, start=body["start"])

    def confirm(self, body: Body) -> Body:
        """Forget what the server was."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            if record.before is not None:
                self._hypervisor.confirm_resize(body["id"])
                self._records.put(msgspec.structs.replace(record, before=None))
        return {}

    def revert(self, body: Body) -> Body:
        """Make the server what it was, with the volumes and ports that it has now, and start it if `start`."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            if record.before is not None:
                self._hypervisor.stop(body["id"], 0)
                kept = {name: getattr(record.spec, name) for name in ("volumes", "ports")}
                before = msgspec.structs.replace(record.before, **kept)
                self._hypervisor.revert_resize(before, record.spec)
                record = msgspec.structs.replace(record, spec=before, before=None, wish="shutdown")
                self._records.put(record)
            return self._started(record, start=body["start"])

    def _started(self, record: Record, *, start: bool) -> Body:
        if not start:
            return self._wish(record, "shutdown")
        self._hypervisor.start(record.spec)
        return self._wish(record, "running")
