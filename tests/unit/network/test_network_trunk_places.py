# SPDX-License-Identifier: Apache-2.0
"""Subports are where their parent is, and trunks are as their host says: from the API to what the host is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cumulet.services.network.contract import NetworkContract
from cumulet.services.network.logic import agents, binding, explain, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common
from cumulet.services.network.types import HostReport, HostState, Port, TrunkState
from support.people import environment


class Yard:
    """A cloud with a trunk of two subports, and hosts that join when they are told to."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.contract = self.cloud.contracts.use(NetworkContract)
        self.hosts = [f"yard{number}-{words['SUFFIX']}" for number in (1, 2)]
        headers = {"x-auth-token": words["ADMIN_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30)
        self.service = {"x-auth-token": words["SERVICE_TOKEN"]}
        self.networks = [self.ask("POST", "/networks", network={})["network"]["id"] for _ in range(3)]
        for number, network in enumerate(self.networks):
            self.ask(
                "POST", "/subnets", subnet={"network_id": network, "ip_version": 4, "cidr": f"10.70.{number}.0/24"}
            )
        owned = {"device_owner": "compute:nova", "device_id": "yard-server"}
        self.parent = self.port(0, **owned)
        self.subs = [self.port(1), self.port(2)]
        wanted = [self.sub(key, tag) for tag, key in enumerate(self.subs, 7)]
        self.trunk = self.ask("POST", "/trunks", trunk={"port_id": self.parent, "sub_ports": wanted})["trunk"]["id"]

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        as_service = self.service if "/bindings" in path else {}
        answer = self.client.request(method, path, json=body or None, headers=as_service)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def port(self, number: int, **words: Any) -> str:
        return str(self.ask("POST", "/ports", port={"network_id": self.networks[number], **words})["port"]["id"])

    def sub(self, key: str, tag: int) -> dict[str, Any]:
        return {"port_id": key, "segmentation_type": "vlan", "segmentation_id": tag}

    def shown(self, key: str, *names: str) -> tuple[Any, ...]:
        found = self.ask("GET", f"/ports/{key}")["port"]
        return tuple(found[name] for name in names)

    def place(self, key: str) -> tuple[Any, ...]:
        return self.shown(key, "binding:host_id", "binding:vif_type", "device_owner", "status")

    def status(self) -> str:
        return str(self.ask("GET", f"/trunks/{self.trunk}")["trunk"]["status"])

    def joins(self, number: int, **capabilities: Any) -> None:
        report = HostReport(gateway=False, capabilities={"tags": "bpf", **capabilities}, endpoint=f"192.0.2.{number}")
        self.cloud.db.write(lambda tx: agents.joined(tx, self.hosts[number - 1], report))

    def bind(self, number: int) -> None:
        host = self.hosts[number - 1] if number else ""
        self.cloud.db.write(lambda tx: self.contract.bind(tx, [self.parent], host))

    def stand(self, number: int, *keys: str) -> None:
        self.cloud.db.write(lambda tx: agents.ports_stand(tx, self.hosts[number - 1], set(keys)))

    def state(self, number: int) -> HostState:
        return compile_host(snapshot.take(self.cloud, self.hosts[number - 1]))

    def places(self, number: int) -> dict[str, TrunkState | None]:
        return {port.id: port.trunk for port in self.state(number).ports}

    def close(self) -> None:
        self.bind(0)
        self.client.delete(f"/trunks/{self.trunk}")
        for network in self.networks:
            for found in self.ask("GET", f"/ports?network_id={network}")["ports"]:
                self.client.delete(f"/ports/{found['id']}")
            self.client.delete(f"/networks/{network}")
        for host in self.hosts:
            for found in self.ask("GET", f"/agents?host={host}")["agents"]:
                self.client.delete(f"/agents/{found['id']}")
        self.client.close()


@pytest.fixture
def yard(cloud: Any) -> Iterator[Yard]:
    found = Yard(cloud)
    yield found
    found.close()


def test_subports_go_where_their_parent_goes(yard: Yard):
    first, second = yard.subs
    assert yard.place(first) == ("", "unbound", "", "DOWN")
    yard.joins(1)
    yard.joins(2)
    for number in (1, 2):
        yard.bind(number)
        host = yard.hosts[number - 1]
        assert yard.place(first) == yard.place(second) == (host, "bridge", "trunk:subport", "DOWN")
        assert yard.places(number) == {
            yard.parent: None,
            first: TrunkState(parent=yard.parent, number=7),
            second: TrunkState(parent=yard.parent, number=8),
        }
    assert yard.places(1) == {}
    yard.bind(0)
    assert yard.place(first) == ("", "unbound", "trunk:subport", "DOWN")


def test_a_trunk_is_as_its_host_says(yard: Yard):
    first, second = yard.subs
    yard.joins(1)
    yard.bind(1)
    assert yard.status() == "DOWN"
    yard.stand(1, yard.parent, first, second)
    assert yard.status() == "ACTIVE"
    assert yard.place(first)[3] == "ACTIVE"
    yard.stand(1, yard.parent, first)
    assert yard.status() == "DEGRADED"
    yard.ask("PUT", f"/ports/{second}", port={"admin_state_up": False})
    yard.stand(1, yard.parent, first)
    assert yard.status() == "ACTIVE", "nobody misses what is switched off"
    yard.stand(1)
    assert yard.status() == "DOWN"
    yard.stand(1, yard.parent, first)
    yard.bind(0)
    assert yard.status() == "DOWN"


def test_subports_come_and_go_while_their_parent_is_bound(yard: Yard):
    first, second = yard.subs
    third = yard.port(2)
    yard.joins(1)
    yard.bind(1)
    yard.stand(1, yard.parent, first, second)
    yard.ask("PUT", f"/trunks/{yard.trunk}/add_subports", sub_ports=[yard.sub(third, 99)])
    assert yard.status() == "DOWN"
    assert yard.place(third)[:3] == (yard.hosts[0], "bridge", "trunk:subport")
    assert yard.places(1)[third] == TrunkState(parent=yard.parent, number=99)
    yard.stand(1, yard.parent, first, second)
    assert yard.status() == "DEGRADED"
    yard.stand(1, yard.parent, first, second, third)
    assert yard.status() == "ACTIVE"
    yard.ask("PUT", f"/trunks/{yard.trunk}/remove_subports", sub_ports=[{"port_id": first}])
    assert yard.place(first) == ("", "unbound", "", "DOWN")
    assert first not in yard.places(1)


def test_a_host_without_tags_has_the_parent_alone(yard: Yard):
    first, _ = yard.subs
    yard.joins(1, tags="")
    yard.bind(1)
    assert yard.place(yard.parent)[1] == "bridge"
    assert yard.place(first)[1] == "binding_failed"
    yard.stand(1, yard.parent)
    assert yard.status() == "DEGRADED"


def test_bindings_by_the_api_take_subports_along(yard: Yard):
    first, _ = yard.subs
    yard.joins(1)
    yard.joins(2)
    yard.ask("PUT", f"/ports/{yard.parent}", port={"binding:host_id": yard.hosts[0]})
    assert yard.place(first)[0] == yard.hosts[0]
    yard.ask("POST", f"/ports/{yard.parent}/bindings", binding={"host": yard.hosts[1]})
    assert yard.place(first)[0] == yard.hosts[0], "inactive as yet"
    yard.ask("PUT", f"/ports/{yard.parent}/bindings/{yard.hosts[1]}/activate")
    assert yard.place(first)[0] == yard.hosts[1]
    yard.ask("DELETE", f"/ports/{yard.parent}/bindings/{yard.hosts[1]}")
    assert yard.place(first)[0] == ""


def test_a_server_that_goes_leaves_its_subports_free(yard: Yard):
    first, _ = yard.subs
    yard.joins(1)
    yard.bind(1)
    yard.stand(1, yard.parent, first)
    yard.cloud.db.write(lambda tx: yard.contract.release_server(tx, "yard-server"))
    assert yard.place(first)[:2] == ("", "unbound")
    assert yard.status() == "DOWN"
    yard.ask("DELETE", f"/trunks/{yard.trunk}")
    assert yard.place(first)[2] == ""


def test_other_hosts_hear_where_subports_are(yard: Yard):
    first, _ = yard.subs
    yard.joins(1)
    yard.joins(2)
    neighbour = yard.port(1, device_owner="compute:nova", device_id="other", **{"binding:host_id": yard.hosts[1]})
    yard.bind(1)
    assert {remote.id for remote in yard.state(2).remotes} == {first}
    assert {remote.id for remote in yard.state(1).remotes} == {neighbour}


def test_metadata_of_a_subport_is_that_of_its_guest(yard: Yard):
    first, _ = yard.subs
    address = yard.shown(first, "fixed_ips")[0][0]["ip_address"]
    yard.joins(1)
    assert yard.contract.server_by_address(yard.cloud.db, yard.networks[1], address) is None
    yard.bind(1)
    assert yard.contract.server_by_address(yard.cloud.db, yard.networks[1], address) == "yard-server"


def test_subports_are_explained_with_their_parent(yard: Yard):
    first, _ = yard.subs
    told = explain.port(yard.cloud, first, {})
    assert told is not None
    assert told.facts["trunk"] == f"{yard.trunk}, tag 7 of port {yard.parent}"
    above = explain.port(yard.cloud, yard.parent, {})
    assert above is not None
    assert above.facts["trunk"] == f"{yard.trunk}, as its parent"
    yard.joins(1, tags="")
    yard.bind(1)
    refused = explain.port(yard.cloud, first, {})
    assert refused is not None
    assert any("VLAN tags" in words for words in refused.advice)


def test_subports_that_the_release_before_left_behind_come_along(yard: Yard):
    first, _ = yard.subs
    yard.joins(1)
    yard.bind(1)
    alone = {"host": "", "vif_type": None, "device_owner": ""}
    yard.cloud.db.write(lambda tx: common.set_quietly(tx, Port, [first], alone))
    assert first not in yard.places(1)
    assert yard.cloud.db.write(lambda tx: binding.revive(yard.cloud, tx, yard.hosts[0])) == [yard.parent]
    assert yard.place(first)[:3] == (yard.hosts[0], "bridge", "trunk:subport")
    assert yard.cloud.db.write(lambda tx: binding.revive(yard.cloud, tx, yard.hosts[0])) == []
