# SPDX-License-Identifier: Apache-2.0
"""Many servers asked for at the same moment, where there is just enough room: all run, none on what is another's.

Some in every run, two hundred by `make soak` (CREATES=200).
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cumulet.fake_hosts import name_of
from fakes.crowd import COUNT, JOIN_TIME, Crowd
from fakes.hosts import Tenant
from support.waiting import until

CREATES = int(os.environ.get("CREATES", "16"))
A_HOST = 4  # servers that one host has room for
HOSTS = range(COUNT + 1 - -(-CREATES // A_HOST), COUNT + 1)  # the last ones, which no other test changes
TIME = 10 * JOIN_TIME
SERVERS, AGGREGATES = "/compute/v2.1/servers", "/compute/v2.1/os-aggregates"
QUOTA = {"instances": CREATES, "cores": -1, "ram": -1}


class Room:
    """Hosts with room for so many servers, and no quota that is in their way but that of their number."""

    def __init__(self, place: Crowd) -> None:
        self.tenant, self.name = Tenant(place.cloud), secrets.token_hex(4)
        self.hosts = {name_of(number) for number in HOSTS}
        until(lambda: self.hosts <= place.hypervisors(), JOIN_TIME)
        admin = self.tenant.admin
        memory = admin("GET", "/compute/v2.1/os-hypervisors/detail")["hypervisors"][0]["memory_mb"]
        flavor = {"name": self.name, "ram": memory // (A_HOST + 1), "vcpus": 1, "disk": 1}
        self.flavor = admin("POST", "/compute/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
        words = {"name": self.name, "availability_zone": self.name}
        self._aggregate = f"{AGGREGATES}/{admin('POST', AGGREGATES, {'aggregate': words})['aggregate']['id']}"
        for host in self.hosts:
            admin("POST", f"{self._aggregate}/action", {"add_host": {"host": host}})
        self.limit(CREATES)

    def limit(self, servers: int) -> None:
        path = f"/compute/v2.1/os-quota-sets/{self.tenant.project}"
        self.tenant.admin("PUT", path, {"quota_set": {**QUOTA, "instances": servers}})

    def ask(self, **more: Any) -> int:
        words = {"name": self.name, "flavorRef": self.flavor, "imageRef": self.tenant.image, "networks": "none"}
        body = {"server": {**words, "availability_zone": self.name, **more}}
        status, _ = self.tenant.api.ask("POST", SERVERS, body)
        return status

    def ask_at_once(self) -> Counter[int]:
        """The answers to one request for each server, all sent together."""
        with ThreadPoolExecutor(CREATES) as pool:
            return Counter(pool.map(lambda _: self.ask(), range(CREATES)))

    def servers(self) -> list[dict[str, Any]]:
        """All of them, once nothing is done to any."""

        def look() -> list[dict[str, Any]] | None:
            found = self.tenant.admin("GET", f"{SERVERS}/detail?all_tenants=1&name={self.name}")["servers"]
            return found if all(each["status"] in ("ACTIVE", "ERROR") for each in found) else None

        found = look() or until(lambda: look() or None, TIME, every=0.2)
        return found

    def check(self, count: int) -> None:
        """So many run, no host has more than it has room for, and the quota says the same."""
        found = self.servers()
        assert Counter(each["status"] for each in found) == {"ACTIVE": count}
        loads = Counter(each["OS-EXT-SRV-ATTR:host"] for each in found)
        assert (set(loads) <= self.hosts, max(loads.values()) <= A_HOST) == (True, True), loads
        for each in self.tenant.admin("GET", "/compute/v2.1/os-hypervisors")["hypervisors"]:
            usages = f"/placement/resource_providers/{each['id']}/usages"
            if each["hypervisor_hostname"] in self.hosts:
                assert self.tenant.admin("GET", usages)["usages"]["VCPU"] == loads[each["hypervisor_hostname"]]
        told = self.tenant.api("GET", "/compute/v2.1/limits")["limits"]["absolute"]
        assert told["totalInstancesUsed"] == count

    def empty(self) -> None:
        for each in self.tenant.admin("GET", f"{SERVERS}?all_tenants=1&name={self.name}")["servers"]:
            self.tenant.admin("DELETE", f"{SERVERS}/{each['id']}")
        until(lambda: self.tenant.api("GET", SERVERS)["servers"] == [], TIME, every=0.2)

    def close(self) -> None:
        for host in self.hosts:
            self.tenant.admin("POST", f"{self._aggregate}/action", {"remove_host": {"host": host}})
        self.tenant.admin("DELETE", self._aggregate)


@pytest.fixture(scope="module")
def furnished(place: Crowd) -> Iterator[Room]:
    made = Room(place)
    yield made
    made.close()


@pytest.fixture
def room(furnished: Room) -> Iterator[Room]:
    yield furnished
    furnished.empty()
    furnished.limit(CREATES)


def test_as_many_requests_at_once(room: Room) -> None:
    assert room.ask_at_once() == {202: CREATES}
    room.check(CREATES)


def test_one_request_for_as_many(room: Room) -> None:
    assert room.ask(min_count=CREATES, max_count=CREATES) == 202
    room.check(CREATES)


def test_one_less_is_allowed(room: Room) -> None:
    room.limit(CREATES - 1)
    assert room.ask(min_count=CREATES, max_count=CREATES) == 403
    assert room.ask_at_once() == {202: CREATES - 1, 403: 1}
    room.check(CREATES - 1)
