# SPDX-License-Identifier: Apache-2.0
"""An object store on three hosts, each a network namespace with processes of its own, on one switch.

The first has the control plane, too; the others join it. A host's cable can be pulled.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pyroute2 import IPRoute

from cumulet import cli
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from support.waiting import until

T = TypeVar("T")

BRIDGE = "switch"
LINK_PORT = 8702
DEVICE_PORT = 6200
PART_POWER = 4
_PERMANENT = 0x80  # a neighbour whose MAC nobody asks for
AHEAD = {"a": 0.0, "b": 0.4, "c": -0.7}  # seconds that the clocks of the hosts are ahead
CLOCK = """
import os, time
_time, _ahead = time.time, float(os.environ["CLOCK_AHEAD"])
time.time = lambda: _time() + _ahead
"""


class StoreHost:
    """A host with devices of these names, in a folder each, and so many workers."""

    def __init__(self, folder: Path, name: str, mark: str, address: str, devices: list[str], settings: str) -> None:
        self.name, self.address, self.devices, self.workers = name, address, devices, WORKERS[name]
        self.state = folder / name
        self.space = Namespace(f"store-{mark}-{name}")
        self.cable = f"st{mark}{name}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.state.mkdir(mode=0o700)
        lines = [settings]
        for each in devices:
            (self.state / each).mkdir()
            lines.append(f'[[object_store.devices]]\nname = "{each}"\nfolder = "{self.state / each}"\n')
        (self.state / "cumulet.toml").write_text("".join(lines))
        (self.state / "site").mkdir()
        (self.state / "site" / "sitecustomize.py").write_text(CLOCK)

    @property
    def wishes(self) -> Path:
        """Where a place is told at which one of its processes is to die."""
        return self.state / "wishes"

    @property
    def environment(self) -> dict[str, str]:
        """Of processes with this host's clock."""
        paths = os.pathsep.join(filter(None, [str(self.state / "site"), *sys.path]))
        more = {"PYTHONPATH": paths, "CLOCK_AHEAD": str(AHEAD[self.name]), "CUMULET_FAULTS": str(self.wishes)}
        return {**os.environ, **more}

    def inside(self, work: Callable[[], T]) -> T:
        return self.space.visit(work)

    def start(self, part: str) -> None:
        """Start it, and wait until it answers."""
        with (self.state / f"{part}.words").open("ab") as words:
            started = subprocess.Popen(
                self._argv(part),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        self._processes[part] = started
        until(lambda: self._is_there(part), seconds=60)

    def died(self, part: str) -> None:
        assert self._processes.pop(part).wait(60) == -signal.SIGKILL, self.words()

    def kill(self) -> list[str]:
        """All of its processes, workers too, at once. Returns what `start` may be told again."""
        parts = list(self._processes)
        known = [self._processes[part].pid for part in parts]
        every = [*known, *(child for each in known for child in _children(each))]
        for each in every:
            os.kill(each, signal.SIGKILL)
        for part in parts:
            self.died(part)
        until(lambda: not any(map(_lives, every)))
        return parts

    def kill_worker(self, number: int) -> None:
        """One of several that a supervisor keeps, and see that it is gone."""
        word = f"--worker\0{number}\0".encode()
        [found] = [each for each in _children(self._processes["objects"].pid) if word in _line(each)]
        os.kill(found, signal.SIGKILL)
        until(lambda: not _lives(found))

    def empty(self, device: str) -> None:
        """Another disk is in its place, and the operator means it."""
        shutil.rmtree(self.state / device)
        (self.state / device).mkdir()
        (self.state / "objects" / "made" / device).unlink()

    def _argv(self, *words: str) -> list[str]:
        inside = ["nsenter", f"--net={self.space.path}"]
        return [*inside, sys.executable, "-m", "cumulet.cli", "--state", str(self.state), *words]

    def end(self, part: str) -> None:
        process = self._processes.pop(part)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        for part in list(self._processes):
            self.end(part)
        self.space.delete()

    def ring(self, *words: str) -> tuple[int, str]:
        """`cumulet ring` here: exit status and what was said."""
        return self.tell("ring", *words)

    def tell(self, *words: str) -> tuple[int, str]:
        """`cumulet` here, in this process: exit status and what was said."""
        said = io.StringIO()

        def act() -> int:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                return cli.main(["--state", str(self.state), *words])

        return self.inside(act), said.getvalue()

    def ring_dies(self, place: str, *words: str) -> None:
        """`cumulet ring` in a process that is killed at `place`."""
        self.wishes.write_text(f"{place}\n")
        done = subprocess.run(self._argv("ring", *words), env=self.environment, capture_output=True, timeout=100)
        assert done.returncode == -signal.SIGKILL, done.stderr

    def ring_file(self, ring: str) -> bytes:
        return (self.state / "objects" / "rings" / f"{ring}.ring.gz").read_bytes()

    def builder(self, ring: str) -> str:
        """A copy of the builder of this host's first ring, for what comes after it. A new one of a ring that it could
        not make, which has a replica on each host."""
        copy = self.state / "plans" / f"{ring}.builder"
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            found = self.state / "objects" / "rings" / copy.name
            if found.exists():
                shutil.copy(found, copy)
            else:
                place = f"r1z1-{self.address}:{DEVICE_PORT}/{self.devices[0]}"
                self.plan("create", str(copy), str(PART_POWER), "1", "1")
                self.plan("add", str(copy), place, "100")
        return str(copy)

    def plan(self, *words: str) -> None:
        status, said = self.ring(*words)
        assert status == 0, said

    def ask(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        """One request to this host's own store."""
        url, headers = f"http://127.0.0.1:8703{path}", {"x-auth-token": token, **more.pop("headers", {})}
        return self.inside(lambda: httpx.request(method, url, headers=headers, timeout=30, **more))

    def token(self) -> tuple[str, str]:
        """Of a user of the settings, and the path of the account."""
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = self.inside(lambda: httpx.get("http://127.0.0.1:8703/auth/v1.0", headers=headers, timeout=30))
        assert answer.status_code == 200, answer.text
        return answer.headers["x-auth-token"], "/v1/" + answer.headers["x-storage-url"].rpartition("/")[2]

    def kept(self, policy: int = 0) -> dict[str, set[tuple[int, bytes]]]:
        """What its devices have: of each replicated object the stamp and the whole version of each replica; in other
        policies, of each fragment the stamp."""
        found: dict[str, set[tuple[int, bytes]]] = {}
        column = "x''" if policy else "version"
        asked = f"SELECT container || '/' || object, stamp, {column} FROM objects WHERE policy = ?"
        for each in self.devices:
            path = self.state / each / "catalogue.db"
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
                for name, stamp, version in file.execute(asked, [policy]):
                    found.setdefault(name, set()).add((stamp, version))
        return found

    def has_begun(self) -> bool:
        """Whether each worker has got what it waited for."""
        return self.words().count("the object store begins") == self.workers

    def words(self) -> str:
        logs = [*self.state.glob("*.words"), *self.state.glob("log/*.log")]
        return "\n".join(path.read_text(errors="replace") for path in logs)

    def _is_there(self, part: str) -> bool:
        assert self._processes[part].poll() is None, self.words()
        url = "http://127.0.0.1:8700/healthz" if part == "serve" else "http://127.0.0.1:8703/healthz"
        try:
            return self.inside(lambda: httpx.get(url, timeout=5)).status_code == 200
        except httpx.TransportError:
            return False


class StoreHosts:
    """`a` with the control plane, `b` with two workers, and `c`. Their clocks are apart.

    `more` are settings of each, with policies 1 to `policies` perhaps, which have a ring each then.
    """

    def __init__(self, folder: Path, more: str = "", policies: int = 0) -> None:
        self.rings = ("account", "container", "object", *(f"object-{number + 1}" for number in range(policies)))
        mark = secrets.token_hex(2)
        net = f"198.18.{secrets.randbelow(254) + 1}"
        self.switch = Namespace(f"store-{mark}-s")
        self.hosts = [
            StoreHost(folder, name, mark, f"{net}.{number}", devices, _settings(name, f"{net}.{number}") + more)
            for number, (name, devices) in enumerate(DEVICES.items(), 1)
        ]
        self.a, self.b, self.c = self.hosts

    def up(self) -> None:
        """Lay the cables, start the control plane, and have the others join it."""
        self.switch.create()
        for each in self.hosts:
            each.space.create()
        self.switch.visit(self._lay_cables)
        for each in self.hosts:
            each.inside(lambda each=each: _come_up(each.address))
        self.a.start("serve")
        url = f"https://{self.a.address}:{LINK_PORT}"
        for each in (self.b, self.c):
            status, said = self.a.tell("host", "token")
            assert status == 0, said
            token, member = said.strip(), Membership(each.state / "agent")
            each.inside(lambda each=each, token=token, member=member: join(token, [url], each.name, member))

    def spread(self) -> str:
        """Have a replica of everything on each host; what the last distribution said."""
        a, b, c = self.hosts
        for ring in self.rings:
            builder = a.builder(ring)
            places = [f"r1z2-{b.address}:{DEVICE_PORT}/b0", "50", f"r1z2-{b.address}:{DEVICE_PORT}/b1", "50"]
            a.plan("add", builder, *places, f"r1z3-{c.address}:{DEVICE_PORT}/c0", "100")
            a.plan("set-replicas", builder, "3")
            a.plan("rebalance", builder, "--seed", "1")
        _, said = until(lambda: (got := self.distribute())[0] == 0 and got, seconds=60)
        for each in (b, c):
            until(each.has_begun, seconds=60)
        return said

    def distribute(self) -> tuple[int, str]:
        """Bring all rings to all hosts: the worst status, and what was said."""
        status, said = 0, ""
        for ring in self.rings:
            more, words = self.a.ring("distribute", self.a.builder(ring))
            status, said = status | more, said + words
        return status, said

    def alike(self, policy: int = 0) -> bool:
        """Whether each host has the same version of every object."""
        kept = [each.kept(policy) for each in self.hosts]
        return kept[0] == kept[1] == kept[2] and {len(each) for each in kept[0].values()} == {1}

    def down(self) -> None:
        for each in self.hosts:
            each.close()
        self.switch.delete()

    def plug(self, host: StoreHost, *, up: bool) -> None:
        """Put the host's cable in or pull it."""

        def act() -> None:
            with Links() as links:
                links.settle(host.cable, up=up)

        self.switch.visit(act)

    @contextlib.contextmanager
    def without(self, host: StoreHost) -> Iterator[None]:
        """Its cable is pulled meanwhile."""
        self.plug(host, up=False)
        try:
            yield
        finally:
            self.plug(host, up=True)

    @contextlib.contextmanager
    def mute(self, host: StoreHost) -> Iterator[None]:
        """What it sends to the others is lost meanwhile; it hears them."""
        others = [each.address for each in self.hosts if each is not host]
        host.inside(lambda: _send_astray(others, astray=True))
        try:
            yield
        finally:
            host.inside(lambda: _send_astray(others, astray=False))

    def _lay_cables(self) -> None:
        with Links() as links:
            links.settle("lo")
            links.bridge(BRIDGE, 1500, 1)
            links.settle(BRIDGE)
            for each in self.hosts:
                links.cable(each.cable, "wire0", each.space)
                links.settle(each.cable, master=BRIDGE)


DEVICES = {"a": ["a0"], "b": ["b0", "b1"], "c": ["c0"]}
WORKERS = {"a": 1, "b": 2, "c": 1}


def _come_up(address: str) -> None:
    with Links() as links:
        links.settle("lo")
        links.settle("wire0")
        links.addresses("wire0", [f"{address}/24"])


def _send_astray(addresses: list[str], *, astray: bool) -> None:
    """Take a MAC that nobody has for that of these neighbours, or forget it."""
    with IPRoute() as route:
        [wire] = route.link_lookup(ifname="wire0")
        for each in addresses:
            if astray:
                route.neigh("replace", dst=each, lladdr="02:00:00:00:00:99", ifindex=wire, state=_PERMANENT)
            else:
                route.neigh("del", dst=each, ifindex=wire)


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


def _line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _lives(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def _settings(name: str, address: str) -> str:
    return f"""
host = "{name}"
[control]
port = 8700
[link]
host = "{address if name == "a" else ""}"
silence = 3
[identity]
bcrypt_rounds = 4
[object_store]
address = "{address}"
workers = {WORKERS[name]}
part_power = {PART_POWER}
[object_store.upkeep]
replicator_interval = 1
[object_store.temp_auth]
users = ["user_test_tester = testing .admin"]
"""
