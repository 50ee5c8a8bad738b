# SPDX-License-Identifier: Apache-2.0
"""Next hops that are watched by BFD. The other ends are BIRD's, in the namespaces of the routers outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from network_labs import FabricHeld, FabricLab, FakeLab, eventually
from network_roads import (
    AT_EAST,
    AT_WEST,
    BY_EAST,
    BY_WEST,
    FAR,
    FAR6,
    FLOATED,
    PLAIN,
    ROUTER,
    arrivals,
    roads_lab,
    two_ways,
)

from cumulet.services.network.drivers.fabric import bfd, election, liveness, names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, apart
from cumulet.services.network.drivers.fabric.watched import Hop, Watched
from cumulet.services.network.types import HaState, HostState, reach

BIRD = shutil.which("bird") or "/usr/sbin/bird"
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
OUTER = {AT_EAST: BY_EAST, AT_WEST: BY_WEST}
OWN = "192.0.2.98"  # the host's, for others that share its routers
SEVERAL_HOPS = 4784  # another port at which BIRD listens
MANY = 3  # BIRD's multiplier: so many seconds after its last word it is taken for dead
COMES = 15.0  # seconds in which a session is up for certain, on a busy machine
GOES = MANY + 10.0

_CONFIG = """
router id 192.0.2.{number};
protocol device {{ }}
protocol bfd {{
  interface "eth0" {{ min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1 s; multiplier {many}; }};
  {neighbours}
}}
"""


class Bird:
    """BIRD as the other end of the router's sessions at one of its networks."""

    def __init__(self, lab: FabricLab, key: str, folder: Path) -> None:
        self._space = lab.guests[key].space
        self._control = folder / f"{key[:8]}.ctl"
        own = [text.split("/")[0] for text in OUTER[key].leg.addresses]
        neighbours = " ".join(f'neighbor {address} dev "eth0";' for address in own)
        config = folder / f"{key[:8]}.conf"
        config.write_text(_CONFIG.format(number=list(OUTER).index(key) + 1, many=MANY, neighbours=neighbours))
        self._command = [BIRD, "-f", "-c", str(config), "-s", str(self._control), "-P", str(folder / f"{key[:8]}.pid")]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """In the network outside, as its router."""
        self.process = self._space.visit(lambda: subprocess.Popen(self._command, stderr=subprocess.DEVNULL))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def sessions(self) -> dict[str, str]:
        """Their states by address, as BIRD sees them."""
        asked = subprocess.run(
            [f"{BIRD}c", "-s", str(self._control), "show", "bfd", "sessions"], capture_output=True, text=True, timeout=9
        )
        lines = [line.split() for line in asked.stdout.splitlines()]
        return {words[0]: words[2] for words in lines if len(words) > 2 and words[1] == "eth0"}

    def hears_all(self) -> bool:
        return (found := self.sessions()) != {} and set(found.values()) == {"Up"}


@pytest.fixture
def roads():
    with roads_lab() as lab:
        yield lab


@pytest.fixture
def birds(roads, tmp_path) -> Iterator[dict[str, Bird]]:
    found = {key: Bird(roads, key, tmp_path) for key in OUTER}
    try:
        yield found
    finally:
        for bird in found.values():
            with contextlib.suppress(ProcessLookupError):
                bird.kill()


def hops(lab: FabricLab, table: int = 254) -> set[str]:
    """The next hops of the default routes that stand in the router."""

    def read() -> set[str]:
        with Links() as links:
            return {address for address, _ in links.hops([table])}

    return Namespace(names.router_namespace(lab.mark, ROUTER.id)).visit(read)


def watched(generation: int, **words: object) -> HostState:
    return two_ways(generation, bfd=True, **words)


EAST, WEST = (set(way.nexthops) for way in (BY_EAST, BY_WEST))


@pytest.mark.root
@root
def test_routes_are_there_while_their_next_hops_are_heard(roads, birds, caplog):
    assert roads.apply(watched(2, ecmp=True)).failed == {}
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)
    assert eventually(lambda: hops(roads) == EAST | WEST, 3)
    assert arrivals(roads, PLAIN).keys() == {("east", "203.0.113.10"), ("west", "198.51.100.10")}
    assert roads.apply(watched(3, ecmp=True)).changes == 0

    birds[AT_EAST].kill()
    assert eventually(lambda: hops(roads) == WEST, GOES)
    assert arrivals(roads, PLAIN, tries=8) == {("west", "198.51.100.10"): 8}
    assert arrivals(roads, PLAIN, FAR6, tries=4) == {("west", "fd00:1::11"): 4}
    assert roads.apply(watched(4, ecmp=True)).changes == 0, "another apply does not bring it back"
    assert "does not hear its next hop 203.0.113.1" in caplog.text

    birds[AT_EAST].start()
    assert eventually(lambda: hops(roads) == EAST | WEST, COMES)
    assert roads.apply(two_ways(5)).failed == {}
    assert eventually(lambda: "Up" not in birds[AT_WEST].sessions().values(), 3), "it was told that that was the end"
    assert hops(roads) == EAST


@pytest.mark.root
@root
def test_the_next_gateway_comes_in_place_of_the_first(roads, birds):
    assert roads.apply(watched(2)).failed == {}
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)
    assert eventually(lambda: hops(roads) == EAST, 3)
    assert arrivals(roads, FLOATED, tries=4) == {("west", "198.51.100.20"): 4}
    held = _held(roads)
    assert held.goes_on()
    birds[AT_EAST].kill()
    assert eventually(lambda: hops(roads) == WEST, GOES)
    assert arrivals(roads, PLAIN, tries=4) == {("west", "198.51.100.10"): 4}
    with roads.guests[AT_WEST].space.visit(_listener) as wire:
        assert not held.goes_on(), "a connection keeps its gateway, whose next hop is silent"
        assert _senders(wire).isdisjoint({"203.0.113.10"}), "and does not leave by the other one"
    birds[AT_EAST].start()
    assert eventually(lambda: hops(roads) == EAST, COMES)
    assert eventually(held.goes_on, COMES)
    birds[AT_WEST].kill()
    floated = {("east", "203.0.113.10"): 4}
    assert eventually(lambda: arrivals(roads, FLOATED, tries=1).keys() == floated.keys(), GOES)
    assert arrivals(roads, FLOATED, tries=4) == floated, "the gateway of its floating address leads nowhere"


@pytest.mark.root
@root
def test_who_never_spoke_gets_nothing(roads):
    """As in OVN. What stood before it was watched is believed for a while."""
    silent = msgspec.structs.replace(ROUTER, bfd=True, more_gateways=[BY_WEST], ecmp=True)
    roads.apply(msgspec.structs.replace(two_ways(2), routers=[]))
    assert roads.apply(msgspec.structs.replace(two_ways(3), routers=[silent])).failed == {}
    assert hops(roads) == set()
    told = {layer.words: layer.sound for layer in roads.fabric.look(PLAIN) if layer.name == "next hop"}
    assert told == {f"{hop} is not heard by BFD": False for hop in EAST | WEST}


@pytest.mark.root
@root
def test_who_cannot_be_spoken_with_is_silent(roads, caplog):
    """A next hop that is on no network of the router: the kernel has no way there for IPv6."""
    far = msgspec.structs.replace(BY_EAST, nexthops=["203.0.113.1", "fd00:77::1"])
    lone = msgspec.structs.replace(ROUTER, gateway=far, bfd=True)
    roads.apply(msgspec.structs.replace(two_ways(2), routers=[]))
    assert roads.apply(msgspec.structs.replace(two_ways(2), routers=[lone])).failed == {}
    assert "cannot speak BFD with its next hop fd00:77::1" in caplog.text
    told = {layer.words: layer.sound for layer in roads.fabric.look(PLAIN) if layer.name == "next hop"}
    assert told == {"203.0.113.1 is not heard by BFD": False, "fd00:77::1 is not heard by BFD": False}


@pytest.mark.root
@root
def test_a_namespace_that_somebody_removed_is_spoken_from_again(roads, birds):
    roads.apply(watched(2, ecmp=True))
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)
    Namespace(names.router_namespace(roads.mark, ROUTER.id)).delete()
    assert roads.host.visit(roads.fabric.repair).failed == {}
    assert eventually(lambda: hops(roads) == EAST | WEST, COMES)
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)


@pytest.mark.root
@root
def test_routes_outlive_the_agent(roads, birds, monkeypatch):
    monkeypatch.setattr(liveness, "BELIEF", 6.0)
    roads.apply(watched(2, ecmp=True))
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)
    birds[AT_WEST].kill()
    assert eventually(lambda: hops(roads) == EAST, GOES)
    roads.restart()
    seen = []
    with _looking(lambda: seen.append(hops(roads))):
        roads.apply(watched(2, ecmp=True))
        assert eventually(birds[AT_EAST].hears_all, COMES)
        time.sleep(6.5)  # until it believes in nothing any more
    assert set(map(frozenset, seen)) == {frozenset(EAST)}, "neither was one lost, nor did one come that is not heard"


@pytest.mark.root
@root
def test_what_follows_from_a_change_knows_who_is_silent_while_all_ends(monkeypatch):
    monkeypatch.setattr(liveness, "BELIEF", 0.2)
    hop, told = Hop("127.0.0.2", "lo"), []
    begun, goes_on = threading.Event(), threading.Event()

    def changed(routers):
        begun.set()
        assert goes_on.wait(20)
        told.extend(watches.silent(router) for router in routers)

    def watch():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        watches.settle("router", [Watched("router", hop, "127.0.0.1")], lambda: [hop])

    watches = liveness.Liveness(changed)
    apart(watch)
    assert begun.wait(20)
    threading.Timer(0.3, goes_on.set).start()
    watches.close()
    assert told == [{hop}]


@pytest.mark.root
@root
def test_sessions_cannot_be_forged(roads, birds):
    """Neither from inside, nor from farther than one hop, nor by another neighbour."""
    roads.apply(watched(2, ecmp=True))
    assert eventually(lambda: all(bird.hears_all() for bird in birds.values()), COMES)
    forged = bfd.encode(bfd.Control(state=bfd.State.ADMIN_DOWN, own=9, multiplier=3, min_tx=10**6, min_rx=10**6))
    for _ in range(5):
        for target in ("203.0.113.10", "198.51.100.10"):
            roads.guests[PLAIN].space.visit(lambda target=target: _forge(forged, "203.0.113.1", target, 255))
        roads.guests[AT_EAST].space.visit(lambda: _forge(forged, "203.0.113.1", "203.0.113.10", 254))
        roads.guests[AT_EAST].space.visit(lambda: _forge(forged, "203.0.113.7", "203.0.113.10", 255))
        roads.guests[AT_WEST].space.visit(lambda: _forge(forged, "203.0.113.1", "203.0.113.10", 255))
        assert hops(roads) == EAST | WEST
    roads.guests[AT_EAST].space.visit(lambda: _forge(forged, "203.0.113.1", "203.0.113.10", 255))
    assert eventually(lambda: "203.0.113.1" not in hops(roads), 3), "the neighbour itself may say so: nobody else could"
    assert eventually(lambda: hops(roads) == EAST | WEST, COMES)


@pytest.mark.root
@root
def test_guests_cannot_take_what_is_meant_for_the_router(roads, birds):
    """A flow of a guest that leaves from the router's address at BFD's port is answered by what BIRD sends there."""
    assert eventually(lambda: birds[AT_EAST].sessions() != {}, COMES)
    source = roads.guests[AT_EAST].space.visit(_source_of_bird)
    assert roads.guests[PLAIN].space.visit(lambda: _fish(source)) != [], "the router itself wants none of it yet"
    roads.apply(watched(2, ecmp=True))
    got = roads.guests[PLAIN].space.visit(lambda: _fish(source))
    assert got == [], "what the next hop says is for the router"
    assert eventually(lambda: hops(roads) == EAST | WEST, COMES)
    assert birds[AT_EAST].hears_all()


@pytest.mark.root
@root
def test_what_stands_by_speaks_to_nobody(tmp_path):
    """A host that takes over begins its sessions then; until they are up, it believes in the next hops."""
    shared = watched(2, ecmp=True, ha=HaState(rank=0, others=["192.0.2.99"]))
    with roads_lab(OWN) as lab:
        lab.host.visit(_have_endpoint)
        birds = [Bird(lab, key, tmp_path) for key in OUTER]
        try:
            assert lab.apply(shared).failed == {}
            assert lab.fabric.active() == []
            assert [layer for layer in lab.fabric.look(PLAIN) if layer.name == "next hop"] == []
            assert hops(lab) == EAST | WEST
            assert eventually(lambda: lab.fabric.active() == [ROUTER.id], election.DEAD + COMES)
            assert eventually(lambda: all(bird.hears_all() for bird in birds), COMES)
            assert hops(lab) == EAST | WEST
            assert all(layer.sound for layer in lab.fabric.look(PLAIN) if layer.name == "next hop")
        finally:
            for bird in birds:
                bird.kill()


def test_the_fake_engine_knows_whom_it_hears():
    lab = FakeLab()
    lab.apply(watched(1))
    for key in (PLAIN, FLOATED):
        lab.boot(key)

    def leaves(sender: str, to: str = FAR) -> bool:
        return lab.fabric.passes(reach.Packet(port=sender, destination=to, low=80, high=80))

    assert leaves(PLAIN)
    place = reach.Place(state=watched(1))
    assert reach.passes(place, reach.Packet(port=PLAIN, destination=FAR, low=80, high=80))
    assert place.said[-1].endswith("while BFD hears the next hop"), "the control plane does not know"
    lab.fabric.silence(ROUTER.id, BY_EAST.nexthops[0])
    assert leaves(PLAIN), "by the other gateway"
    lab.fabric.silence(ROUTER.id, BY_WEST.nexthops[0])
    assert not leaves(PLAIN)
    assert not leaves(FLOATED)
    assert leaves(PLAIN, FAR6), "each IP version has its own"
    told = {layer.words: layer.sound for layer in lab.fabric.look(PLAIN) if layer.name == "next hop"}
    assert told["203.0.113.1 is not heard by BFD"] is False
    assert told["fd00:e::1 is heard by BFD"] is True
    lab.fabric.silence(ROUTER.id, BY_EAST.nexthops[0], heard=True)
    assert leaves(PLAIN)
    assert leaves(FLOATED)
    lab.fabric.silence(ROUTER.id, BY_EAST.nexthops[0])
    lab.apply(two_ways(2))
    assert leaves(PLAIN), "nobody listens"


@contextlib.contextmanager
def _looking(look: Callable[[], None]) -> Iterator[None]:
    """Look every tenth of a second meanwhile."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.1):
            look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _held(lab: FabricLab) -> FabricHeld:
    """A connection of a guest to the far place, by the first gateway."""
    served = lab.guests[AT_EAST].space.visit(lambda: socket.create_server((FAR, 7000)))
    lab.held.append(served)
    lab.held.append(lab.guests[PLAIN].space.visit(lambda: socket.create_connection((FAR, 7000), 3)))
    lab.held.append(served.accept()[0])
    return FabricHeld(lab.held[-2])


def _listener() -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    wire.bind(("eth0", 0x0800))
    wire.setblocking(False)
    return wire


def _senders(wire: socket.socket) -> set[str]:
    """Whose packets came there until now."""
    found = set()
    with contextlib.suppress(BlockingIOError):
        while packet := wire.recv(2048):
            found.add(socket.inet_ntoa(packet[12:16]))
    return found


def _have_endpoint() -> None:
    with Links() as links:
        links.settle("lo")
        links.addresses("lo", [f"{OWN}/32"])


def _forge(packet: bytes, source: str, target: str, ttl: int) -> None:
    """Send it as if from `source`; in a guest's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as wire:
        udp = struct.pack("!HHHH", 50000, bfd.PORT, 8 + len(packet), 0) + packet
        header = struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(udp),
            0,
            0,
            ttl,
            17,
            0,
            socket.inet_aton(source),
            socket.inet_aton(target),
        )
        with contextlib.suppress(OSError):
            wire.sendto(header + udp, (target, 0))


def _source_of_bird() -> int:
    """The port that BIRD's IPv4 session is spoken from."""
    listed = Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
    ports = [int(line.split()[1].split(":")[1], 16) for line in listed]
    return next(port for port in ports if port not in (bfd.PORT, SEVERAL_HOPS))


def _fish(source: int) -> list[bytes]:
    """What comes to a guest whose flow leaves from BFD's port, to the port that BIRD speaks from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("10.1.0.11", bfd.PORT))
        sock.settimeout(0.5)
        got = []
        for _ in range(8):
            sock.sendto(b"fishing", ("203.0.113.1", source))
            with contextlib.suppress(OSError):
                got.append(sock.recv(256))
        return got
