# SPDX-License-Identifier: Apache-2.0
"""Fifty fake hosts in one process: they join at once, share servers, come back after a break, and cost little."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cumulet.fake_hosts import FakeHosts, name_of
from fakes.hosts import Tenant
from support.cloud import RunningCloud
from support.waiting import until

COUNT = 50
MEMORY = 1.0  # MiB a host at most
THREADS = 64 + 32 + 8  # those that do verbs, those of the loop, others: whatever the number of hosts
JOIN_TIME = 60.0  # seconds until all must have joined, on a busy machine


def resident() -> float:
    """This process's memory, in MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


class Place:
    """A cloud with fifty hosts beside its own."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.tenant = Tenant(cloud)
        memory, threads = resident(), threading.active_count()
        self.hosts = FakeHosts(cloud.settings, COUNT)
        begin = time.monotonic()
        self.hosts.start()
        until(self.all_joined, JOIN_TIME)
        self.join_time = time.monotonic() - begin
        self.memory = (resident() - memory) / COUNT
        self.threads = threading.active_count() - threads

    def joined(self) -> set[str]:
        return {host.name for host in self.cloud.control.hosts.connected()}

    def all_joined(self) -> bool:
        return {name_of(number) for number in range(1, COUNT + 1)} <= self.joined()

    def hypervisors(self) -> set[str]:
        found = self.tenant.admin("GET", "/compute/v2.1/os-hypervisors")["hypervisors"]
        return {each["hypervisor_hostname"] for each in found if each["state"] == "up"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    cloud = RunningCloud(Path(tmp_path_factory.mktemp("many")))
    try:
        made = Place(cloud)
        yield made
        made.hosts.stop()
    finally:
        cloud.close()


def test_a_host_costs_little(place: Place) -> None:
    assert place.memory < MEMORY
    assert place.threads < THREADS


def test_every_host_is_a_hypervisor(place: Place) -> None:
    until(lambda: len(place.hypervisors()) > COUNT, JOIN_TIME)


def test_servers_spread_over_the_hosts(place: Place) -> None:
    until(lambda: len(place.hypervisors()) > COUNT, JOIN_TIME)
    name = secrets.token_hex(4)
    body = {"name": name, "flavorRef": place.tenant.flavor, "imageRef": place.tenant.image, "networks": "none"}
    place.tenant.admin("POST", "/compute/v2.1/servers", {"server": {**body, "min_count": 10, "max_count": 10}})

    def look() -> list[dict[str, str]] | None:
        found = place.tenant.admin("GET", f"/compute/v2.1/servers/detail?name={name}")["servers"]
        return found if all(each["status"] == "ACTIVE" for each in found) else None

    servers = until(look, JOIN_TIME)
    load = Counter(each["OS-EXT-SRV-ATTR:host"] for each in servers)
    assert len(load) >= 5, "those that are placed at the same time do not see each other"
    for each in servers:
        place.tenant.gone(each["id"])


def test_all_come_back_after_a_break(place: Place) -> None:
    server = place.tenant.server(name_of(7))
    before = {host.name: host.generation for host in place.cloud.control.hosts.connected()}
    for agent in place.hosts.agents:
        agent.loop.wait(agent._uplink._hang_up())

    def back() -> bool:
        now = {host.name: host.generation for host in place.cloud.control.hosts.connected()}
        return all(now.get(name_of(n), 0) > before[name_of(n)] for n in range(1, COUNT + 1))

    until(back, JOIN_TIME)
    assert place.tenant.settled(server["id"])["status"] == "ACTIVE"
    place.tenant.gone(server["id"])


def test_real_drivers_are_no_fake_hosts(place: Place) -> None:
    for name in ("compute", "network", "block_storage"):
        section = msgspec.structs.replace(
            getattr(place.cloud.settings, name), driver={"compute": "qemu", "network": "fabric"}.get(name, "file")
        )
        real = msgspec.structs.replace(place.cloud.settings, **{name: section}, run=place.cloud.settings.run)
        with pytest.raises(ValueError, match=f"{name}.driver"):
            FakeHosts(real, 1)
