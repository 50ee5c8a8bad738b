# SPDX-License-Identifier: Apache-2.0
"""Verbs on a server of this host beyond power and devices: suspend, rescue, rebuild, what the guest is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from cumulet.kernel.link.host import Body, Verb
from cumulet.services.compute.agent.records import Record, Records, Wish
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import RescueSpec, ServerSpec, VolumeSpec


class LifeOnHost:
    """As `ServersOnHost`: each takes the server's `id`. `wish(record, wish)` notes what should be, and answers it."""

    def __init__(self, hypervisor: Hypervisor, records: Records, wish: Callable[[Record, Wish], Body]) -> None:
        self._hypervisor = hypervisor
        self._records = records
        self._wish = wish

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "server.suspend": self.suspend,
            "server.resume": self.resume,
            "server.rescue": self.rescue,
            "server.unrescue": self.unrescue,
            "server.rebuild": self.rebuild,
            "server.interrupt": self.interrupt,
            "server.set_password": self.set_password,
            "server.quiesce": self.quiesce,
            "server.unquiesce": self.unquiesce,
        }

    def suspend(self, body: Body) -> Body:
        """Keep its memory on disk and end its run."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.suspend(body["id"])
            return self._wish(record, "suspended")

    def resume(self, body: Body) -> Body:
        """Let it go on where it was held."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.start(record.spec)
            self._hypervisor.unpause(body["id"])
            return self._wish(record, "running")

    def rescue(self, body: Body) -> Body:
        """Boot it from the disk of `rescue` (a RescueSpec), after up to `timeout` seconds for its shutdown."""
        wanted = msgspec.convert(body["rescue"], RescueSpec)
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            if record.spec.rescue != wanted or record.wish != "running":
                self._hypervisor.stop(body["id"], float(body.get("timeout", 0)))
            record = self._with(record, msgspec.structs.replace(record.spec, rescue=wanted))
            return self._run(record)

    def unrescue(self, body: Body) -> Body:
        """Back to its own disk; it boots from it unless `start` is false."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            if record.spec.rescue is not None:
                self._hypervisor.stop(body["id"], 0)
            record = self._with(record, msgspec.structs.replace(record.spec, rescue=None))
            if body.get("start", True):
                return self._run(record)
            self._hypervisor.stop(body["id"], 0)
            return self._wish(record, "shutdown")

    def rebuild(self, body: Body) -> Body:
        """Make the disks of `spec` (a ServerSpec) anew, once for each `operation`, and start it where `start`.

        `keep_ephemeral` spares its ephemeral disks, `root` is a volume (a VolumeSpec) that the image `image_id` in
        `image_format` is written to. The guest gets `timeout` seconds for its shutdown.
        """
        spec = msgspec.convert(body["spec"], ServerSpec)
        with self._records.lock(spec.id):
            record = self._records.find(spec.id) or Record(spec=spec, wish="shutdown")
            if record.rebuilt != body["operation"]:
                self._hypervisor.stop(spec.id, float(body.get("timeout", 0)))
                if self._records.find(spec.id) is not None:
                    self._hypervisor.discard_disks(spec, keep_ephemeral=bool(body.get("keep_ephemeral")))
                if body.get("root") is not None:
                    root = msgspec.convert(body["root"], VolumeSpec)
                    self._hypervisor.fill_volume(root, body["image_id"], body["image_format"])
                record = msgspec.structs.replace(record, rebuilt=body["operation"])
            record = self._with(record, spec)
            if body.get("start", True):
                return self._run(record)
            self._hypervisor.build(spec)
            return self._wish(record, "shutdown")

    def interrupt(self, body: Body) -> Body:
        """Have the guest write a dump of itself."""
        with self._records.lock(body["id"]):
            self._hypervisor.interrupt(body["id"])
        return {}

    def set_password(self, body: Body) -> Body:
        """Have the guest set `password` for `user`."""
        with self._records.lock(body["id"]):
            self._hypervisor.set_password(body["id"], body["user"], body["password"])
        return {}

    def quiesce(self, body: Body) -> Body:
        """Have the guest hold its file systems."""
        with self._records.lock(body["id"]):
            self._hypervisor.quiesce(body["id"])
        return {}

    def unquiesce(self, body: Body) -> Body:
        """Let them go on."""
        with self._records.lock(body["id"]):
            self._hypervisor.unquiesce(body["id"])
        return {}

    def _with(self, record: Record, spec: ServerSpec) -> Record:
        """Remember the server as `spec` before anything is made of it."""
        record = msgspec.structs.replace(record, spec=spec)
        self._records.put(record)
        return record

    def _run(self, record: Record) -> Body:
        self._hypervisor.build(record.spec)
        self._hypervisor.start(record.spec)
        return self._wish(record, "running")
