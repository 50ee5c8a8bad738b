# SPDX-License-Identifier: Apache-2.0
"""Processors, pages and devices that servers have for themselves: who asks at once gets nothing that another has."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import NotFound
from cumulet.services.compute.logic import explain, hosts, offers, parts
from cumulet.services.placement.contract import PlacementContract
from fakes.hosts import PATIENCE, Tenant
from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.people import environment
from support.waiting import until

HOSTS = ("host-1", "host-2")
NOVA = "/compute/v2.1"
# Two nodes of eight processors each, six of them for one server alone; 1 GiB of each node's 4 in large pages.
SETTINGS = {
    "fake_machine.nodes": "2",
    "fake_machine.cpus": "16",
    "fake_machine.threads": "2",
    "fake_machine.memory": "8192",
    "fake_machine.huge_pages": "1024",
    "fake_machine.devices": "address=0000:81:00.0 vendor_id=8086 product_id=154d node=0,"
    "address=0000:82:00.0 vendor_id=8086 product_id=154d node=1,"
    "address=0000:83:00.0 vendor_id=10de product_id=1eb8",
    "fake_machine.gpus": "address=0000:84:00.0 type=nvidia-35 total=2,address=0000:85:00.0 type=nvidia-36 total=4",
    "compute.cpu_shared_set": "0-1,8-9",
    "compute.cpu_dedicated_set": "2-7,10-15",
    "pci.device_spec": "vendor_id=8086 product_id=154d",
    "pci.alias": "name=net vendor_id=8086 product_id=154d,"
    "name=near vendor_id=8086 product_id=154d numa_policy=required",
    "pci.report_in_placement": "true",
    "devices.enabled_mdev_types": "nvidia-35",
}


class Lab:
    """A cloud of two such hosts, and servers on them."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.tenant = Tenant(cloud)
        self.admin = self.tenant.admin
        token = environment(cloud)["ADMIN_TOKEN"]
        self.newest = Caller(cloud.settings.control.port, token, {"openstack-api-version": "compute 2.78"})
        quota = {"instances": -1, "cores": -1, "ram": -1}
        self.admin("PUT", f"{NOVA}/os-quota-sets/{self.tenant.admin_project}", {"quota_set": quota})

    def flavor(self, specs: dict[str, str], vcpus: int = 2, ram: int = 64) -> str:
        body = {"name": secrets.token_hex(4), "ram": ram, "vcpus": vcpus, "disk": 1}
        made: str = self.admin("POST", f"{NOVA}/flavors", {"flavor": body})["flavor"]["id"]
        if specs:
            self.admin("POST", f"{NOVA}/flavors/{made}/os-extra_specs", {"extra_specs": specs})
        return made

    def several(self, flavor: str, count: int) -> list[dict[str, Any]]:
        """Servers that are asked for at once, when all are done."""
        name = secrets.token_hex(4)
        body = {"name": name, "flavorRef": flavor, "imageRef": self.tenant.image, "networks": "none"}
        self.admin("POST", f"{NOVA}/servers", {"server": {**body, "min_count": count, "max_count": count}})

        def look() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = self.admin("GET", f"{NOVA}/servers/detail?name={name}")["servers"]
            return found if all(each["status"] in ("ACTIVE", "ERROR") for each in found) else None

        found: list[dict[str, Any]] = until(look, 2 * PATIENCE)
        return found

    def gone(self, *servers: dict[str, Any]) -> None:
        for each in servers:
            self.tenant.gone(each["id"])

    def topology(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = self.newest("GET", f"{NOVA}/servers/{server}/topology")
        return found

    def held(self) -> dict[str, list[Any]]:
        return parts.held_everywhere(self.cloud.control.cloud.db)

    def used(self, server: str) -> dict[str, int]:
        """What placement says that a consumer holds, by class."""
        found = self.admin("GET", f"/placement/allocations/{server}")["allocations"]
        sums: Counter[str] = Counter()
        for each in found.values():
            sums.update(each["resources"])
        return dict(sums)

    def refusals(self, server: str) -> set[str]:
        told = explain.server(self.cloud.control.cloud, server, {})
        assert told is not None
        return set(told.facts["hosts"].values())

    def act(self, server: str, action: dict[str, Any], status: str) -> None:
        self.admin("POST", f"{NOVA}/servers/{server}/action", action)

        def look() -> bool:
            found = self.admin("GET", f"{NOVA}/servers/{server}")["server"]
            return bool(found["status"] == status and found["OS-EXT-STS:task_state"] is None)

        until(look, PATIENCE)


@pytest.fixture(scope="module")
def lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    url = pytestconfig.stash[ENGINES].new_url(engine)
    cloud = RunningCloud(tmp_path_factory.mktemp("parts"), database_url=url, settings=SETTINGS)
    try:
        with cloud.one_more_host(HOSTS[1], Path(tmp_path_factory.mktemp("second"))):
            made = Lab(cloud)
            until(lambda: len(made.admin("GET", f"{NOVA}/os-hypervisors")["hypervisors"]) == len(HOSTS), PATIENCE)
            yield made
    finally:
        cloud.close()


def test_pinned_processors_are_one_servers_each(lab: Lab) -> None:
    """Ten servers of three processors each, at once, where there is room for eight: two of a node's six."""
    flavor = lab.flavor({"hw:cpu_policy": "dedicated"}, vcpus=3)
    servers = lab.several(flavor, 10)
    running = [each for each in servers if each["status"] == "ACTIVE"]
    assert len(running) == 8
    taken: list[tuple[str, int]] = []
    for each in running:
        (node,) = lab.topology(each["id"])["nodes"]
        assert node["vcpu_set"] == [0, 1, 2]
        assert sorted(node["cpu_pinning"]) == ["0", "1", "2"]
        assert {cpu // 8 for cpu in node["cpu_pinning"].values()} == {node["host_node"]}
        taken += [(each["OS-EXT-SRV-ATTR:host"], cpu) for cpu in node["cpu_pinning"].values()]
        assert lab.used(each["id"])["PCPU"] == 3
        assert "VCPU" not in lab.used(each["id"])
    assert len(taken) == len(set(taken)) == 24
    without = next(each for each in servers if each["status"] == "ERROR")
    assert lab.refusals(without["id"]) == {"placement"}
    lab.gone(*servers)
    assert lab.held() == {}


def test_a_node_that_is_full_refuses_though_its_host_is_not(lab: Lab) -> None:
    flavor = lab.flavor({"hw:cpu_policy": "dedicated"}, vcpus=4)
    servers = lab.several(flavor, 5)
    assert Counter(each["status"] for each in servers) == {"ACTIVE": 4, "ERROR": 1}
    without = next(each for each in servers if each["status"] == "ERROR")
    assert lab.refusals(without["id"]) == {"NUMATopologyFilter"}
    lab.gone(*servers)


def test_pages_are_counted(lab: Lab) -> None:
    flavor = lab.flavor({"hw:mem_page_size": "2MB"}, ram=512)
    servers = lab.several(flavor, 9)
    assert Counter(each["status"] for each in servers) == {"ACTIVE": 8, "ERROR": 1}
    assert {lab.topology(each["id"])["pagesize_kb"] for each in servers if each["status"] == "ACTIVE"} == {2048}
    lab.gone(*servers)


def test_devices_are_one_servers_each(lab: Lab) -> None:
    servers = lab.several(lab.flavor({"pci_passthrough:alias": "net:1"}), 5)
    assert Counter(each["status"] for each in servers) == {"ACTIVE": 4, "ERROR": 1}
    without = next(each for each in servers if each["status"] == "ERROR")
    assert lab.refusals(without["id"]) == {"PciPassthroughFilter"}
    taken = [(host, each.address) for host, held in lab.held().items() for one in held for each in one.devices]
    assert len(taken) == len(set(taken)) == 4
    running = next(each for each in servers if each["status"] == "ACTIVE")
    told = explain.server(lab.cloud.control.cloud, running["id"], {})
    assert told is not None
    assert [each["alias"] for each in told.facts["own_parts"]["devices"]] == ["net"]
    assert lab.used(running["id"])["CUSTOM_PCI_8086_154D"] == 1
    lab.gone(*servers)
    assert lab.held() == {}


def test_a_device_is_near_where_that_is_asked_for(lab: Lab) -> None:
    specs = {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "near:1"}
    servers = lab.several(lab.flavor(specs, vcpus=1), 4)
    assert {each["status"] for each in servers} == {"ACTIVE"}
    for held in lab.held().values():
        for each in held:
            assert [device.address for device in each.devices] == [
                "0000:81:00.0" if each.numa.nodes[0].host_node == 0 else "0000:82:00.0"
            ]
    lab.gone(*servers)


def test_virtual_devices_are_counted_by_placement(lab: Lab) -> None:
    servers = lab.several(lab.flavor({"resources:VGPU": "1"}), 5)
    assert Counter(each["status"] for each in servers) == {"ACTIVE": 4, "ERROR": 1}
    made = [each for held in lab.held().values() for one in held for each in one.mdevs]
    assert {(each.parent, each.type) for each in made} == {("0000:84:00.0", "nvidia-35")}
    assert len({each.uuid for each in made}) == 4
    lab.gone(*servers)


def test_what_a_server_has_follows_its_life(lab: Lab) -> None:
    """A resize holds both; what it is in the end is what it has. Shelved it has nothing."""
    (server,) = lab.several(lab.flavor({"hw:cpu_policy": "dedicated"}), 1)
    before = lab.topology(server["id"])
    more = lab.flavor({"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2"}, vcpus=4)
    lab.act(server["id"], {"resize": {"flavorRef": more}}, "VERIFY_RESIZE")
    assert sum(len(each.numa.own_cpus) for held in lab.held().values() for each in held) == 6
    assert len(lab.topology(server["id"])["nodes"]) == 2
    lab.act(server["id"], {"revertResize": None}, "ACTIVE")
    assert lab.topology(server["id"]) == before
    lab.act(server["id"], {"resize": {"flavorRef": more}}, "VERIFY_RESIZE")
    lab.act(server["id"], {"confirmResize": None}, "ACTIVE")
    assert sum(len(each.numa.own_cpus) for held in lab.held().values() for each in held) == 4
    lab.act(server["id"], {"shelve": None}, "SHELVED_OFFLOADED")
    assert lab.held() == {}
    assert lab.topology(server["id"])["nodes"][0]["cpu_pinning"] == {}
    lab.act(server["id"], {"unshelve": None}, "ACTIVE")
    assert sum(len(each.numa.own_cpus) for held in lab.held().values() for each in held) == 4
    lab.gone(server)
    assert lab.held() == {}


def test_what_a_host_offers_no_more_stays_with_who_has_it(lab: Lab) -> None:
    """A host of which something is claimed comes back with fewer processors, and with no maker of virtual devices."""
    cloud = lab.cloud.control.cloud
    known = next(each for each in hosts.find_all(cloud.db) if each.name == HOSTS[0])
    report = {"capabilities": dict(known.capabilities), "usage": known.usage}
    hosts.joined(cloud, "host-3", report)
    host = hosts.find(cloud.db, "host-3")
    gpu, consumer = offers.provider_of(host, "0000:84:00.0"), str(uuid.uuid4())
    placement = cloud.contracts.use(PlacementContract)
    claims = {host.id: {"PCPU": 2}, gpu: {"VGPU": 1}}
    cloud.db.write(lambda tx: placement.claim(tx, consumer, claims, consumer, consumer))
    nodes = [{**each, "dedicated": []} for each in report["capabilities"]["nodes"]]
    less = {**report, "capabilities": {**report["capabilities"], "nodes": nodes, "gpus": []}}
    for _ in range(2):
        hosts.joined(cloud, "host-3", less)
    assert placement.provider_usage(cloud.db, host.id)["PCPU"].capacity == 0
    assert placement.provider_usage(cloud.db, gpu)["VGPU"].capacity == 0
    assert placement.provider_usage(cloud.db, host.id)["PCPU"].used == 2
    cloud.db.write(lambda tx: placement.release(tx, consumer))
    hosts.joined(cloud, "host-3", less)
    with pytest.raises(NotFound):
        placement.provider_usage(cloud.db, gpu)
    hosts.joined(cloud, "host-3", report)
    assert placement.provider_usage(cloud.db, host.id)["PCPU"].capacity == 12
    hosts.remove(cloud, hosts.find(cloud.db, "host-3"))
    with pytest.raises(NotFound):
        placement.provider_usage(cloud.db, host.id)
