# SPDX-License-Identifier: Apache-2.0
"""Fifty fake hosts in one process: they join at once, share servers, come back after a break, and cost little."""

from __future__ import annotations

import secrets
from collections import Counter

import msgspec
import pytest

from cumulet.fake_hosts import FakeHosts, name_of
from cumulet.services.compute.logic import explain
from fakes.crowd import COUNT, JOIN_TIME, Crowd
from support.waiting import until

MEMORY = 1.0  # MiB a host at most
THREADS = 64 + 32 + 8  # those that do verbs, those of the loop, others: whatever the number of hosts


def test_a_host_costs_little(place: Crowd) -> None:
    assert place.memory < MEMORY
    assert place.threads < THREADS


def test_every_host_is_a_hypervisor(place: Crowd) -> None:
    until(lambda: len(place.hypervisors()) > COUNT, JOIN_TIME)


def test_servers_spread_over_the_hosts(place: Crowd) -> None:
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


def test_servers_find_room_while_there_is_any(place: Crowd) -> None:
    """Seventy at once, where fifty-one hosts have room for one each: nobody gets what is another's."""
    until(lambda: len(place.hypervisors()) > COUNT, JOIN_TIME)
    admin, name = place.tenant.admin, secrets.token_hex(4)
    memory = admin("GET", "/compute/v2.1/os-hypervisors/detail")["hypervisors"][0]["memory_mb"]
    flavor = {"name": name, "ram": memory * 2 // 3, "vcpus": 1, "disk": 1}
    large = admin("POST", "/compute/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
    body = {"name": name, "flavorRef": large, "imageRef": place.tenant.image, "networks": "none"}
    project = place.tenant.admin_project
    quota = {"instances": -1, "cores": -1, "ram": -1}
    admin("PUT", f"/compute/v2.1/os-quota-sets/{project}", {"quota_set": quota})
    admin("POST", "/compute/v2.1/servers", {"server": {**body, "min_count": 70, "max_count": 70}})

    def look() -> list[dict[str, str]] | None:
        found = admin("GET", f"/compute/v2.1/servers/detail?name={name}")["servers"]
        return found if all(each["status"] in ("ACTIVE", "ERROR") for each in found) else None

    servers = until(look, 4 * JOIN_TIME)
    running = [each["OS-EXT-SRV-ATTR:host"] for each in servers if each["status"] == "ACTIVE"]
    assert len(running) == len(set(running)) == COUNT + 1
    without = next(each for each in servers if each["status"] == "ERROR")
    told = explain.server(place.cloud.control.cloud, without["id"], {})
    assert told is not None
    assert set(told.facts["hosts"].values()) == {"placement"}
    for each in servers:
        admin("DELETE", f"/compute/v2.1/servers/{each['id']}")
    until(lambda: not admin("GET", f"/compute/v2.1/servers?name={name}")["servers"], JOIN_TIME)


def test_what_aggregates_and_groups_say_is_followed(place: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: len(place.hypervisors()) > COUNT, JOIN_TIME)
    cloud, admin, name = place.cloud.control.cloud, place.tenant.admin, secrets.token_hex(4)
    enabled = (*cloud.settings.scheduler.enabled_filters, "AggregateInstanceExtraSpecsFilter")
    scheduler = msgspec.structs.replace(cloud.settings.scheduler, enabled_filters=enabled)
    monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, scheduler=scheduler))
    aggregate = admin("POST", "/compute/v2.1/os-aggregates", {"aggregate": {"name": name}})["aggregate"]["id"]
    path = f"/compute/v2.1/os-aggregates/{aggregate}/action"
    inside = {name_of(3), name_of(4)}
    for host in sorted(inside):
        admin("POST", path, {"add_host": {"host": host}})
    admin("POST", path, {"set_metadata": {"metadata": {"disks": "quick"}}})
    flavor = {"name": name, "ram": 64, "vcpus": 1, "disk": 1}
    quick = admin("POST", "/compute/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
    specs = {"extra_specs": {"aggregate_instance_extra_specs:disks": "quick"}}
    admin("POST", f"/compute/v2.1/flavors/{quick}/os-extra_specs", specs)
    group = admin("POST", "/compute/v2.1/os-server-groups", {"server_group": {"name": name, "policy": "anti-affinity"}})
    hints = {"os:scheduler_hints": {"group": group["server_group"]["id"]}}

    def make() -> str:
        words = {"name": name, "flavorRef": quick, "imageRef": place.tenant.image, "networks": "none"}
        made: str = admin("POST", "/compute/v2.1/servers", {"server": words, **hints})["server"]["id"]
        return made

    two = [make(), make()]
    assert {place.tenant.settled(each)["OS-EXT-SRV-ATTR:host"] for each in two} == inside
    third = make()
    until(lambda: admin("GET", f"/compute/v2.1/servers/{third}")["server"]["status"] == "ERROR", JOIN_TIME)
    told = explain.server(cloud, third, {})
    assert told is not None
    assert {told.facts["hosts"][host] for host in inside} == {"ServerGroupAntiAffinityFilter"}
    assert told.facts["hosts"][name_of(5)] == "AggregateInstanceExtraSpecsFilter"
    for each in (*two, third):
        place.tenant.gone(each)


def test_all_come_back_after_a_break(place: Crowd) -> None:
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


def test_real_drivers_are_no_fake_hosts(place: Crowd) -> None:
    for name in ("compute", "network", "block_storage"):
        section = msgspec.structs.replace(
            getattr(place.cloud.settings, name), driver={"compute": "qemu", "network": "fabric"}.get(name, "file")
        )
        real = msgspec.structs.replace(place.cloud.settings, **{name: section}, run=place.cloud.settings.run)
        with pytest.raises(ValueError, match=f"{name}.driver"):
            FakeHosts(real, 1)
