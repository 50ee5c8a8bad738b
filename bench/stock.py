# SPDX-License-Identifier: Apache-2.0
"""What scenarios lean on in a cloud, made by its API at the first need: an image, a flavor, a network, servers, quota.

Everything is named `bench-*`, and found by that name at the end, so that what an interrupted run left behind goes too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bench.client import Client, NotServed, Refused

PREFIX = "bench-"
SERVER = PREFIX + "server"
FLEET = PREFIX + "fleet"
VOLUME = PREFIX + "volume"
SHELF = PREFIX + "shelf"
SNAPSHOT = PREFIX + "snapshot"
PORT = PREFIX + "port"
MANY = PREFIX + "many"
PROVIDER = PREFIX + "provider-"
RESOURCES = ("CUSTOM_BENCH_PROCESSORS", "CUSTOM_BENCH_MEMORY", "CUSTOM_BENCH_DISK")
ROOM = (5000, 1_000_000, 1_000_000)  # what each provider has of these

IMAGE_SIZE = 1024 * 1024  # bytes
CIDR = "10.123.0.0/20"
GONE = (200, 202, 204, 404)
AT_A_TIME = 8
BATCH = 1000  # of things that are made in great numbers
PORTS = 100  # in one request
VOLUMES = "/volumes/detail?limit=1000"
PATIENCE = 600.0  # seconds that a fleet may take to be there, or to be gone
# Service, path, the body's one key, and what is set to unlimited.
QUOTAS = (
    ("compute", "/os-quota-sets/", "quota_set", ("instances", "cores", "ram")),
    ("volume", "/os-quota-sets/", "quota_set", ("volumes", "gigabytes", "snapshots")),
    ("network", "/quotas/", "quota", ("port", "network", "subnet", "router", "floatingip", "security_group_rule")),
)


class Stock:
    """The things of one cloud; each method makes its own once and returns ids. `used` names the services to clear.

    `fill(first, end)`, where there is one, makes the providers of these numbers in a quicker way than the API's.
    """

    def __init__(self, client: Client, fill: Callable[[int, int], None] | None = None) -> None:
        self.used: set[str] = set()
        self._fill = fill
        self._client = client
        self._made: dict[str, Any] = {}
        self._quotas: list[tuple[str, str, dict[str, Any]]] = []
        self._roomy: set[str] = set()

    async def image(self) -> str:
        """A raw image of zeros."""
        return str(await self._once("image", self._make_image))

    async def flavor(self) -> str:
        """The smallest size of server."""
        words = {"name": PREFIX + "flavor", "ram": 64, "vcpus": 1, "disk": 1}

        async def make() -> str:
            return str((await self._client.ask("POST", "compute", "/flavors", {"flavor": words}))["flavor"]["id"])

        return str(await self._once("flavor", make))

    async def network(self) -> str:
        """A network with one subnet of some 4000 addresses."""
        return str(await self._once("network", self._make_network))

    async def fleet(self, count: int) -> list[str]:
        """At least `count` ACTIVE servers."""
        if len(self._made.get("fleet", ())) < count:
            await self.make_room()
            have = await self.servers(FLEET)
            for server in have:
                if server["status"] == "ERROR":
                    raise Refused(0, f"server {server['name']} is in ERROR")
            wanted = range(count - len(have))
            await together(self.boot(f"{FLEET}-{time.time_ns()}-{number}") for number in wanted)
            self._made["fleet"] = await self.wait_active(FLEET, count)
        return list(self._made["fleet"])

    async def boot(self, name: str) -> str:
        """Ask for a server; its id."""
        words = {
            "name": name,
            "imageRef": await self.image(),
            "flavorRef": await self.flavor(),
            "networks": [{"uuid": await self.network()}],
        }
        return str((await self._client.ask("POST", "compute", "/servers", {"server": words}))["server"]["id"])

    async def servers(self, prefix: str) -> list[dict[str, Any]]:
        """All servers of this name's beginning, with details."""
        found: list[dict[str, Any]] = []
        marker = ""
        while True:
            page = (await self._client.ask("GET", "compute", f"/servers/detail?limit=500&name={prefix}{marker}"))[
                "servers"
            ]
            found += [server for server in page if server["name"].startswith(prefix)]
            if len(page) < 500:
                return found
            marker = f"&marker={page[-1]['id']}"

    async def wait_active(self, prefix: str, count: int, every: float = 0.5) -> list[str]:
        """The ids of at least `count` servers once they are ACTIVE; Refused for one in ERROR, or when it takes long."""
        end = time.monotonic() + PATIENCE
        while True:
            servers = await self.servers(prefix)
            ready = [str(server["id"]) for server in servers if server["status"] == "ACTIVE"]
            if len(ready) >= count:
                return ready
            broken = next((server for server in servers if server["status"] == "ERROR"), None)
            if broken is not None:
                raise Refused(0, f"a server is in ERROR: {broken.get('fault', {}).get('message', 'no reason given')}")
            if time.monotonic() > end:
                raise Refused(0, f"{len(ready)} of {count} servers are ACTIVE after {PATIENCE:g} s")
            await asyncio.sleep(every)

    async def remove_servers(self, prefix: str) -> None:
        """Delete servers by their name's beginning, and wait until they are gone."""
        end = time.monotonic() + PATIENCE
        while servers := await self.servers(prefix):
            doomed = [server["id"] for server in servers if server.get("OS-EXT-STS:task_state") != "deleting"]
            await together(self._delete("compute", f"/servers/{server_id}") for server_id in doomed)
            if time.monotonic() > end:
                raise Refused(0, f"{len(servers)} servers cannot be deleted")
            await asyncio.sleep(0.5)

    async def shelf(self, count: int) -> list[str]:
        """At least `count` empty volumes that are available."""
        if len(self._made.get("shelf", ())) < count:
            await self.make_room()
            body = {"volume": {"name": SHELF, "size": 1}}
            have = await self._named("volume", VOLUMES, "volumes", SHELF)
            await together(self._client.ask("POST", "volume", "/volumes", body) for _ in range(count - len(have)))
            self._made["shelf"] = await self._wait_available(count)
        return list(self._made["shelf"])

    async def remove_volumes(self, prefix: str = VOLUME) -> None:
        """Delete the volumes of this name's beginning, and wait until they are gone."""
        await self._remove_slowly(VOLUMES, "volumes", prefix)

    async def remove_snapshots(self) -> None:
        """Delete the snapshots, and wait until they are gone."""
        await self._remove_slowly("/snapshots?limit=1000", "snapshots", SNAPSHOT)

    async def ports(self, count: int) -> list[str]:
        """The ids of at least `count` ports, all called MANY."""
        if len(self._made.get("ports", ())) < count:
            await self.make_room()
            network = await self.network()
            found = await self._named("network", f"/ports?name={MANY}&fields=id&fields=name", "ports", MANY)
            for start in range(len(found), count, PORTS):
                wanted = [{"network_id": network, "name": MANY} for _ in range(min(PORTS, count - start))]
                found += (await self._client.ask("POST", "network", "/ports", {"ports": wanted}))["ports"]
            self._made["ports"] = [str(port["id"]) for port in found]
        return list(self._made["ports"])

    async def remove_ports(self, prefix: str = PORT) -> None:
        """Delete the ports of this name's beginning."""
        ports = await self._named("network", "/ports?fields=id&fields=name", "ports", prefix)
        await together(self._delete("network", f"/ports/{port['id']}") for port in ports)

    async def providers(self, count: int) -> str:
        """Exactly `count` resource providers with room for `RESOURCES`, which are theirs alone; the query for them."""
        have = self._made.get("providers", 0)
        if not have:
            for name in RESOURCES:
                await self._client.ask("PUT", "placement", f"/resource_classes/{name}")
        if not have or have > count:
            await self._remove_providers()
            have = 0
        if self._fill is not None and count - have >= BATCH:
            await asyncio.to_thread(self._fill, have, count)
            have = count
        for start in range(have, count, BATCH):
            await together(self._make_provider(number) for number in range(start, min(start + BATCH, count)))
        self._made["providers"] = count
        return "resources=" + ",".join(f"{name}:1" for name in RESOURCES)

    async def last_provider(self) -> str:
        """Give the last of the providers more room than the others have; the query for so much."""
        have = self._made["providers"]
        last = max(f"{PROVIDER}{number}" for number in range(have))
        found = await self._client.ask("GET", "placement", f"/resource_providers?name={last}")
        provider = found["resource_providers"][0]
        inventories = {name: {"total": total + 1} for name, total in zip(RESOURCES, ROOM, strict=True)}
        body = {"resource_provider_generation": provider["generation"], "inventories": inventories}
        await self._client.ask("PUT", "placement", f"/resource_providers/{provider['uuid']}/inventories", body)
        return "resources=" + ",".join(f"{name}:{total + 1}" for name, total in zip(RESOURCES, ROOM, strict=True))

    async def make_room(self) -> None:
        """Lift the project's quotas in the services used, until `clear`."""
        for service, path, key, names in QUOTAS:
            if service not in self.used - self._roomy:
                continue
            self._roomy.add(service)
            try:
                url = path + self._client.project_id
                have = (await self._client.ask("GET", service, url))[key]
                before = {name: have[name] for name in names}
                await self._client.ask("PUT", service, url, {key: dict.fromkeys(names, -1)})
            except (Refused, NotServed, KeyError):
                continue  # a cloud that knows no quota has room
            self._quotas.append((service, url, {key: before}))

    async def clear(self) -> list[str]:
        """Remove all of ours from the services used, and give the quotas back; what could not be removed, in words."""
        problems = []
        works: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("compute", lambda: self.remove_servers(PREFIX)),
            ("volume", self.remove_snapshots),
            ("volume", lambda: self.remove_volumes(PREFIX)),
            ("network", lambda: self.remove_ports(PREFIX)),
            ("network", lambda: self._remove("network", "/networks", "networks")),
            ("compute", lambda: self._remove("compute", "/flavors", "flavors")),
            ("image", lambda: self._remove("image", "/images", "images")),
            ("placement", self._remove_providers),
            ("placement", self._remove_resources),
        )
        for service, work in works:
            if service not in self.used:
                continue
            try:
                await self._client.probe(service)
                await work()
            except NotServed:
                continue  # then nothing can have been made there
            except Refused as error:
                problems.append(str(error))
        problems += await self._restore_quotas()
        self._made.clear()
        self._roomy.clear()
        return problems

    async def _once(self, name: str, make: Callable[[], Awaitable[str]]) -> str:
        """What `make` makes, at the first call; those that call meanwhile wait for it."""
        task = self._made.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._made[name] = asyncio.ensure_future(make())
        return str(await task)

    async def _make_image(self) -> str:
        words = {"name": PREFIX + "image", "disk_format": "raw", "container_format": "bare"}
        image_id = (await self._client.ask("POST", "image", "/images", words))["id"]
        await self._client.send("PUT", "image", f"/images/{image_id}/file", bytes(IMAGE_SIZE))
        return str(image_id)

    async def _make_network(self) -> str:
        words = {"name": PREFIX + "network"}
        network_id = (await self._client.ask("POST", "network", "/networks", {"network": words}))["network"]["id"]
        subnet = {"name": PREFIX + "subnet", "network_id": network_id, "ip_version": 4, "cidr": CIDR}
        await self._client.ask("POST", "network", "/subnets", {"subnet": subnet})
        return str(network_id)

    async def _wait_available(self, count: int) -> list[str]:
        """The ids of the volumes of the shelf, once `count` are available."""
        end = time.monotonic() + PATIENCE
        while True:
            volumes = await self._named("volume", VOLUMES, "volumes", SHELF)
            ready = [str(volume["id"]) for volume in volumes if volume["status"] == "available"]
            if len(ready) >= count:
                return ready
            if time.monotonic() > end or any(volume["status"] == "error" for volume in volumes):
                raise Refused(0, f"only {len(ready)} of {count} volumes are available")
            await asyncio.sleep(0.5)

    async def _remove_slowly(self, path: str, key: str, prefix: str) -> None:
        """Delete what block storage has of this name's beginning, and wait until it is gone."""
        end = time.monotonic() + PATIENCE
        while found := await self._named("volume", path, key, prefix):
            ready = [each["id"] for each in found if each["status"] in ("available", "error")]
            await together(self._delete("volume", f"/{key}/{each}") for each in ready)
            if time.monotonic() > end:
                raise Refused(0, f"{len(found)} {key} cannot be deleted")
            await asyncio.sleep(0.2)

    async def _make_provider(self, number: int) -> None:
        words = {"name": f"{PROVIDER}{number}"}
        provider = await self._client.ask("POST", "placement", "/resource_providers", words)
        inventories = {name: {"total": total} for name, total in zip(RESOURCES, ROOM, strict=True)}
        body = {"resource_provider_generation": provider["generation"], "inventories": inventories}
        await self._client.ask("PUT", "placement", f"/resource_providers/{provider['uuid']}/inventories", body)

    async def _remove_providers(self) -> None:
        providers = (await self._client.ask("GET", "placement", "/resource_providers"))["resource_providers"]
        ours = [provider["uuid"] for provider in providers if provider["name"].startswith(PROVIDER)]
        await together(self._delete("placement", f"/resource_providers/{provider_id}") for provider_id in ours)

    async def _remove_resources(self) -> None:
        for name in RESOURCES:
            await self._delete("placement", f"/resource_classes/{name}")

    async def _restore_quotas(self) -> list[str]:
        problems = []
        while self._quotas:
            service, url, body = self._quotas.pop()
            try:
                await self._client.ask("PUT", service, url, body)
            except Refused as error:
                problems.append(str(error))
        return problems

    async def _remove(self, service: str, path: str, key: str) -> None:
        for found in await self._named(service, path, key, PREFIX):
            await self._delete(service, f"{path}/{found['id']}")

    async def _named(self, service: str, path: str, key: str, prefix: str) -> list[dict[str, Any]]:
        found = (await self._client.ask("GET", service, path))[key]
        return [each for each in found if (each["name"] or "").startswith(prefix)]

    async def _delete(self, service: str, path: str) -> None:
        await self._client.send("DELETE", service, path, fine=GONE)


async def together(works: Iterable[Awaitable[Any]]) -> None:
    """Do all, a few at a time; the first error ends it."""
    free = asyncio.Semaphore(AT_A_TIME)

    async def one(work: Awaitable[Any]) -> None:
        async with free:
            await work

    await asyncio.gather(*(one(work) for work in works))
