# SPDX-License-Identifier: Apache-2.0
"""Routers live on hosts that have the wires of their networks, where there are such hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.services.network.logic import agents, scheduling, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import HostReport, Router, VlanState
from support.people import environment


class Wired:
    """A cloud with a physical network `wires`, a host without it, and one with it that joins when it is told to."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.bare, self.wired = (f"{name}-{words['SUFFIX']}" for name in ("bare", "wired"))
        headers = {"x-auth-token": words["ADMIN_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30)
        self.made: list[str] = []
        self.joins(self.bare, bridge_mappings={"public": "cml0"})

    def joins(self, host: str, **offers: Any) -> None:
        report = HostReport(offers=offers, capabilities={"network_types": ["vlan"]})
        self.cloud.db.write(lambda tx: agents.joined(tx, host, report))

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.client.request(method, path, json=body or None)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def network(self, number: int, **words: Any) -> str:
        given = {f"provider:{name}": value for name, value in words.items()}
        made = self.ask("POST", "/networks", network={"router:external": number == 1, **given})["network"]["id"]
        self.made.append(f"/networks/{made}")
        self.ask("POST", "/subnets", subnet={"network_id": made, "ip_version": 4, "cidr": f"10.71.{number}.0/24"})
        return str(made)

    def router(self, **words: Any) -> str:
        made = self.ask("POST", "/routers", router=words)["router"]["id"]
        self.made.insert(0, f"/routers/{made}")
        return str(made)

    def host(self, router: str) -> str:
        found = common.find(self.cloud.db, Router, router)
        assert found is not None
        return found.host

    def move(self, router: str, host: str) -> None:
        self.cloud.db.write(lambda tx: scheduling.move(tx, router, host))

    def close(self) -> None:
        for path in self.made:
            if path.startswith("/routers"):
                key = path.rpartition("/")[2]
                for leg in self.ask("GET", f"/ports?device_id={key}&device_owner=network:router_interface")["ports"]:
                    self.ask("PUT", f"{path}/remove_router_interface", port_id=leg["id"])
            self.client.delete(path)
        for host in (self.bare, self.wired):
            for found in self.ask("GET", f"/agents?host={host}")["agents"]:
                self.client.delete(f"/agents/{found['id']}")
        self.client.close()


@pytest.fixture
def wired(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wired]:
    before = cloud.control.cloud.settings
    chosen = msgspec.structs.replace(
        before.network, flat_networks=("public", "wires"), network_vlan_ranges=("public", "wires")
    )
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(before, network=chosen))
    found = Wired(cloud)
    yield found
    found.close()


def test_a_router_goes_where_its_gateways_wire_is(wired: Wired):
    wired.joins(wired.wired, bridge_mappings={"public": "cml0", "wires": "eth1"})
    outside = wired.network(1, network_type="vlan", physical_network="wires", segmentation_id=71)
    made = wired.router(external_gateway_info={"network_id": outside})
    assert wired.host(made) == wired.wired
    assert lookups.wires_of(wired.cloud.db, made) == {("vlan", "wires")}


def test_a_router_goes_where_its_inside_is(wired: Wired):
    wired.joins(wired.wired, bridge_mappings={"public": "cml0", "wires": "eth1"})
    inside = wired.network(2, network_type="flat", physical_network="wires")
    made = wired.router()
    wired.move(made, wired.bare)
    subnet = wired.ask("GET", f"/subnets?network_id={inside}")["subnets"][0]["id"]
    wired.ask("PUT", f"/routers/{made}/add_router_interface", subnet_id=subnet)
    assert wired.host(made) == wired.wired


def test_a_router_stays_where_nobody_has_the_wire(wired: Wired):
    outside = wired.network(1, network_type="vlan", physical_network="wires", segmentation_id=72)
    made = wired.router()
    wired.move(made, wired.bare)
    wired.ask("PUT", f"/routers/{made}", router={"external_gateway_info": {"network_id": outside}})
    assert wired.host(made) == wired.bare
    wired.joins(wired.wired, bridge_mappings={"wires": "eth1"})
    assert scheduling.choose(wired.cloud.db, [], lookups.wires_of(wired.cloud.db, made)) == wired.wired


def test_each_host_has_a_network_by_its_own_segment(wired: Wired):
    wired.joins(wired.wired, bridge_mappings={"wires": "eth1"})
    words = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
    found = [("vlan", "public", 73), ("vlan", "wires", 74)]
    listed = [dict(zip(words, each, strict=True)) for each in found]
    made = wired.ask("POST", "/networks", network={"segments": listed})["network"]["id"]
    wired.made.append(f"/networks/{made}")
    for host, wire, number in ((wired.bare, "public", 73), (wired.wired, "wires", 74)):
        owned = {"device_owner": "compute:nova", "device_id": "x", "binding:host_id": host}
        port = wired.ask("POST", "/ports", port={"network_id": made, **owned})["port"]
        wired.made.insert(0, f"/ports/{port['id']}")
        assert port["binding:vif_type"] == "bridge"
        state = compile_host(snapshot.take(wired.cloud, host))
        assert [network.vlan for network in state.networks if network.id == made] == [
            VlanState(physical=wire, number=number)
        ]
