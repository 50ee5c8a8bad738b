# SPDX-License-Identifier: Apache-2.0
"""How much of a host is promised to servers: by its settings, or by users of placement where those say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cumulet.agent import Agent
from cumulet.services.compute.logic import offers
from support.caller import Caller
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

HOST = "host-of-shares"
SETTINGS = {
    "compute.ram_allocation_ratio": "1.5",
    "compute.initial_cpu_allocation_ratio": "8.0",
    "compute.reserved_host_cpus": "2",
    "compute.reserved_host_memory_mb": "1024",
    "compute.reserved_host_disk_mb": "1500",
    "fake_machine.cpus": "16",
    "fake_machine.memory": "8192",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("shares"), settings=SETTINGS)
    yield running
    running.close()


@pytest.fixture
def admin(cloud: RunningCloud) -> Caller:
    versions = {"openstack-api-version": "placement 1.39"}
    return Caller(cloud.settings.control.port, environment(cloud)["ADMIN_TOKEN"], versions)


def has(admin: Caller, host: str) -> dict[str, Any]:
    """The host's inventory in placement, by class; empty before the host is known."""
    found = admin("GET", f"/placement/resource_providers?name={host}")["resource_providers"]
    if not found:
        return {}
    told: dict[str, Any] = admin("GET", f"/placement/resource_providers/{found[0]['uuid']}/inventories")
    return {**told["inventories"], "provider": found[0]["uuid"], "generation": told["resource_provider_generation"]}


def ratio(admin: Caller, name: str) -> float:
    return float(has(admin, HOST)[name]["allocation_ratio"])


def test_a_new_host_promises_what_its_settings_say(cloud: RunningCloud, admin: Caller, tmp_path: Path) -> None:
    with cloud.one_more_host(HOST, tmp_path):
        found = until(lambda: has(admin, HOST))
    processors, memory, disk = (found[name] for name in ("VCPU", "MEMORY_MB", "DISK_GB"))
    assert (processors["total"], processors["reserved"], processors["allocation_ratio"]) == (16, 2, 8.0)
    assert (memory["total"], memory["reserved"], memory["allocation_ratio"]) == (8192, 1024, 1.5)
    assert (disk["reserved"], disk["allocation_ratio"]) == (2, 1.0)


def test_what_is_reserved_counts_as_used(cloud: RunningCloud, admin: Caller, tmp_path: Path) -> None:
    with cloud.one_more_host(HOST, tmp_path):
        until(lambda: has(admin, HOST))
        listed = admin("GET", f"/compute/v2.1/os-hypervisors/detail?hypervisor_hostname_pattern={HOST}")
        host = next(each for each in listed["hypervisors"] if each["hypervisor_hostname"] == HOST)
    assert (host["vcpus_used"], host["memory_mb_used"], host["local_gb_used"]) == (2, 1024, 2)
    assert host["free_ram_mb"] == 8192 - 1024


def test_a_ratio_that_a_user_of_placement_chose_stays_where_the_host_has_none(
    cloud: RunningCloud, admin: Caller, tmp_path: Path
) -> None:
    with cloud.one_more_host(HOST, tmp_path):
        found = until(lambda: has(admin, HOST))
        for name in ("VCPU", "MEMORY_MB"):
            generation = has(admin, HOST)["generation"]
            wanted = {**found[name], "allocation_ratio": 16.0, "resource_provider_generation": generation}
            admin("PUT", f"/placement/resource_providers/{found['provider']}/inventories/{name}", wanted)
    assert ratio(admin, "VCPU") == ratio(admin, "MEMORY_MB") == 16.0
    with cloud.one_more_host(HOST, tmp_path):
        until(lambda: ratio(admin, "MEMORY_MB") == 1.5)
        assert ratio(admin, "VCPU") == 16.0
    settings = msgspec.structs.replace(
        cloud.settings, state=tmp_path, host=HOST,
        compute=msgspec.structs.replace(cloud.settings.compute, cpu_allocation_ratio=2.0),
    )  # fmt: skip
    agent = Agent(settings)
    agent.start()
    try:
        until(lambda: ratio(admin, "VCPU") == 2.0)
    finally:
        agent.stop()


def test_a_host_of_the_release_before_promises_what_it_did() -> None:
    found = {name: offers.share({}, name) for name in ("VCPU", "MEMORY_MB", "DISK_GB")}
    assert [share.planned for share in found.values()] == [4.0, 1.0, 1.0]
    assert [share.reserved for share in found.values()] == [0, 512, 0]
