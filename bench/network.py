# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.network`: what the kernel fabric costs a guest's packets, and how long a port takes to be plugged.

    python -m bench.network --rounds 7 --page docs/network-datapath.md

Two hosts are namespaces with a wire between them; guests are namespaces on cables whose outer ends are the ports'
devices. Beside them a bridge with two guests and nothing else. All paths are taken in turns, and both ends of a
stream go before all else that the machine does, each on a core of its own where there are two. Needs root.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.report import number
from cumulet.services.network.contract import MetadataAnswer
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.types import (
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
    RuleState,
    SubnetState,
)

MTU = 1450
TCP = 9000
PREFIX, OUTSIDE = "10.99", "198.18.99"
ENDPOINTS = ("198.18.98.1", "198.18.98.2")
NETWORK, PUBLIC, SUBNET, ROUTER, GROUP = (
    f"bench-{name}-000" for name in ("net", "public", "subnet", "router", "group")
)
BARE, SAME, FAR, FLOATING = "a bridge and nothing else", "same host", "two hosts", "outside to floating IP"
FIRST = """
import os, sys
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[int(sys.argv.pop()) % len(os.sched_getaffinity(0))]})
"""
RECEIVE = """
import socket, sys, time
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as server:
    print("ready", flush=True)
    stream, _ = server.accept()
room, total, began = bytearray(1 << 20), 0, time.monotonic()
while (count := stream.recv_into(room)):
    total += count
print(total * 8 / (time.monotonic() - began) / 1e9)
"""
SEND = """
import socket, sys, time
stream, block = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10), bytes(1 << 18)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    stream.sendall(block)
"""


@dataclass(frozen=True)
class Way:
    """From one namespace to an address in another."""

    sender: Namespace
    receiver: Namespace
    address: str


class Host:
    """A namespace with a fabric of its own; `place` is which of ENDPOINTS it has."""

    def __init__(self, mark: str, place: int) -> None:
        self.endpoint = ENDPOINTS[place]
        self.mark = f"{mark}{place}"
        self.space = Namespace(f"bench-{self.mark}")
        self.space.create()
        self.fabric = self.space.visit(self._engine)

    def _engine(self) -> KernelFabric:
        options = FabricOptions(mark=self.mark, host_address=f"{OUTSIDE}.1/24", egress=False, endpoint=self.endpoint)
        return KernelFabric(options, lambda _: MetadataAnswer(status=404))

    def apply(self, state: HostState) -> None:
        """Raises RuntimeError where something could not be made."""
        applied = self.space.visit(lambda: self.fabric.apply(state))
        if applied.failed:
            raise RuntimeError(str(applied.failed))

    def plug(self, port: PortState) -> Namespace:
        """A guest on a cable to the port, behind whose rules it stands until the next apply, which knows taps alone."""
        guest = Namespace(f"bench-{self.mark}-{port.name}")
        guest.create()
        inside = Namespace(names.fabric(self.mark))
        inside.visit(lambda: _lay(names.tap(port.id), guest, port.mac))
        guest.visit(lambda: _dress(port.addresses[0].address))
        return guest

    def close(self) -> None:
        self.space.visit(self.fabric.shutdown)
        self.space.delete()


def _lay(outer: str, guest: Namespace, mac: str) -> None:
    with Links() as links:
        links.cable(outer, "eth0", guest, mac=mac, mtu=MTU)
        links.settle(outer, mtu=MTU, master=names.bridge(NETWORK))


def _dress(address: str) -> None:
    with Links() as links:
        links.settle("lo")
        links.settle("eth0")
        links.addresses("eth0", [f"{address}/16"])
        links.routes({"0.0.0.0/0": (f"{PREFIX}.0.1", "eth0")})


def port(index: int) -> PortState:
    """The port with this number, from 1 on; all are in one group."""
    address = f"{PREFIX}.{index // 250}.{index % 250 + 2}"
    return PortState(
        id=f"{index:05d}-port-of-the-bench",
        network_id=NETWORK,
        mac=f"fa:16:3e:99:{index >> 8:02x}:{index & 255:02x}",
        addresses=[FixedAddress(address=address, prefix=16, subnet_id=SUBNET)],
        groups=[GROUP],
        name=f"vm{index}",
    )


def state(generation: int, ports: Sequence[PortState], others: Sequence[RemoteState] = (), **more: object) -> HostState:
    """A host with these ports, on one network behind one group that lets everybody of the group in, and all by TCP."""
    subnet = SubnetState(id=SUBNET, cidr=f"{PREFIX}.0.0/16", gateway=f"{PREFIX}.0.1", dhcp=False)
    rules = [
        RuleState(direction="egress", version=4),
        RuleState(direction="ingress", version=4, remote_group=GROUP),
        RuleState(direction="ingress", version=4, protocol=6, low=1, high=65535),
    ]
    members = [one.addresses[0].address for one in ports] + [address for one in others for address in one.addresses]
    return HostState(
        generation=generation,
        networks=[
            NetworkState(id=NETWORK, mtu=MTU, segment=99, subnets=[subnet]),
            NetworkState(id=PUBLIC, mtu=1500, physical="public"),
        ],
        ports=list(ports),
        groups=[GroupState(id=GROUP, rules=rules, members=members)],
        remotes=list(others),
        **more,  # type: ignore[arg-type]
    )


def remote(one: PortState, place: int) -> RemoteState:
    """The port as the other host knows it."""
    return RemoteState(
        id=one.id, network_id=NETWORK, mac=one.mac, addresses=[one.addresses[0].address], endpoint=ENDPOINTS[place]
    )


def router(address: str, fixed: str) -> RouterState:
    """The network's way outside, with one floating IP."""
    inner = LegState(
        port_id="00feed-inner-leg", network_id=NETWORK, mac="fa:16:3e:99:ff:01", addresses=[f"{PREFIX}.0.1/16"]
    )
    outer = LegState(
        port_id="00beef-outer-leg", network_id=PUBLIC, mac="fa:16:3e:99:ff:02", addresses=[f"{OUTSIDE}.10/24"]
    )
    gateway = GatewayState(leg=outer, nexthop=f"{OUTSIDE}.1", nexthops=[f"{OUTSIDE}.1"])
    return RouterState(id=ROUTER, legs=[inner], gateway=gateway, floating=[FloatingState(address=address, fixed=fixed)])


@contextmanager
def paths() -> Iterator[dict[str, Way]]:
    """All the paths that are measured, laid for as long as this lasts."""
    mark = secrets.token_hex(3)[:5]
    with ExitStack() as stack:
        one, two = (Host(mark, place) for place in range(2))
        stack.callback(one.close)
        stack.callback(two.close)
        in_thread(lambda: _join(one, two), "wire")
        first, second, third = port(1), port(2), port(3)
        floating = f"{OUTSIDE}.20"
        ground = {"routers": [router(floating, second.addresses[0].address)]}
        one.apply(state(1, [first, second], [remote(third, 1)], **ground))
        two.apply(state(1, [third], [remote(first, 0), remote(second, 0)]))
        guests = [one.plug(first), one.plug(second), two.plug(third)]
        for guest in guests:
            stack.callback(guest.delete)
        yield {
            BARE: stack.enter_context(_bare(mark)),
            SAME: Way(guests[0], guests[1], second.addresses[0].address),
            FAR: Way(guests[0], guests[2], third.addresses[0].address),
            FLOATING: Way(one.space, guests[1], floating),
        }


def _join(one: Host, two: Host) -> None:
    def lay() -> None:
        with Links() as links:
            links.cable("wire0", "wire0", two.space, mtu=1500)

    def dress(own: str) -> None:
        with Links() as links:
            links.settle("lo")
            links.settle("wire0", mtu=1500)
            links.addresses("wire0", [f"{own}/24"])

    one.space.visit(lay)
    for host in (one, two):
        host.space.visit(lambda own=host.endpoint: dress(own))  # type: ignore[misc]


@contextmanager
def _bare(mark: str) -> Iterator[Way]:
    """Two guests on a bridge, in a namespace without a rule."""
    middle, *guests = (Namespace(f"bench-{mark}-bare{name}") for name in ("", "1", "2"))
    for space in (middle, *guests):
        space.create()

    def lay() -> None:
        with Links() as links:
            links.bridge("bridge0", MTU, 1)
            for index, guest in enumerate(guests):
                links.cable(f"plug{index}", "eth0", guest, mtu=MTU)
                links.settle(f"plug{index}", master="bridge0")

    middle.visit(lay)
    for index, guest in enumerate(guests):
        guest.visit(lambda own=index: _dress(f"{PREFIX}.0.{own + 3}"))  # type: ignore[misc]
    yield Way(guests[0], guests[1], f"{PREFIX}.0.4")
    for space in (*guests, middle):
        space.delete()


def stream(path: Way, seconds: float) -> float:
    """Gbit/s of one TCP stream."""

    def program(code: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", FIRST + code, *words], stdout=subprocess.PIPE, text=True)

    receiver = path.receiver.visit(lambda: program(RECEIVE, str(TCP), "0"))

    def send() -> subprocess.Popen[str]:
        return program(SEND, path.address, str(TCP), str(seconds), "1")

    with receiver, path.sender.visit(lambda: _when_ready(receiver, send)):
        assert receiver.stdout is not None
        return float(receiver.stdout.readline())


def _when_ready(receiver: subprocess.Popen[str], start: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
    assert receiver.stdout is not None
    receiver.stdout.readline()
    return start()


def plugs(standing: int, count: int) -> list[float]:
    """Milliseconds until each of `count` further ports stands behind its rules, `standing` being there before."""
    with _host() as (host, handles):
        known = [port(index) for index in range(1, standing + 1)]
        _stand(host, handles, known, 1)
        found = []
        for index in range(standing + 1, standing + count + 1):
            known.append(port(index))
            wanted = state(index, known)
            began = time.monotonic()
            host.apply(wanted)
            handles.append(host.fabric.open_tap(known[-1].id))
            found.append((time.monotonic() - began) * 1000)
        return found


def batch(count: int) -> float:
    """Milliseconds until `count` ports of one state stand behind their rules."""
    with _host() as (host, handles):
        host.apply(state(1, []))
        began = time.monotonic()
        _stand(host, handles, [port(index) for index in range(1, count + 1)], 2)
        return (time.monotonic() - began) * 1000


def _stand(host: Host, handles: list[int], ports: Sequence[PortState], generation: int) -> None:
    host.apply(state(generation, ports))
    handles += [host.fabric.open_tap(one.id) for one in ports]


@contextmanager
def _host() -> Iterator[tuple[Host, list[int]]]:
    host, handles = Host(secrets.token_hex(3)[:5], 0), []
    try:
        yield host, handles
    finally:
        for handle in handles:
            os.close(handle)
        host.close()


def page(speeds: dict[str, list[float]], single: dict[int, list[float]], together: dict[int, float]) -> Iterator[str]:
    """The tables of a run."""
    kernel = os.uname().release.partition("-")[0]
    yield "# What the kernel fabric costs"
    yield ""
    yield "Written by `python -m bench.network --page docs/network-datapath.md`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, Linux {kernel}. "
        f"One TCP stream between guests that are namespaces, {len(speeds[BARE])} rounds in which all paths take turns; "
        "medians. A ratio is the median of the rounds' ratios to the bare bridge."
    )
    yield ""
    yield "| path | Gbit/s | of the bare bridge |"
    yield "| --- | ---: | ---: |"
    for name, found in speeds.items():
        ratio = median(own / bare for own, bare in zip(found, speeds[BARE], strict=True))
        yield f"| {name} | {number(median(found))} | {ratio:.0%} |"
    yield ""
    yield "A port is plugged when its rules are loaded and its device is on its bridge."
    yield ""
    yield "| plugged | standing before | ms | 95 % within ms |"
    yield "| --- | ---: | ---: | ---: |"
    for standing, found in single.items():
        within = sorted(found)[int(len(found) * 0.95) - 1]
        yield f"| one | {standing} | {number(median(found))} | {number(within)} |"
    for count, taken in together.items():
        yield f"| {count} at once | 0 | {number(taken)} | |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.network", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each stream")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables there")
    words = parser.parse_args()
    with paths() as laid:
        speeds: dict[str, list[float]] = {name: [] for name in laid}
        for _ in range(words.rounds):
            for name, path in laid.items():
                speeds[name].append(stream(path, words.seconds))
    single = {standing: plugs(standing, 40) for standing in (0, 100, 500)}
    text = "\n".join(page(speeds, single, {count: batch(count) for count in (100, 500)})) + "\n"
    print(text)
    if words.page is not None:
        words.page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
