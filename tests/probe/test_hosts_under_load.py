# SPDX-License-Identifier: Apache-2.0
"""Three hosts of the object store under load, of which one is cut off, killed or emptied; judged as the histories are.

Clients ask every host. They use a container of replicas, one of fragments, and one that lies in shards which come and
go meanwhile. `KILLS=all` has each of the hosts fail in each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from random import Random

import pytest

from histories.judge import DONE
from probe.store_clients import Box, Clients
from probe.store_replicas import examine
from support.store_hosts import AHEAD, DEVICE_PORT, WORKERS, StoreHost, StoreHosts
from support.waiting import until

SETTINGS = """
[object_store.sharding]
interval = 1
shard_container_threshold = 8
rows_per_shard = 4
minimum_shard_size = 2
shrink_threshold = 1
expansion_limit = 6
[[object_store.policies]]
number = 1
name = "coded"
type = "erasure_coding"
ec_type = "isa_l_rs_vand"
ec_num_data_fragments = 2
ec_num_parity_fragments = 1
ec_object_segment_size = 30000
"""
ALL = os.environ.get("KILLS") == "all"
LOAD = 40 if ALL else 12  # requests of each container before, while and after something is wrong
MEANWHILE = 5  # writes that are acknowledged, at least
MANY = tuple(f"n{number:02}" for number in range(16))
BODIES = {f"{size}": os.urandom(size) for size in (0, 700, 60_000, 400_000)}  # up to many segments
LATER = {f"later-{size}": os.urandom(size) for size in (800, 300_000)}


@contextlib.contextmanager
def _killed(store: StoreHosts, host: StoreHost) -> Iterator[None]:
    parts = host.kill()
    try:
        yield
    finally:
        for part in parts:
            host.start(part)


@contextlib.contextmanager
def _emptied(store: StoreHosts, host: StoreHost) -> Iterator[None]:
    with _killed(store, host):
        host.empty(host.devices[-1])
        yield


@contextlib.contextmanager
def _flapping(store: StoreHosts, host: StoreHost) -> Iterator[None]:
    """Its cable is in and out, for times that are shorter and longer than a silence that is borne."""
    over, luck = threading.Event(), Random(host.name)

    def flap() -> None:
        while not over.is_set():
            with store.without(host):
                over.wait(luck.choice([0.1, 1.0, 7.0]))
            over.wait(luck.choice([0.1, 1.0, 3.0]))

    with ThreadPoolExecutor(1) as beside:
        flaps = beside.submit(flap)
        try:
            yield
        finally:
            over.set()
        flaps.result()


@contextlib.contextmanager
def _worker_killed(store: StoreHosts, host: StoreHost) -> Iterator[None]:
    """The one by which others reach the host. Its supervisor starts another one."""
    host.kill_worker(0)
    yield


FAULTS: dict[str, Callable[[StoreHosts, StoreHost], AbstractContextManager[None]]] = {
    "cut off": StoreHosts.without,
    "mute": StoreHosts.mute,
    "killed": _killed,
    "emptied": _emptied,
    "flapping": _flapping,
    "worker killed": _worker_killed,
}
APART = ("cut off", "mute", "flapping")
STORIES = [("a", "cut off"), ("c", "emptied")]
if ALL:
    STORIES = [each for each in itertools.product("abc", FAULTS) if each[1] != "worker killed" or WORKERS[each[0]] > 1]


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreHosts]:
    """With a replica and a fragment of everything on each host."""
    made = StoreHosts(tmp_path_factory.mktemp("hosts"), SETTINGS, policies=1)
    try:
        made.up()
        for each in made.hosts:
            each.start("objects")
        made.spread()
        for each in made.hosts:
            until(lambda each=each: each.ask("GET", "/info").status_code == 200)
        yield made
    finally:
        made.down()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("victim", "fault"), STORIES, ids=["-".join(each).replace(" ", "-") for each in STORIES])
def test_a_host_fails_under_load(store: StoreHosts, victim: str, fault: str) -> None:
    seed = f"{victim} {fault}".replace(" ", "-")
    host = next(each for each in store.hosts if each.name == victim)
    every = [
        Clients(store.hosts, list(AHEAD.values()), seed, box)
        for box in (Box(f"plain-{seed}"), Box(f"coded-{seed}", "coded"), Box(f"many-{seed}", names=MANY))
    ]
    plain, coded, many = every
    fill(many)
    until(lambda: is_sharded(store.a, many.path))
    with contextlib.ExitStack() as work:
        for each in every:
            work.enter_context(each.at_work(2))
        go_on(every)
        if fault in APART and len(host.devices) > 1:
            # Two devices take what belongs to three, where the others are away: either side takes what it is given.
            for each in every:
                each.sure = False
        with FAULTS[fault](store, host):
            before = [each.acknowledged() for each in every]
            if fault in ("cut off", "mute") and len(host.devices) == 1:
                until(lambda: plain.put_box(host) == 503)
            go_on(every)
            for each, number in zip(every, before, strict=True):
                # Fragments have no quorum where the host with two devices is away.
                if each is not coded or len(host.devices) == 1:
                    until(lambda each=each, number=number: each.acknowledged() >= number + MEANWHILE)
        go_on(every)
    assert [each.end() for each in every] == [[], [], []]
    for policy in (0, 1):
        until(lambda policy=policy: store.alike(policy))


@pytest.mark.timeout(300)
def test_what_is_encoded_and_what_is_sharded_is_read_without_a_host(store: StoreHosts) -> None:
    a, b, c = store.hosts
    token, account = a.token()
    coded, many = f"{account}/bodies", f"{account}/shards"
    assert a.ask("PUT", coded, token, headers={"x-storage-policy": "coded"}).status_code == 201
    assert a.ask("PUT", many, token).status_code == 201
    for name in MANY:
        assert a.ask("PUT", f"{many}/{name}", token, content=name.encode()).status_code == 201
    put(a, token, coded, BODIES)
    until(lambda: is_sharded(a, many))

    names = [*MANY[1:], "z0", "z1"]
    with store.without(c):
        for each in (a, b):
            until(lambda each=each: read(each, token, coded) == BODIES)
            until(lambda each=each: each.ask("GET", many, token).text.split() == list(MANY))
        put(b, token, coded, LATER)
        assert a.ask("DELETE", f"{many}/{MANY[0]}", token).status_code == 204
        put(b, token, many, dict.fromkeys(names[-2:], b"z"))
        assert c.ask("GET", f"{coded}/700", token).status_code == 503  # it has one fragment
    # It has got its own of what it missed before the others are needed without it.
    until(lambda: {f"bodies/{name}" for name in LATER} <= c.kept(1).keys())

    bodies = BODIES | LATER
    with _killed(store, b):
        for each in (a, c):
            until(lambda each=each: read(each, token, coded) == bodies)
            until(lambda each=each: each.ask("GET", many, token).text.split() == names)
    for each in store.hosts:
        until(lambda each=each: each.ask("GET", many, token).text.split() == names)
        until(lambda each=each: read(each, token, coded) == bodies)
        assert each.ask("GET", f"{many}/{MANY[0]}", token).status_code == 404


def put(host: StoreHost, token: str, path: str, bodies: dict[str, bytes]) -> None:
    for name, body in bodies.items():
        assert host.ask("PUT", f"{path}/{name}", token, content=body).status_code == 201


def read(host: StoreHost, token: str, path: str) -> dict[str, bytes]:
    """All that is listed."""
    names = host.ask("GET", path, token).text.split("\n")[:-1]
    return {name: host.ask("GET", f"{path}/{name}", token).content for name in names}


def test_in_the_end_every_replica_is_alike(store: StoreHosts) -> None:
    """And every fragment, by a process that has all devices."""
    for each in store.hosts:
        each.kill()
    others = {
        (each.address, DEVICE_PORT, device): each.state / device for each in store.hosts[1:] for device in each.devices
    }
    asyncio.run(examine(store.a.state, others, 4))


def go_on(every: list[Clients]) -> None:
    for each in every:
        each.more(LOAD)


def fill(clients: Clients) -> None:
    for name in clients.box.names:
        door = clients.doors[0]
        assert clients.one("first", "put", name, Random(name), door, newest=False).fate == DONE


def is_sharded(host: StoreHost, path: str) -> bool:
    account, box = path.removeprefix("/v1/").split("/")
    return f"{box} is sharded" in host.tell("container", "show", account, box)[1]
