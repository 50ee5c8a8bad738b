# SPDX-License-Identifier: Apache-2.0
"""Scenarios of volumes and their snapshots alone: what clients of block storage do all day."""

from __future__ import annotations

import itertools
from typing import Any

from bench.client import Refused
from bench.scenarios.base import Scenario, Watch
from bench.scenarios.changes import gone, until
from bench.stock import SNAPSHOT, VOLUME, together

MANY = 100  # volumes in a list
ATTACHING = {"OpenStack-API-Version": "volume 3.44"}  # the first version in which an attachment is completed
# What a host tells of itself, as a library for connecting volumes reports it.
CONNECTOR = {
    "host": "bench-host",
    "ip": "127.0.0.1",
    "initiator": "iqn.1994-05.com.example:bench",
    "multipath": False,
    "os_type": "linux",
    "platform": "x86_64",
    "mountpoint": "/dev/vdb",
    "mode": "rw",
}


class VolumeScenario(Scenario):
    """What these have in common: snapshots, then volumes, are removed when the run ends."""

    needs = ("volume",)
    most = 20
    usual = False

    async def prepare(self, count: int) -> None:
        await self.stock.make_room()
        await self.ready(count)

    async def ready(self, count: int) -> None:
        """Make what the operations are about."""

    async def tidy(self) -> None:
        await self.stock.remove_snapshots()
        await self.stock.remove_volumes()

    async def volume(self, watch: Watch | None = None, **words: Any) -> str:
        """Make a volume and wait until it is available; its id."""
        return await self._make("volume", {"name": VOLUME, **words}, watch)

    async def snapshot(self, volume: str, watch: Watch | None = None) -> str:
        """Take a snapshot and wait until it is available; its id."""
        return await self._make("snapshot", {"name": SNAPSHOT, "volume_id": volume}, watch)

    async def some(self, count: int) -> list[str]:
        """So many empty volumes."""
        found: list[str] = []

        async def one() -> None:
            found.append(await self.volume(size=1))

        await together(one() for _ in range(count))
        return found

    async def _make(self, key: str, words: dict[str, Any], watch: Watch | None) -> str:
        made = str((await self.client.ask("POST", "volume", f"/{key}s", {key: words}))[key]["id"])
        if watch is not None:
            watch.mark("POST")
        await until(self.client, "volume", f"/{key}s/{made}", key, "available")
        if watch is not None:
            watch.mark("available")
        return made


class VolumeClone(VolumeScenario):
    """Make a volume of another one: until the answer, and until it is available (looked at every 0.1 s)."""

    name = "volume-clone"
    marks = ("POST", "available")

    async def ready(self, count: int) -> None:
        self._source = await self.volume(size=1)

    async def operate(self, watch: Watch) -> None:
        await self.volume(watch, source_volid=self._source)


class VolumeFromSnapshot(VolumeScenario):
    """Make a volume of a snapshot: until the answer, and until it is available (looked at every 0.1 s)."""

    name = "volume-from-snapshot"
    marks = ("POST", "available")

    async def ready(self, count: int) -> None:
        self._snapshot = await self.snapshot(await self.volume(size=1))

    async def operate(self, watch: Watch) -> None:
        await self.volume(watch, snapshot_id=self._snapshot)


class VolumeDelete(VolumeScenario):
    """Delete a volume: until the answer, and until it is gone (looked at every 0.1 s)."""

    name = "volume-delete"
    marks = ("DELETE", "gone")

    async def ready(self, count: int) -> None:
        self._volumes = await self.some(count)

    async def operate(self, watch: Watch) -> None:
        path = f"/volumes/{self._volumes.pop()}"
        await self.client.send("DELETE", "volume", path)
        watch.mark("DELETE")
        await gone(self.client, "volume", path)
        watch.mark("gone")


class VolumeExtend(VolumeScenario):
    """Extend a volume by a GiB: until the answer, and until it is available (looked at every 0.1 s)."""

    name = "volume-extend"
    marks = ("POST", "available")

    async def ready(self, count: int) -> None:
        self._volumes = await self.some(count)

    async def operate(self, watch: Watch) -> None:
        path = f"/volumes/{self._volumes.pop()}"
        await self.client.send("POST", "volume", f"{path}/action", {"os-extend": {"new_size": 2}})
        watch.mark("POST")
        await until(self.client, "volume", path, "volume", "available")
        watch.mark("available")


class SnapshotCreate(VolumeScenario):
    """Take a snapshot: until the answer, and until it is available (looked at every 0.1 s)."""

    name = "snapshot-create"
    marks = ("POST", "available")

    async def ready(self, count: int) -> None:
        self._volume = await self.volume(size=1)

    async def operate(self, watch: Watch) -> None:
        await self.snapshot(self._volume, watch)


class SnapshotDelete(VolumeScenario):
    """Delete a snapshot: until the answer, and until it is gone (looked at every 0.1 s)."""

    name = "snapshot-delete"
    marks = ("DELETE", "gone")

    async def ready(self, count: int) -> None:
        volume = await self.volume(size=1)
        self._snapshots: list[str] = []

        async def one() -> None:
            self._snapshots.append(await self.snapshot(volume))

        await together(one() for _ in range(count))

    async def operate(self, watch: Watch) -> None:
        path = f"/snapshots/{self._snapshots.pop()}"
        await self.client.send("DELETE", "volume", path)
        watch.mark("DELETE")
        await gone(self.client, "volume", path)
        watch.mark("gone")


class Attaching(VolumeScenario):
    """What attaching and detaching have in common: all claims end with the run."""

    async def ready(self, count: int) -> None:
        self.volumes = await self.some(count)
        self.claims: list[str] = []

    async def attach(self) -> None:
        words = {"volume_uuid": self.volumes.pop(), "connector": CONNECTOR}
        made = await self.client.ask("POST", "volume", "/attachments", {"attachment": words}, headers=ATTACHING)
        self.claims.append(str(made["attachment"]["id"]))
        path = f"/attachments/{self.claims[-1]}/action"
        await self.client.send("POST", "volume", path, {"os-complete": {}}, headers=ATTACHING)

    async def detach(self) -> None:
        await self.client.send("DELETE", "volume", f"/attachments/{self.claims.pop()}", headers=ATTACHING)

    async def tidy(self) -> None:
        await together(self.detach() for _ in tuple(self.claims))
        await super().tidy()


class VolumeAttach(Attaching):
    """Attach a volume to a host: two requests, after which it is in use."""

    name = "volume-attach"

    async def operate(self, watch: Watch) -> None:
        await self.attach()


class VolumeDetach(Attaching):
    """Detach a volume: one request, after which it is available."""

    name = "volume-detach"

    async def ready(self, count: int) -> None:
        await super().ready(count)
        await together(self.attach() for _ in tuple(self.volumes))

    async def operate(self, watch: Watch) -> None:
        await self.detach()


class VolumeList(Scenario):
    """List 100 volumes with details."""

    name = "volume-list"
    needs = ("volume",)
    usual = False

    async def prepare(self, count: int) -> None:
        await self.stock.shelf(MANY)
        listed = len((await self.client.ask("GET", "volume", "/volumes/detail"))["volumes"])
        if listed < MANY:
            raise Refused(0, f"only {listed} volumes are listed")

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "volume", "/volumes/detail")


class VolumeShow(Scenario):
    """Show one of 100 volumes, each in its turn."""

    name = "volume-show"
    needs = ("volume",)
    usual = False

    async def prepare(self, count: int) -> None:
        self._volumes = itertools.cycle(await self.stock.shelf(MANY))

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "volume", f"/volumes/{next(self._volumes)}")
