# SPDX-License-Identifier: Apache-2.0
"""Routed networks: which addresses ports get by their hosts' segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel import plugins
from cumulet.kernel.audit import Look
from cumulet.kernel.errors import Conflict
from cumulet.services.network import audit
from cumulet.services.network.contract import PortToBind, ProviderSegment
from cumulet.services.network.logic import (
    agents,
    binding,
    network_types,
    routed,
    segment_inventories,
    servers,
    snapshot,
)
from cumulet.services.network.store import common
from cumulet.services.network.types import HostReport, Network
from cumulet.services.placement.contract import PlacementContract
from support.people import environment


class Lanes:
    """Networks by tags on physical networks."""

    overhead, numbers, everywhere = 0, range(1, 1 << 24), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        return None


class Campus:
    """A routed network of two segments, with a subnet and a host on each, and a host on none."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud, self.suffix = cloud.control.cloud, words["SUFFIX"]
        self.client = httpx.Client(
            base_url=f"{cloud.control_url}/network/v2.0", headers={"x-auth-token": words["ADMIN_TOKEN"]}, timeout=30
        )
        self.hosts = {name: f"{name}-{self.suffix}" for name in ("north", "south", "nowhere")}
        for name, host in self.hosts.items():
            mappings = {"bridge_mappings": {f"{name}-{self.suffix}": "b"} if name != "nowhere" else {}}
            report = HostReport(gateway=False, offers=mappings)
            self.cloud.db.write(lambda tx, host=host, report=report: agents.joined(tx, host, report))
        self.network = self.make("network", segments=[self.segment("north"), self.segment("south")])["id"]
        found = self.client.get(f"/segments?network_id={self.network}").json()["segments"]
        self.segments = {each["physical_network"].partition("-")[0]: each["id"] for each in found}
        self.subnets = {
            name: self.subnet(f"10.91.{number}.0/24", name) for number, name in enumerate(("north", "south"))
        }

    def segment(self, name: str) -> dict[str, str]:
        return {"provider:network_type": "lanes", "provider:physical_network": f"{name}-{self.suffix}"}

    def subnet(self, cidr: str, name: str, **words: Any) -> str:
        version = 6 if ":" in cidr else 4
        key: str = self.make(
            "subnet", network_id=self.network, ip_version=version, cidr=cidr, segment_id=self.segments[name], **words
        )["id"]
        return key

    def make(self, kind: str, **words: Any) -> dict[str, Any]:
        return self.answer(self.client.post(f"/{kind}s", json={kind: words}), kind)

    def port(self, host: str = "", **words: Any) -> dict[str, Any]:
        if host:
            words["binding:host_id"] = self.hosts[host]
        return self.make("port", network_id=self.network, **words)

    def move(self, port: dict[str, Any], host: str, **words: Any) -> dict[str, Any]:
        body = {"port": {"binding:host_id": self.hosts[host], **words}}
        return self.answer(self.client.put(f"/ports/{port['id']}", json=body), "port")

    @staticmethod
    def answer(found: httpx.Response, kind: str) -> dict[str, Any]:
        body: dict[str, Any] = found.json()
        return body.get(kind) or body["NeutronError"]

    def close(self) -> None:
        for port in self.client.get(f"/ports?network_id={self.network}").json()["ports"]:
            if port["device_owner"] != "network:dhcp":
                self.client.delete(f"/ports/{port['id']}")
        assert self.client.delete(f"/networks/{self.network}").status_code == 204
        for host in self.hosts.values():
            for agent in self.client.get(f"/agents?host={host}").json()["agents"]:
                self.client.delete(f"/agents/{agent['id']}")
        self.client.close()


@pytest.fixture
def campus(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campus]:
    monkeypatch.setattr(plugins, "load", lambda group, name: {(network_types.GROUP, "lanes"): Lanes}[group, name])
    settings = cloud.control.cloud.settings
    network = msgspec.structs.replace(settings.network, type_drivers=(*settings.network.type_drivers, "lanes"))
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(settings, network=network))
    found = Campus(cloud)
    yield found
    found.close()


def subnets(port: dict[str, Any]) -> list[str]:
    return [each["subnet_id"] for each in port["fixed_ips"]]


def test_addresses_are_those_of_the_hosts_segment(campus: Campus) -> None:
    for name in ("north", "south"):
        port = campus.port(name)
        assert (subnets(port), port["ip_allocation"]) == ([campus.subnets[name]], "immediate")


def test_a_port_without_a_host_waits_for_one(campus: Campus) -> None:
    port = campus.port()
    assert (port["fixed_ips"], port["ip_allocation"]) == ([], "deferred")
    listed = campus.client.get(f"/ports?network_id={campus.network}&ip_allocation=deferred").json()["ports"]
    assert [each["id"] for each in listed] == [port["id"]]
    there = campus.move(port, "south")
    assert (subnets(there), there["ip_allocation"]) == ([campus.subnets["south"]], "deferred")


def test_a_host_on_no_segment_is_no_place(campus: Campus) -> None:
    assert campus.port("nowhere")["type"] == "HostNotConnectedToAnySegment"
    assert campus.move(campus.port(), "nowhere")["type"] == "HostNotConnectedToAnySegment"
    assert campus.port("nowhere", fixed_ips=[])["fixed_ips"] == []


def test_a_port_stays_where_its_addresses_work(campus: Campus) -> None:
    port = campus.port(fixed_ips=[{"subnet_id": campus.subnets["north"]}])
    assert subnets(port) == [campus.subnets["north"]]
    assert campus.move(port, "south")["type"] == "HostNotCompatibleWithFixedIps"
    assert subnets(campus.move(port, "north")) == [campus.subnets["north"]]
    moved = campus.move(port, "south", fixed_ips=[{"subnet_id": campus.subnets["south"]}])
    assert subnets(moved) == [campus.subnets["south"]]


def test_addresses_of_a_port_are_on_one_segment(campus: Campus) -> None:
    both = [{"subnet_id": key} for key in campus.subnets.values()]
    assert campus.port(fixed_ips=both)["type"] == "FixedIpsSubnetsNotOnSameSegment"
    named = campus.port(fixed_ips=[{"ip_address": "10.91.1.77"}])
    assert subnets(named) == [campus.subnets["south"]]
    assert campus.port(fixed_ips=[])["ip_allocation"] == "none"


def test_guests_make_addresses_on_their_segment_alone(campus: Campus) -> None:
    ports = {name: campus.port(name) for name in ("north", "south")}
    waiting = campus.port()
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = campus.subnet("fd91::/64", "north", **modes)
    after = {
        name: campus.client.get(f"/ports/{port['id']}").json()["port"]
        for name, port in {**ports, "waiting": waiting}.items()
    }
    assert [name for name, port in after.items() if subnet in subnets(port)] == ["north"]
    only = campus.port("north", fixed_ips=[{"subnet_id": subnet}])
    refused = campus.client.delete(f"/subnets/{subnet}")
    assert (refused.status_code, refused.json()["NeutronError"]["type"]) == (409, "SubnetInUse")
    assert campus.client.delete(f"/ports/{only['id']}").status_code == 204
    assert campus.client.delete(f"/subnets/{subnet}").status_code == 204


def test_the_clouds_own_ports_are_everywhere(campus: Campus) -> None:
    (own,) = campus.client.get(f"/ports?network_id={campus.network}&device_owner=network:dhcp").json()["ports"]
    assert sorted(subnets(own)) == sorted(campus.subnets.values())
    router = campus.make("router")["id"]
    added = campus.client.put(f"/routers/{router}/add_router_interface", json={"subnet_id": campus.subnets["south"]})
    assert added.status_code == 200
    removed = campus.client.put(
        f"/routers/{router}/remove_router_interface", json={"subnet_id": campus.subnets["south"]}
    )
    assert removed.status_code == 200
    assert campus.client.delete(f"/routers/{router}").status_code == 204


def test_hosts_say_what_they_lead_to() -> None:
    assert routed.leads_to({}) == {"public"}
    assert routed.leads_to({"bridge_mappings": {}}) == set()
    assert routed.leads_to({"device_mappings": {"b": ["eth1"]}}) == {"public", "b"}
    assert routed.leads_to({"bridge_mappings": {"a": "x"}, "device_mappings": {"b": ["eth1"]}}) == {"a", "b"}


def test_servers_get_addresses_where_they_are_put(campus: Campus) -> None:
    waiting, named = campus.port(), campus.port(fixed_ips=[{"subnet_id": campus.subnets["south"]}])
    north, south = campus.hosts["north"], campus.hosts["south"]
    inner = campus.cloud
    inner.db.write(lambda tx: servers.bind(inner, tx, [waiting["id"]], north))
    assert subnets(campus.client.get(f"/ports/{waiting['id']}").json()["port"]) == [campus.subnets["north"]]
    with pytest.raises(Conflict):
        inner.db.write(lambda tx: servers.bind(inner, tx, [named["id"]], north))
    inner.db.write(lambda tx: servers.bind(inner, tx, [named["id"]], south))
    for port in (waiting, named):
        inner.db.write(lambda tx, key=port["id"]: servers.bind(inner, tx, [key], ""))


def test_a_host_has_the_network_as_its_segment_carries_it(campus: Campus) -> None:
    for name in ("north", "south"):
        campus.port(name, device_owner="compute:nova", device_id="guest")
        carried = snapshot.take(campus.cloud, campus.hosts[name]).networks[campus.network]
        assert carried.segment_physical == f"{name}-{campus.suffix}"
        assert carried.segment_number is not None


def test_a_port_is_plugged_in_as_its_hosts_segment_is(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[PortToBind] = []
    monkeypatch.setattr(binding, "_ask", lambda _, port: asked.append(port))
    campus.port("south")
    assert {each.physical_network for each in asked} == {f"south-{campus.suffix}"}


def test_placement_knows_how_many_addresses_segments_have(campus: Campus) -> None:
    inner, key = campus.cloud, campus.segments["north"]
    placement = inner.contracts.use(PlacementContract)

    def room() -> tuple[int, int]:
        said = placement.room(inner.db, [key])[key]["IPV4_ADDRESS"]
        return said.capacity, said.used

    assert room() == (254 - 2, 0)
    campus.port("north")
    campus.port("north", device_owner="compute:nova", device_id="guest")
    segment_inventories.settle_all(inner)
    assert room() == (254 - 3, 0)
    again = campus.subnet("10.91.7.0/29", "north", enable_dhcp=False, gateway_ip=None)
    assert room() == (254 - 3 + 6, 0)
    campus.client.put(f"/subnets/{again}", json={"subnet": {"allocation_pools": []}})
    assert room() == (254 - 3, 0)
    assert campus.client.delete(f"/subnets/{again}").status_code == 204
    assert room() == (254 - 3, 0)
    assert placement.provider_named(inner.db, f"Neutron segment id {key}") == key


def test_placement_forgets_segments_without_subnets(campus: Campus) -> None:
    inner = campus.cloud
    placement = inner.contracts.use(PlacementContract)
    name = f"Neutron segment id {campus.segments['south']}"
    assert placement.provider_named(inner.db, name) is not None
    assert campus.client.delete(f"/subnets/{campus.subnets['south']}").status_code == 204
    assert placement.provider_named(inner.db, name) is None


def test_the_audit_agrees(campus: Campus) -> None:
    look = Look(campus.cloud, "network")
    own = {campus.network, *campus.subnets.values()}
    assert [each for each in audit._segments(look) if each.subject in own] == []
    campus.cloud.db.write(lambda tx: common.set_quietly(tx, Network, [campus.network], {"segment_count": 5}))
    try:
        assert [each.subject for each in audit._segments(look) if each.subject in own] == [campus.network]
    finally:
        campus.cloud.db.write(lambda tx: common.set_quietly(tx, Network, [campus.network], {"segment_count": 2}))


def test_nothing_is_plugged_into_a_network_without_segments(campus: Campus) -> None:
    bare = campus.make("network", segments=[campus.segment("north")])["id"]
    (segment,) = campus.client.get(f"/segments?network_id={bare}").json()["segments"]
    assert campus.client.delete(f"/segments/{segment['id']}").status_code == 204
    shown = campus.client.get(f"/networks/{bare}").json()["network"]
    assert (shown["provider:network_type"], shown["provider:segmentation_id"]) == (None, None)
    port = campus.make("port", network_id=bare, **{"binding:host_id": campus.hosts["north"]})
    assert port["binding:vif_type"] == "binding_failed"
    assert campus.client.delete(f"/ports/{port['id']}").status_code == 204
    assert campus.client.delete(f"/networks/{bare}").status_code == 204
