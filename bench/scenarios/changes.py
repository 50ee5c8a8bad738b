# SPDX-License-Identifier: Apache-2.0
"""Scenarios that make and remove things."""

from __future__ import annotations

import asyncio
import time

from bench.client import Client, Refused
from bench.scenarios.base import Scenario, Watch
from bench.stock import PORT, SERVER, VOLUME, together

POLL = 0.1  # seconds between two looks at something on its way
PATIENCE = 300.0  # seconds until it is given up


class PortCreate(Scenario):
    """Make a port with an address."""

    name = "port-create"
    needs = ("network",)
    most = 300

    async def prepare(self, count: int) -> None:
        await self.stock.make_room()
        self._network = await self.stock.network()

    async def operate(self, watch: Watch) -> None:
        await self.make()

    async def tidy(self) -> None:
        await self.stock.remove_ports()

    async def make(self) -> str:
        words = {"network_id": self._network, "name": PORT}
        return str((await self.client.ask("POST", "network", "/ports", {"port": words}))["port"]["id"])


class PortDelete(PortCreate):
    """Delete a port."""

    name = "port-delete"

    async def prepare(self, count: int) -> None:
        await super().prepare(count)
        self._ports: list[str] = []

        async def one() -> None:
            self._ports.append(await self.make())

        await together(one() for _ in range(count))

    async def operate(self, watch: Watch) -> None:
        await self.client.send("DELETE", "network", f"/ports/{self._ports.pop()}")


class VolumeCreate(Scenario):
    """Make an empty volume of 1 GiB: until the answer, and until it is available (looked at every 0.1 s)."""

    name = "volume-create"
    needs = ("volume",)
    most = 20
    marks = ("POST", "available")

    async def prepare(self, count: int) -> None:
        await self.stock.make_room()

    async def operate(self, watch: Watch) -> None:
        body = {"volume": {"name": VOLUME, "size": 1}}
        volume = (await self.client.ask("POST", "volume", "/volumes", body))["volume"]
        watch.mark("POST")
        await until(self.client, "volume", f"/volumes/{volume['id']}", "volume", "available")
        watch.mark("available")

    async def tidy(self) -> None:
        await self.stock.remove_volumes()


class ServerCreate(Scenario):
    """Boot a server: until the answer, and until it is ACTIVE (looked at every 0.1 s)."""

    name = "server-create"
    needs = ("compute", "image", "network", "placement")
    most = 20
    marks = ("POST", "ACTIVE")

    async def prepare(self, count: int) -> None:
        await self.stock.make_room()
        await asyncio.gather(self.stock.image(), self.stock.flavor(), self.stock.network())

    async def operate(self, watch: Watch) -> None:
        server_id = await self.stock.boot(SERVER)
        watch.mark("POST")
        await until(self.client, "compute", f"/servers/{server_id}", "server", "ACTIVE")
        watch.mark("ACTIVE")

    async def tidy(self) -> None:
        await self.stock.remove_servers(SERVER)


class FullHost(ServerCreate):
    """The same on a host that has 200 servers already."""

    name = "server-create-200"
    usual = False

    async def prepare(self, count: int) -> None:
        await super().prepare(count)
        await self.stock.fleet(200)


class FiftyServers(ServerCreate):
    """Boot 50 servers at once: until all are answered, and until all are ACTIVE (listed every 0.5 s).

    The times are of all fifty, CPU is of one.
    """

    name = "50-servers"
    most = 1
    alone = True
    things = 50
    marks = ("all answered", "all ACTIVE")

    async def operate(self, watch: Watch) -> None:
        names = (f"{SERVER}-{number}" for number in range(self.things))
        await asyncio.gather(*(self.stock.boot(name) for name in names))
        watch.mark("all answered")
        await self.stock.wait_active(SERVER, self.things)
        watch.mark("all ACTIVE")


async def until(client: Client, service: str, path: str, key: str, wanted: str) -> None:
    """Look at something until its status is `wanted`. Raises Refused when it is an error, or takes too long."""
    end = time.monotonic() + PATIENCE
    while True:
        found = (await client.ask("GET", service, path))[key]
        status = str(found["status"])
        if status == wanted:
            return
        if status.lower() == "error":
            reason = found.get("fault", {}).get("message", "no reason given")
            raise Refused(0, f"{key} in {status}: {reason}")
        if time.monotonic() > end:
            raise Refused(0, f"{key} still {status} after {PATIENCE:g} s")
        await asyncio.sleep(POLL)


async def gone(client: Client, service: str, path: str) -> None:
    """Look at something until it is not there. Raises Refused when it takes too long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            await client.send("GET", service, path)
        except Refused as error:
            if error.status == 404:
                return
            raise
        await asyncio.sleep(POLL)
    raise Refused(0, f"{path} is still there after {PATIENCE:g} s")
