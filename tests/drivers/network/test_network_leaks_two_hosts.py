# SPDX-License-Identifier: Apache-2.0
"""The walk of `test_network_leaks.py` over two hosts, whose engines are processes that are killed.

Networks lie on both hosts, ports on one of them, routers on one, on both of which one forwards, or on both at once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

import msgspec
import network_frames as frames
import pytest
from network_labs import FabricLab, eventually
from network_pairs import ENDPOINTS, FabricPair, outside_of
from network_remains import differences, remains
from test_network_leaks import OUTSIDE, SEED, Pool, dying, key

from cumulet.services.network.drivers.fabric import conntrack, names
from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    Applied,
    DistributedState,
    HaState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

CYCLES = int(os.environ.get("LEAK_CYCLES", "6"))
EPOCH = "a cloud"
KINDS = ("first", "second", "ha", "ha", "both", "both")  # where a router is
HEADER = bytes(10)  # what a tap wants before each frame
PATIENCE = 8.0  # seconds in which connections that go are forgotten, and less than any is forgotten by itself


class Ended(Exception):
    """The engine's process is no more."""


class Engine:
    """A KernelFabric in a process of its own, a fork of this one in the namespace of the calling thread."""

    def __init__(self, make: Any) -> None:
        self._wire, far = Pipe()
        self._pid = os.fork()
        if not self._pid:
            self._wire.close()
            _serve(make, far)
        far.close()
        self._ask("start")

    def apply(self, state: HostState, deadly: int = 0) -> Applied:
        """`deadly`: at which thing that it does to the kernel it dies. Ended is raised then."""
        return self._ask("apply", state, deadly)

    def repair(self) -> Applied:
        return self._ask("repair")

    def open_tap(self, port_id: str) -> int:
        self._ask("open_tap", port_id)
        return recv_handle(self._wire)

    def close_tap(self, port_id: str) -> None:
        self._ask("close_tap", port_id)

    def shutdown(self) -> None:
        self._ask("shutdown")
        self.stop()

    def stop(self) -> None:
        """Kill it, if it lives."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
            self._wire.close()

    def _ask(self, *words: Any) -> Any:
        try:
            self._wire.send(words)
            problem, answer = self._wire.recv()
        except (EOFError, OSError) as error:
            raise Ended from error
        assert problem == "", problem
        return answer


def _serve(make: Any, wire: Connection) -> None:
    """Be the engine until the end; called in its own process."""
    engine: KernelFabric = make()
    try:
        while True:
            verb, *words = wire.recv()
            problem, answer, handle = "", None, -1
            try:
                if verb == "apply":
                    with dying(words[1], lambda: os.kill(os.getpid(), signal.SIGKILL)):
                        answer = engine.apply(words[0])
                elif verb == "open_tap":
                    handle = engine.open_tap(*words)
                elif verb != "start":
                    answer = getattr(engine, verb)(*words)
            except Exception as error:
                problem = repr(error)
            wire.send((problem, answer))
            if handle >= 0:
                send_handle(wire, handle, os.getppid())
                os.close(handle)
    finally:
        os._exit(0)


class KillableLab(FabricLab):
    """A host whose engine is a process; `restart` kills it."""

    def _engine(self) -> Any:
        make = super()._engine
        return Engine(make)

    def apply(self, state: HostState, deadly: int = 0) -> Applied:
        self.state = state
        found: Applied = self.fabric.apply(state, deadly)
        return found


class Spread:
    """What the pool says of one host, laid out over two."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.pool = Pool(dice)

    def states(self) -> list[HostState]:
        whole = self.pool.state()
        whole = msgspec.structs.replace(
            whole, epoch=EPOCH, networks=[msgspec.structs.replace(one, vlan=None) for one in whole.networks], remotes=[]
        )
        places = {port.id: self.dice.randrange(2) for port in whole.ports}
        for port in whole.ports:
            if port.trunk is not None:
                places[port.id] = places.get(port.trunk.parent, 0)
        kinds = {router.id: self.dice.choice(KINDS) for router in whole.routers}
        return [self._of(at, whole, places, kinds) for at in (0, 1)]

    def nothing(self) -> list[HostState]:
        return [HostState(epoch=EPOCH, generation=self.pool.next())] * 2

    def _of(self, at: int, whole: HostState, places: dict[str, int], kinds: dict[str, str]) -> HostState:
        far = [_remote(port, 1 - at) for port in whole.ports if places[port.id] != at]
        routers = []
        for router in whole.routers:
            here, legs = self._router(at, router, kinds[router.id], places, whole)
            routers += here
            far += legs
        ports = [port for port in whole.ports if places[port.id] == at]
        return msgspec.structs.replace(whole, ports=ports, routers=routers, remotes=far)

    def _router(
        self, at: int, router: RouterState, kind: str, places: dict[str, int], whole: HostState
    ) -> tuple[list[RouterState], list[RemoteState]]:
        """What the host has of the router, and which of its legs are on the other."""
        if kind in ("first", "second"):
            here = at == (kind == "second")
            return [router] if here else [], [] if here else [_leg(leg, 1 - at) for leg in router.legs]
        legs = [_leg(leg, 1 - at, router.id) for leg in router.legs]
        if kind == "ha":
            ha = HaState(rank=at, others=[ENDPOINTS[1 - at]], active=at == 0)
            return [msgspec.structs.replace(router, ha=ha)], legs
        snat = [_snat(leg) for leg in router.legs] if router.gateway is not None else []
        first = {one for one in router.floating if router.gateway_of(one) == router.gateway}
        away = {one for one in first if places.get(_holder(whole, one.fixed), 0) == 1}
        own = DistributedState(central=at == 0, snat=snat)
        if at == 0:
            floating = [one for one in router.floating if one not in away]
            return [msgspec.structs.replace(router, distributed=own, floating=floating)], legs
        gateway = router.gateway if away else None
        if gateway is not None:
            edge = msgspec.structs.replace(gateway.leg, mac=f"fa:16:3f{gateway.leg.mac[8:]}", addresses=[])
            gateway = msgspec.structs.replace(gateway, leg=edge)
            own = msgspec.structs.replace(own, outside=["198.18.4.0/24"])
        edge_part = msgspec.structs.replace(
            router, distributed=own, floating=sorted(away, key=lambda one: one.address), gateway=gateway,
            more_gateways=[], ecmp=False, forwards=[],
        )  # fmt: skip
        return [edge_part], [*legs, *(_leg(leg, 0) for leg in snat)]


def _holder(whole: HostState, address: str) -> str:
    return next((port.id for port in whole.ports if address in [one.address for one in port.addresses]), "")


def _remote(port: PortState, at: int) -> RemoteState:
    addresses = [one.address for one in port.addresses]
    return RemoteState(
        id=port.id, network_id=port.network_id, mac=port.mac, addresses=addresses, endpoint=ENDPOINTS[at]
    )


def _leg(leg: LegState, at: int, router: str = "") -> RemoteState:
    return RemoteState(
        id=leg.port_id,
        network_id=leg.network_id,
        mac=leg.mac,
        addresses=[text.split("/")[0] for text in leg.addresses],
        endpoint=ENDPOINTS[at],
        router=router,
    )


def _snat(leg: LegState) -> LegState:
    """The central host's further leg on the same network."""
    words = [f"{text.split('/')[0]}9/{text.split('/')[1]}" for text in leg.addresses]
    return LegState(
        port_id=key(f"snat {leg.port_id}"), network_id=leg.network_id, mac=leg.mac[:-2] + "05", addresses=words
    )


class Walk:
    """Two hosts, what they were told last, and the taps that guests hold open, each on a host."""

    def __init__(self, labs: tuple[KillableLab, KillableLab]) -> None:
        self.labs = labs
        self.dice = random.Random(SEED)
        self.spread = Spread(self.dice)
        self.states = self.spread.nothing()
        self.taps: dict[tuple[int, str], int] = {}

    def cycle(self) -> None:
        act = self.dice.choice((self.change, self.change, self.kill, self.kill, self.kill, self.plug, self.unplug))
        act()
        self.speak()

    def change(self) -> None:
        self.states = self.spread.states()
        self.settle()

    def kill(self) -> None:
        """One dies in the middle of a change, or just so, and comes again before or after the other is told."""
        victim = self.dice.randrange(2)
        if self.dice.random() < 0.8:
            self.states = self.spread.states()
            with suppress(Ended):
                self.labs[victim].apply(self.states[victim], self.dice.randrange(1, 60))
        if self.dice.random() < 0.5:
            self._tell(1 - victim)
        self.labs[victim].restart()
        if self.dice.random() < 0.3:
            self.states = self.spread.states()
        self.settle()
        lab = self.labs[victim]
        assert eventually(lambda: strays(lab) == [], 5), (strays(lab), "connections of networks that are gone")

    def settle(self) -> None:
        order = [0, 1] if self.dice.random() < 0.5 else [1, 0]
        for at in order:
            self._tell(at)
        if self.dice.random() < 0.1:
            found = self.labs[order[0]].fabric.repair()
            assert found.failed == {}, self.states

    def _tell(self, at: int) -> None:
        done = self.labs[at].apply(self.states[at])
        assert done.failed == {}, (done.failed, self.states[at])

    def plug(self) -> None:
        for at, state in enumerate(self.states):
            for port in state.ports:
                if port.trunk is None and (at, port.id) not in self.taps and self.dice.random() < 0.7:
                    self.taps[at, port.id] = self.labs[at].fabric.open_tap(port.id)

    def unplug(self) -> None:
        for at, port_id in list(self.taps):
            if self.dice.random() < 0.5:
                if self.dice.random() < 0.5:
                    self.labs[at].fabric.close_tap(port_id)
                os.close(self.taps.pop((at, port_id)))

    def speak(self) -> None:
        """Guests ask each other, their routers and the world, of which the kernel keeps in mind what it saw."""
        for (at, port_id), handle in self.taps.items():
            port = next((port for port in self.states[at].ports if port.id == port_id), None)
            if port is None or not port.addresses:
                continue
            source = port.addresses[0].address
            for to in _asked(self.states, port):
                if (":" in to) == (":" in source):
                    _write(handle, _question(self.states, port, source, to, self.dice.randrange(1024, 65535)))

    def finish(self) -> None:
        self.states = self.spread.nothing()
        self.settle()
        for handle in self.taps.values():
            os.close(handle)
        self.taps.clear()


def strays(lab: FabricLab) -> list[str]:
    """The tracked connections on networks that the host does not have."""

    def look() -> list[str]:
        with Links() as links:
            zones = {device.number for device in links.devices.values() if device.name.startswith(names.BRIDGE)}
        return [str(one) for one in conntrack.read() if one.zone not in zones]

    return Namespace(names.fabric(lab.mark)).visit(look)


def _asked(states: list[HostState], port: PortState) -> list[str]:
    ports = [one for state in states for one in state.ports if one.id != port.id]
    return [*(each.address for one in ports for each in one.addresses), "198.18.4.1"]


def _question(states: list[HostState], port: PortState, source: str, to: str, number: int) -> bytes:
    """A datagram; to neighbours and, by their leg, to whom routers lead."""
    macs = {each.address: one.mac for state in states for one in state.ports for each in one.addresses}
    legs = [leg for state in states for router in state.routers for leg in router.legs]
    hop = next((leg.mac for leg in legs if leg.network_id == port.network_id), frames.BROADCAST)
    near = to.rsplit(".", 1)[0] == source.rsplit(".", 1)[0]
    return frames.packet(
        macs.get(to, hop) if near else hop, mac=port.mac, source=source, destination=to, protocol=17, first=number,
        second=53, data=b"question",
    )  # fmt: skip


def _write(handle: int, frame: bytes) -> None:
    with suppress(OSError):  # its device is down, or gone
        os.write(handle, HEADER + frame)


@pytest.mark.timeout(3600 if CYCLES > 40 else 300)
def test_random_lives_of_two_hosts_leave_nothing():
    """In a process of its own, which has no threads when engines are forked from it."""
    argv = [sys.executable, "-c", f"import {Path(__file__).stem} as walks; walks.live()"]
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def live() -> None:
    """A walk of CYCLES, after which both hosts are as they were. AssertionError where one is not."""
    pair = FabricPair({"public": "nic0"}, KillableLab)
    outside = outside_of(pair)
    try:
        walk = Walk(pair.labs)
        walk.states = [HostState(epoch=EPOCH, networks=[NetworkState(id=OUTSIDE, mtu=1500, physical="public")])] * 2
        walk.settle()
        walk.finish()
        clean = [remains(lab.host, lab.mark) for lab in pair.labs]
        for _ in range(CYCLES):
            walk.cycle()
        walk.finish()

        def left() -> list[str]:
            found = (differences(was, remains(lab.host, lab.mark)) for was, lab in zip(clean, pair.labs, strict=True))
            return [word for listed in found for word in listed]

        assert eventually(lambda: left() == [], PATIENCE), "\n".join(left())
    finally:
        pair.close()
        outside.delete()
