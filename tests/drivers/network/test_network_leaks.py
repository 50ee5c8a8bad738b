# SPDX-License-Identifier: Apache-2.0
"""Whatever was made, changed and removed in whatever order, and whenever the engine died: nothing is left of it.

Some cycles of every run, always the same; `make walks` goes on for long, and elsewhere each time.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from network_labs import FabricLab, eventually

from cumulet.services.network.drivers.fabric import filters, local_ips, meters, nft, provider, shapers
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import FOLDER, Namespace
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    FloatingState,
    ForwardState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    Route,
    RouterState,
    RuleState,
    ServiceState,
    ShapeState,
    SubnetState,
    TrunkState,
    VlanState,
)
from cumulet.services.network.types.local_ips import LocalIpState
from cumulet.services.network.types.meters import MeterRuleState, MeterState
from cumulet.services.network.types.packet_logs import PacketLogState
from cumulet.services.network.types.qos import BANDWIDTH_LIMIT

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

CYCLES = int(os.environ.get("LEAK_CYCLES", "40"))
SEED = int(os.environ.get("WALK_SEED", "20260703"))
ENDPOINT, FAR = "198.18.6.1", "198.18.6.2"
TABLES = (filters.TABLE, shapers.TABLE, meters.TABLE, local_ips.TABLE, provider.TABLE)
FAMILIES = ("bridge", "inet", "ip", "ip6", "netdev")


def key(word: str) -> str:
    """The UUID of what the walk calls so."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, word))


INSIDE, OUTSIDE = (1, 2, 3), key("outside")
GROUPS = (key("red"), key("green"))


class Killed(BaseException):
    """The end of an engine, at a place of the walk's choice."""


class Pool:
    """Desired states at random, over a few networks, routers, ports and groups."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.generation = 0

    def often(self, chance: float = 0.6) -> bool:
        return self.dice.random() < chance

    def some(self, things: Any) -> list[Any]:
        return [thing for thing in things if self.often()]

    def state(self) -> HostState:
        inside = self.some(INSIDE)
        outside = [NetworkState(id=OUTSIDE, mtu=1500, physical="public")] if self.often() else []
        groups = [self.group(group) for group in self.some(GROUPS)]
        known = [group.id for group in groups]
        ports = [self.port(number, self.dice.choice(inside), known) for number in range(11, 16) if inside]
        return HostState(
            generation=self.next(),
            networks=[self.network(number) for number in inside] + outside,
            ports=self.some(ports),
            groups=groups,
            routers=self.some([self.router(number, inside, bool(outside)) for number in (1, 2)]),
            remotes=self.some([self.remote(number, far) for number in inside for far in (21, 22)]),
        )

    def next(self) -> int:
        self.generation += 1
        return self.generation

    def network(self, number: int) -> NetworkState:
        four, six = f"10.{number}.0", f"fd00:{number}:"
        subnets = [SubnetState(id=key(f"four{number}"), cidr=f"{four}.0/24", gateway=f"{four}.1")]
        subnets.append(
            SubnetState(
                id=key(f"six{number}"), cidr=f"{six}:/64", version=6, gateway=f"{six}:1",
                ra_mode="slaac", address_mode="slaac",
            )
        )  # fmt: skip
        addresses = [f"{four}.2/24", f"{six}:2/64"]
        service = ServiceState(port_id=key(f"service{number}"), mac=f"fa:16:3e:00:0{number}:02", addresses=addresses)
        return NetworkState(
            id=key(f"network{number}"),
            mtu=self.dice.choice((1450, 1400, 1200)),
            segment=number,
            vlan=VlanState(physical="wires", number=self.dice.choice((7, 8))) if number == 3 and self.often() else None,
            subnets=subnets if self.often() else subnets[:1],
            service=service if self.often() else None,
        )

    def group(self, group: str) -> GroupState:
        ways = [RuleState(direction=way, version=version) for way in ("ingress", "egress") for version in (4, 6)]
        ways += [RuleState(direction="ingress", version=4, remote_group=other) for other in GROUPS]
        ways.append(RuleState(direction="ingress", version=4, protocol=6, low=1, high=self.dice.randrange(1, 65536)))
        members = self.some(["10.1.0.11", "10.2.0.12", "fd00:1::11", "10.3.0.0/28"])
        return GroupState(id=group, rules=self.some(ways), members=members, stateful=group == GROUPS[0])

    def port(self, number: int, network: int, groups: list[str]) -> PortState:
        fixed = [
            FixedAddress(address=f"10.{network}.0.{number}", prefix=24, subnet_id=key(f"four{network}")),
            FixedAddress(address=f"fd00:{network}::{number}", prefix=64, subnet_id=key(f"six{network}")),
        ]
        secure = self.often(0.8)
        shape = ShapeState(type=BANDWIDTH_LIMIT, direction="egress", rate=self.dice.randrange(1000, 9000))
        return PortState(
            id=key(f"port{number}"),
            network_id=key(f"network{network}"),
            mac=f"fa:16:3e:00:00:{number}",
            addresses=self.some(fixed),
            pairs=self.some([AddressPair(mac="fa:16:3e:00:00:99", cidr="10.9.0.0/24")]) if secure else [],
            security=secure,
            groups=[self.dice.choice(groups)] if secure and groups else [],
            up=self.often(0.9),
            shapes=self.some([shape]),
            logs=self.some([PacketLogState(id=key("log"), project_id="p", group=self.dice.choice(("", *groups)))]),
            local_ips=self.some([LocalIpState(address=f"10.{network}.0.99", fixed=f"10.{network}.0.{number}")]),
            trunk=TrunkState(parent=key("port11"), number=number) if number in (12, 13) and self.often() else None,
        )

    def router(self, number: int, inside: list[int], outside: bool) -> RouterState:
        own = self.some(inside)
        legs = [
            LegState(
                port_id=key(f"leg{number}{one}"),
                network_id=key(f"network{one}"),
                mac=f"fa:16:3e:0{number}:0{one}:01",
                addresses=[f"10.{one}.0.{number}/24", f"fd00:{one}::{number}/64"],
            )
            for one in own
        ]
        leg = LegState(
            port_id=key(f"gateway{number}"),
            network_id=OUTSIDE,
            mac=f"fa:16:3e:0{number}:00:09",
            addresses=[f"198.18.4.1{number}/24"],
        )
        ahead = outside and self.often(0.8)
        gateway = GatewayState(leg=leg, nexthop="198.18.4.1", nexthops=["198.18.4.1"], snat=self.often())
        more = [self.way(number, one) for one in (1, 2)]
        more = self.some(more) if ahead and self.often(0.3) else []
        floating = [FloatingState(address=f"198.18.4.{number}{one}", fixed=f"10.{one}.0.11") for one in own]
        forward = ForwardState(
            address=f"198.18.4.{number}9", protocol="tcp", low=80, high=80, fixed="10.1.0.11", fixed_low=80,
            fixed_high=80,
        )  # fmt: skip
        return RouterState(
            id=key(f"router{number}"),
            up=self.often(0.9),
            legs=legs,
            gateway=gateway if ahead else None,
            more_gateways=more,
            ecmp=self.often(),
            bfd=self.often(0.4),
            floating=[
                msgspec.structs.replace(one, gateway=self.dice.choice(["", *(way.leg.port_id for way in more)]))
                for one in (self.some(floating) if ahead else [])
            ],
            routes=self.some([Route(destination="192.0.2.0/24", nexthop=f"10.{one}.0.9") for one in own]),
            forwards=self.some([forward]) if ahead and 1 in own else [],
            meters=self.some([self.meter(one) for one in (1, 2)]),
        )

    def way(self, router: int, number: int) -> GatewayState:
        """A further gateway of the router."""
        leg = LegState(
            port_id=key(f"gateway{router}{number}"),
            network_id=OUTSIDE,
            mac=f"fa:16:3e:0{router}:00:1{number}",
            addresses=[f"198.18.4.{50 + 10 * router + number}/24"],
        )
        return GatewayState(leg=leg, nexthop=f"198.18.4.{number}", nexthops=[f"198.18.4.{number}"])

    def meter(self, number: int) -> MeterState:
        rules = [
            MeterRuleState(direction="egress", source=f"10.{number}.0.0/16"),
            MeterRuleState(direction="ingress", destination="fd00::/16", excluded=self.often()),
        ]
        return MeterState(id=key(f"meter{number}"), project_id="p", rules=self.some(rules))

    def remote(self, network: int, number: int) -> RemoteState:
        return RemoteState(
            id=key(f"remote{network}{number}"),
            network_id=key(f"network{network}"),
            mac=f"fa:16:3e:0{network}:00:{number}",
            addresses=[f"10.{network}.0.{number}"],
            endpoint=FAR,
        )


def _die() -> None:
    raise Killed


@contextmanager
def dying(after: int, die: Callable[[], object] = _die) -> Iterator[None]:
    """Engines die at the `after`th thing that they do to the kernel."""
    left = [after]

    def deadly(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                die()
            return work(*words, **more)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_change", "_address", "forward", "neighbour", "tunnel_port", "run_program"):
            patch.setattr(Links, name, deadly(getattr(Links, name)))
        patch.setattr(nft, "_run", deadly(nft._run))
        patch.setattr(Namespace, "create", deadly(Namespace.create))
        yield


class Walk:
    """An engine, what it was told last, and the taps that guests hold open."""

    def __init__(self, lab: FabricLab, seed: int) -> None:
        self.lab = lab
        self.dice = random.Random(seed)
        self.pool = Pool(self.dice)
        self.state = HostState()
        self.taps: dict[str, int] = {}

    def begin(self) -> None:
        """Have what stays until the engine ends: the host's device."""
        wired = VlanState(physical="wires", number=7)
        self.state = HostState(networks=[NetworkState(id=OUTSIDE, mtu=1500, vlan=wired)])
        self.settle()

    def cycle(self) -> None:
        act = self.dice.choice((self.change, self.change, self.change, self.kill, self.kill, self.plug, self.unplug))
        act()

    def change(self) -> None:
        self.state = self.pool.state()
        self.settle()

    def kill(self) -> None:
        """Die in the middle of a change, or just so; the next engine is told the same, or the next thing."""
        if self.dice.random() < 0.8:
            self.state = self.pool.state()
            with dying(self.dice.randrange(1, 60)), suppress(Killed):
                self.lab.apply(self.state)
        self.lab.restart()
        if self.dice.random() < 0.3:
            self.state = self.pool.state()
        self.settle()

    def settle(self) -> None:
        assert self.lab.apply(self.state).failed == {}, self.state
        if self.dice.random() < 0.2:
            found = self.lab.host.visit(self.lab.fabric.repair)
            assert (found.failed, found.changes) == ({}, 0), self.state

    def plug(self) -> None:
        for port in self.state.ports:
            if port.id not in self.taps and port.trunk is None and self.dice.random() < 0.7:
                self.taps[port.id] = self.lab.fabric.open_tap(port.id)

    def unplug(self) -> None:
        """The guest goes away, or the agent takes the tap from it first."""
        for port_id in list(self.taps):
            if self.dice.random() < 0.5:
                if self.dice.random() < 0.5:
                    self.lab.fabric.close_tap(port_id)
                os.close(self.taps.pop(port_id))

    def finish(self) -> None:
        """Let everything go, guests' taps last."""
        self.state = HostState(generation=self.pool.next())
        self.settle()
        for handle in self.taps.values():
            os.close(handle)
        self.taps.clear()


def standing(lab: FabricLab) -> dict[str, Any]:
    """All that an engine has made in the kernel, and what this process holds."""
    spaces = sorted(path.name for path in FOLDER.glob(f"*{lab.mark}*"))
    return {"spaces": {space: Namespace(space).visit(_inside) for space in spaces}, "process": held()}


def held() -> dict[str, Any]:
    """Threads by name, open descriptors by kind, child processes.

    The log of packets, which goes to /dev/null here, is opened with the first packet, whenever that comes.
    """
    children = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {
        "threads": Counter(thread.name for thread in threading.enumerate()),
        "descriptors": Counter(kind for path in Path("/proc/self/fd").iterdir() if (kind := _kind(path)) != "null"),
        "children": children.split(),
    }


def steady(lab: FabricLab) -> dict[str, Any]:
    """What stands once nothing comes and goes any more, such as the threads that end connections."""
    found = standing(lab)
    while True:
        time.sleep(0.5)
        now = standing(lab)
        if now == found:
            return found
        found = now


def _kind(path: Path) -> str:
    with suppress(OSError):
        return path.readlink().name.partition(":")[0]
    return "gone"


def _inside() -> tuple[list[str], list[str]]:
    """Devices and tables of the calling thread's namespace; of the stamps of tables some old ones stay."""
    devices = sorted(name for _, name in socket.if_nameindex())
    return devices, [nft._listing(family, table) for family in FAMILIES for table in TABLES]


@pytest.mark.timeout(3600 if CYCLES > 40 else 300)
def test_random_lives_of_an_engine_leave_nothing():
    """In a process of its own: what others hold in this one comes and goes."""
    argv = [sys.executable, "-c", f"import {Path(__file__).stem} as walks; walks.live()"]
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def live() -> None:
    """A walk of CYCLES, after which all is as it was. AssertionError where it is not."""
    before = held()
    lab = FabricLab(endpoint=ENDPOINT, devices={"wires": "nic0"})
    try:
        lab.host.visit(_with_endpoint)
        walk = Walk(lab, SEED)
        walk.begin()
        walk.finish()
        clean = steady(lab)
        for _ in range(CYCLES):
            walk.cycle()
        walk.finish()
        assert eventually(lambda: standing(lab) == clean), (standing(lab), clean)
    finally:
        lab.close()
    assert eventually(lambda: held() == before), (held(), before)


def _with_endpoint() -> None:
    with Links() as links:
        links.settle("lo")
        links.addresses("lo", [f"{ENDPOINT}/32"])
        links.pair("nic0", "nic1", 1500)
