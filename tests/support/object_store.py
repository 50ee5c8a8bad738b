# SPDX-License-Identifier: Apache-2.0
"""An object store that answers on loopback, on devices in memory, and its callers."""

from __future__ import annotations

import asyncio
import socket
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx
import uvicorn

from cumulet.services.object_store.api.app import ObjectApp
from cumulet.services.object_store.api.protocol import ObjectProtocol
from cumulet.services.object_store.api.site import Options, Site
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.engine.base import Engine, Policy
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.engine.places import Node, Rings, where
from cumulet.services.object_store.logic.access import Caller, Rules
from cumulet.services.object_store.logic.identity import Keyed
from cumulet.services.object_store.logic.limits import Limits
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring, RingFile

POLICIES = (Policy(number=0, name="gold", default=True), Policy(number=1, name="silver", aliases=("second",)))


def person(name: str, project: str, *roles: str, domain: str = "default") -> Caller:
    return Caller(
        user_id=f"{name}-id",
        user_name=name,
        project_id=project,
        project_name=f"{project}-name",
        user_domain=domain,
        project_domain=domain,
        roles=frozenset(roles),
    )


PEOPLE = {
    "admin": person("admin", "one", "admin", "member", "reader"),
    "manager": person("manager", "one", "manager", "member", "reader"),
    "member": person("member", "one", "member", "reader"),
    "reader": person("reader", "one", "reader"),
    "nobody": person("nobody", "one", "other"),
    "service": person("service", "services", "service"),
    "other": person("other", "two", "member", "reader"),
    "reseller": person("reseller", "three", "reselleradmin"),
}
ACCOUNT, OTHERS = "AUTH_one", "AUTH_two"


class FakeIdentity:
    """Tokens are the names of `people`, access keys too; their secrets are `<name>-secret`."""

    def __init__(self, people: dict[str, Caller] | None = None) -> None:
        self.people = dict(PEOPLE if people is None else people)

    async def caller(self, token: str, service_token: str = "") -> Caller | None:
        return self.people.get(token)

    async def keyed(self, access: str) -> Keyed | None:
        found = self.people.get(access)
        return None if found is None else Keyed(caller=found, secret=f"{access}-secret")


class ObjectStore:
    """The running one; `client(token)` speaks to it as somebody, below its account."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
        self.port, self.engine = port, engine
        self.url = f"http://127.0.0.1:{port}"
        self._loop = loop
        self._clients: list[httpx.Client] = []

    def client(self, token: str = "member", account: str = ACCOUNT) -> httpx.Client:
        """Paths are below `/v1/<account>`; "" as token is nobody's."""
        headers = {"x-auth-token": token} if token else {}
        made = httpx.Client(base_url=f"{self.url}/v1/{account}", headers=headers, timeout=30)
        self._clients.append(made)
        return made

    def run(self, work: Callable[[], object]) -> object:
        """Have the server's loop do a coroutine."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)  # type: ignore[arg-type]

    def close(self) -> None:
        for each in self._clients:
            each.close()


def ring_of(names: Sequence[str], replicas: int) -> tuple[Ring, list[Device]]:
    """16 partitions, each of whose replicas lie on neighbours in `names`; and the devices."""
    devices = [
        Device(id=number, zone=number + 1, ip=f"127.0.0.{number + 1}", port=6200, device=name, weight=1.0)
        for number, name in enumerate(names)
    ]
    rows = [array("H", [(part + replica) % len(names) for part in range(16)]) for replica in range(replicas)]
    return Ring(RingFile(part_power=4, devices=list(devices), rows=rows), "secret", "end"), devices


def in_memory(devices: int = 2, replicas: int = 2) -> Cluster:
    """What is on it ends with the process."""
    ring, known = ring_of([f"d{number}" for number in range(devices)], replicas)
    rings = Rings(account=ring, container=ring, objects={0: ring, 1: ring}, prefix="secret", suffix="end")
    nodes = {where(each): Node(objects=FakeDevice(each.device), indexes=FakeIndex()) for each in known}
    return Cluster(POLICIES, rings, nodes)


def encoded(scheme: Scheme) -> Cluster:
    """As `in_memory`; the policy "silver" encodes, and there is a device more than it has fragments."""
    coded, known = ring_of([f"d{number}" for number in range(scheme.replicas + 1)], scheme.replicas)
    ring, _ = ring_of([each.device for each in known], 3)
    rings = Rings(account=ring, container=ring, objects={0: ring, 1: coded}, prefix="secret", suffix="end")
    nodes = {where(each): Node(objects=FakeDevice(each.device), indexes=FakeIndex()) for each in known}
    gold, silver = POLICIES
    policies = (gold, Policy(number=1, name=silver.name, aliases=silver.aliases, scheme=scheme))
    return Cluster(policies, rings, nodes)


@contextmanager
def serving(
    make_engine: Callable[[], Engine] | None = None,
    *,
    options: Options | None = None,
    limits: Limits | None = None,
    rules: Rules | None = None,
    identity: FakeIdentity | None = None,
) -> Iterator[ObjectStore]:
    """`make_engine` is called in the server's loop; without it there are two devices in memory."""
    ready = threading.Event()
    found: list[object] = []
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()  # so that callers wait while the server begins

    async def serve() -> None:
        engine = make_engine() if make_engine is not None else in_memory()
        site = Site(
            engine=engine,
            identity=identity or FakeIdentity(),
            options=options or Options(),
            limits=limits or Limits(),
            rules=rules or Rules(),
        )
        server = uvicorn.Server(
            uvicorn.Config(
                ObjectApp(site),
                http=ObjectProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
            )
        )
        found.extend((server, asyncio.get_running_loop(), engine))
        ready.set()
        try:
            await server.serve([sock])
        finally:
            await engine.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="object-store", daemon=True)
    thread.start()
    assert ready.wait(30), "the server did not begin"
    server, loop, engine = found
    store = ObjectStore(sock.getsockname()[1], loop, engine)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        store.close()
        server.should_exit = True  # type: ignore[attr-defined]
        thread.join(30)
        sock.close()
