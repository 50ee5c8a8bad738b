# SPDX-License-Identifier: Apache-2.0
"""Scenarios of networks alone: what clients of the network service do all day."""

from __future__ import annotations

import itertools
from typing import Any

from bench.scenarios.base import Scenario, Watch
from bench.stock import MANY, PORT, PREFIX, together

OUTSIDE = "198.18.0.0/20"  # addresses for benchmarks: RFC 2544
INSIDE = "10.{}.{}.0/24"
HUNDRED, THOUSAND = 100, 1000  # ports


class NetworkScenario(Scenario):
    """What these have in common: things that `_post` makes are removed, the last first, when the run ends."""

    needs = ("network",)

    async def prepare(self, count: int) -> None:
        self._made: list[str] = []
        await self.stock.make_room()
        await self.ready(count)

    async def ready(self, count: int) -> None:
        """Make what the operations are about."""

    async def tidy(self) -> None:
        await self.stock.remove_ports()
        for path in reversed(self._made):
            await self.client.send("DELETE", "network", path, fine=(204, 404))
        self._made.clear()

    async def _post(self, path: str, key: str, keep: bool = True, **words: Any) -> str:
        """Make a thing; its id."""
        found = str((await self.client.ask("POST", "network", path, {key: words}))[key]["id"])
        if keep:
            self._made.append(f"{path}/{found}")
        return found

    async def _outside(self) -> str:
        """An external network with addresses for some 4000 routers and floating IPs."""
        words = {"name": f"{PREFIX}outside", "router:external": True}
        network = await self._post("/networks", "network", **words)
        subnet = {"name": f"{PREFIX}outside", "network_id": network, "ip_version": 4, "cidr": OUTSIDE}
        await self._post("/subnets", "subnet", **subnet, enable_dhcp=False)
        return network


class Ports(Scenario):
    """List 1,000 ports."""

    name = "ports-1000"
    needs = ("network",)
    usual = False
    path = f"/ports?name={MANY}"

    async def prepare(self, count: int) -> None:
        await self.stock.ports(THOUSAND)

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "network", self.path)


class HundredPorts(Ports):
    """List 100 ports."""

    name = "ports-100"

    async def prepare(self, count: int) -> None:
        await self.stock.ports(HUNDRED)


class PortPage(Ports):
    """List ten of 1,000 ports, with links to the others."""

    name = "ports-page"
    path = f"/ports?name={MANY}&limit=10"


class PortShow(Ports):
    """Show one of 100 ports, each in its turn."""

    name = "port-show"

    async def prepare(self, count: int) -> None:
        self._ports = itertools.cycle(await self.stock.ports(HUNDRED))

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "network", f"/ports/{next(self._ports)}")


class RouterCreate(NetworkScenario):
    """Make a router, and lead it into a network of its own and outside: three requests."""

    name = "router-create"
    usual = False
    most = 20

    async def ready(self, count: int) -> None:
        self._network = await self._outside()
        self._subnets: list[str] = []
        self._routers: list[tuple[str, str]] = []
        for number in range(count):
            network = await self._post("/networks", "network", name=f"{PREFIX}inside")
            cidr = INSIDE.format(100 + number // 250, number % 250)
            words = {"name": f"{PREFIX}inside", "network_id": network, "ip_version": 4, "cidr": cidr}
            self._subnets.append(await self._post("/subnets", "subnet", **words))

    async def operate(self, watch: Watch) -> None:
        router = await self._post("/routers", "router", keep=False, name=f"{PREFIX}router")
        subnet = self._subnets.pop()
        self._routers.append((router, subnet))
        await self.client.send("PUT", "network", f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
        gateway = {"router": {"external_gateway_info": {"network_id": self._network}}}
        await self.client.send("PUT", "network", f"/routers/{router}", gateway)

    async def tidy(self) -> None:
        for router, subnet in self._routers:
            words = {"subnet_id": subnet}
            await self.client.send("PUT", "network", f"/routers/{router}/remove_router_interface", words)
            await self.client.send("DELETE", "network", f"/routers/{router}")
        self._routers.clear()
        await super().tidy()


class FloatingIp(NetworkScenario):
    """Make a floating IP for a port behind a router: one request."""

    name = "floating-ip-create"
    usual = False
    most = 50

    async def ready(self, count: int) -> None:
        self._network = await self._outside()
        network = await self._post("/networks", "network", name=f"{PREFIX}inside")
        words = {"name": f"{PREFIX}inside", "network_id": network, "ip_version": 4, "cidr": "10.99.0.0/20"}
        subnet = await self._post("/subnets", "subnet", **words)
        gateway = {"network_id": self._network}
        self._router = await self._post("/routers", "router", name=f"{PREFIX}router", external_gateway_info=gateway)
        self._subnet = {"subnet_id": subnet}
        await self.client.send("PUT", "network", f"/routers/{self._router}/add_router_interface", self._subnet)
        self._ports: list[str] = []

        async def one() -> None:
            self._ports.append(await self._post("/ports", "port", keep=False, name=PORT, network_id=network))

        await together(one() for _ in range(count))

    async def operate(self, watch: Watch) -> None:
        words = {"floating_network_id": self._network, "port_id": self._ports.pop()}
        await self._post("/floatingips", "floatingip", **words)

    async def tidy(self) -> None:
        floating = [path for path in self._made if path.startswith("/floatingips")]
        await together(self.client.send("DELETE", "network", path, fine=(204, 404)) for path in floating)
        leave = f"/routers/{self._router}/remove_router_interface"
        await self.client.send("PUT", "network", leave, self._subnet, fine=(200, 404))
        await super().tidy()


class RuleCreate(NetworkScenario):
    """Add a rule to a security group."""

    name = "security-group-rule-create"
    usual = False
    most = 100

    async def ready(self, count: int) -> None:
        self._group = await self._post("/security-groups", "security_group", name=f"{PREFIX}group")
        self._numbers = itertools.count(1000)

    async def operate(self, watch: Watch) -> None:
        words = {"security_group_id": self._group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
        port = next(self._numbers)
        ports = {"port_range_min": port, "port_range_max": port}
        await self._post("/security-group-rules", "security_group_rule", keep=False, **words, **ports)
