# SPDX-License-Identifier: Apache-2.0
"""A control plane with two hosts: who is told what, where routers live, and what a host forgets that comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.agent import Agent
from cumulet.kernel.audit import Look
from cumulet.kernel.context import Context
from cumulet.services.network import audit, loops
from cumulet.services.network.contract import NetworkContract, PortInfo, PortRequest
from cumulet.services.network.logic import scheduling
from cumulet.services.network.store import common
from cumulet.services.network.types import HostState, Network, Router
from cumulet.services.network.types.connections import Connection
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

PATIENCE = 20.0
ENDPOINTS = {"host-1": "198.18.7.1", "host-2": "198.18.7.2"}


class TwoFakeHosts:
    """A running cloud whose own host is the first, with a second one beside it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        flags = {"network.tunnel_address": ENDPOINTS["host-1"], "network.router_patience": "0"}
        patch.setattr("support.cloud.FAKES", {**_fakes(), **flags})
        self.running = RunningCloud(folder / "one")
        self.words = environment(self.running)
        self.cloud = self.running.control.cloud
        self.network = self.cloud.contracts.use(NetworkContract)
        self.ctx = Context(project_id=self.words["PROJECT_ID"], roles=frozenset({"member", "reader"}))
        self.second: Agent | None = None
        self._settings = self._second_settings(folder / "two")
        self.begin_second()

    def _second_settings(self, folder: Path) -> Any:
        first = self.running.settings
        run = folder / "run"
        run.mkdir(parents=True)
        (run / "link.sock").symlink_to(first.run / "link.sock")
        network = msgspec.structs.replace(first.network, tunnel_address=ENDPOINTS["host-2"], gateway="yes")
        return msgspec.structs.replace(first, host="host-2", state=folder, run=run, network=network)

    def begin_second(self) -> None:
        self.second = Agent(self._settings)
        self.second.start()
        until(lambda: "host-2" in self._linked())

    def end_second(self) -> None:
        if self.second is not None:
            self.second.stop()
            self.second = None
            until(lambda: "host-2" not in self._linked())

    def _linked(self) -> set[str]:
        return {info.name for info in self.cloud.hosts.connected()}

    def state(self, host: str) -> HostState:
        """What the host was told and keeps in its journal."""
        folder = self.running.settings.state if host == "host-1" else self._settings.state
        record = (folder / "agent" / "journal" / "network" / "state.mp").read_bytes()
        return msgspec.convert(msgspec.msgpack.decode(record), HostState)

    def api(self, method: str, path: str, body: Any = None, *, admin: bool = False) -> Any:
        headers = {"x-auth-token": self.words["ADMIN_TOKEN" if admin else "MEMBER_TOKEN"]}
        url = f"{self.running.control_url}/network/v2.0/{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def refused(self, status: int, method: str, path: str, body: Any) -> None:
        """Ask as the administrator for what is not done."""
        headers = {"x-auth-token": self.words["ADMIN_TOKEN"]}
        url = f"{self.running.control_url}/network/v2.0/{path}"
        assert httpx.request(method, url, json=body, headers=headers, timeout=30).status_code == status

    def make_network(self, number: int) -> str:
        found: str = self.api("POST", "networks", {"network": {"name": f"n{number}"}})["network"]["id"]
        subnet = {"network_id": found, "ip_version": 4, "cidr": f"10.9.{number}.0/24"}
        self.api("POST", "subnets", {"subnet": subnet})
        return found

    def fabric(self, host: str) -> Any:
        """The host's engine, a fake."""
        agent = self.running.agent if host == "host-1" else self.second
        return agent._parts["network"]._fabric

    def boot(self, network_id: str, host: str) -> PortInfo:
        def write(tx: Any) -> PortInfo:
            made: PortInfo = self.network.create_ports(
                tx, self.ctx, server_id=f"server-{time.monotonic_ns()}", host=host, availability_zone="nova",
                requests=[PortRequest(network_id=network_id)],
            )[0]  # fmt: skip
            return made

        info = self.cloud.db.write(write)
        self.network.converge(host)
        return info

    def bind(self, port_id: str, host: str) -> None:
        self.cloud.db.write(lambda tx: self.network.bind(tx, [port_id], host))

    def hosts_of(self, *legs: dict[str, Any]) -> set[str]:
        """Where these interfaces of routers are bound."""
        ports = [self.api("GET", f"ports/{leg['port_id']}", admin=True)["port"] for leg in legs]
        return {port["binding:host_id"] for port in ports}

    def enable_hosts(self, *, up: bool) -> None:
        for agent in self.api("GET", "agents", admin=True)["agents"]:
            self.api("PUT", f"agents/{agent['id']}", {"agent": {"admin_state_up": up}}, admin=True)

    def agent(self, host: str, kind: str) -> dict[str, Any]:
        """The host's agent of the kind."""
        path = f"agents?host={host}&agent_type={kind}"
        found: dict[str, Any] = self.api("GET", path, admin=True)["agents"][0]
        return found

    def found(self, state: HostState) -> set[str]:
        """The ids of what the audit says of the first host where its network is in this state."""
        has = {"state": msgspec.to_builtins(state), "failed": {}, "ports": []}
        found = audit.audit(Look(self.cloud, "network", {"host-1": has}))
        return {each.subject for each in found if each.text.startswith("host host-1 ")}

    def remotes(self, host: str) -> dict[str, str]:
        return {item.id: item.endpoint for item in self.state(host).remotes}


def _fakes() -> dict[str, str]:
    from support.cloud import FAKES

    return FAKES


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFakeHosts]:
    with pytest.MonkeyPatch.context() as patch:
        place = TwoFakeHosts(tmp_path_factory.mktemp("two"), patch)
        yield place
        place.end_second()
        place.running.close()


def test_hosts_hear_of_each_others_ports_on_networks_that_they_share(two: TwoFakeHosts):
    network = two.make_network(1)
    one = two.boot(network, "host-1")
    assert two.remotes("host-1") == {}
    other = two.boot(network, "host-2")
    assert two.remotes("host-2") == {one.id: ENDPOINTS["host-1"]}
    until(lambda: two.remotes("host-1") == {other.id: ENDPOINTS["host-2"]})
    far = two.state("host-1").remotes[0]
    assert (far.mac, far.addresses) == (other.mac, [other.addresses[0].address])
    shown = two.api("GET", f"networks/{network}", admin=True)["network"]
    assert two.state("host-2").networks[0].segment == shown["provider:segmentation_id"]

    two.api("PUT", f"ports/{one.id}", {"port": {"admin_state_up": False}})
    until(lambda: two.remotes("host-2") == {})
    two.api("PUT", f"ports/{one.id}", {"port": {"admin_state_up": True}})
    until(lambda: one.id in two.remotes("host-2"))

    two.bind(one.id, "host-2")
    until(lambda: two.remotes("host-2") == {} and two.state("host-1").networks == [])
    assert {item.id for item in two.state("host-2").ports} == {one.id, other.id}
    for info in (one, other):
        two.api("DELETE", f"ports/{info.id}", admin=True)
    until(lambda: two.state("host-2").ports == [] and two.state("host-2").networks == [])


def test_connections_follow_a_port_to_another_host(two: TwoFakeHosts):
    network = two.make_network(2)
    mover, other = two.boot(network, "host-1"), two.boot(network, "host-2")
    until(lambda: other.id in two.remotes("host-1"))
    begun = Connection(
        network_id=network,
        protocol=6,
        source=mover.addresses[0].address,
        destination="198.51.100.7",
        destination_port=80,
    )
    unwanted = msgspec.structs.replace(begun, source="198.51.100.7", destination=mover.addresses[0].address)
    source, target = (two.fabric(host) for host in ("host-1", "host-2"))
    source.track(begun)
    source.track(unwanted)
    two.bind(mover.id, "host-2")
    until(lambda: target.tracks(begun))
    assert not target.tracks(unwanted), "which no rule would let begin"
    assert not source.tracks(begun)
    for info in (mover, other):
        two.api("DELETE", f"ports/{info.id}", admin=True)


def test_the_audit_looks_at_what_hosts_know_of_each_other(two: TwoFakeHosts):
    network = two.make_network(6)
    near, far = two.boot(network, "host-1"), two.boot(network, "host-2")
    until(lambda: far.id in two.remotes("host-1"))
    state = two.state("host-1")
    assert {far.id, "left"} & two.found(state) == set()
    assert far.id in two.found(msgspec.structs.replace(state, remotes=[]))
    left = msgspec.structs.replace(state.remotes[0], id="left")
    assert "left" in two.found(msgspec.structs.replace(state, remotes=[*state.remotes, left]))
    for info in (near, far):
        two.api("DELETE", f"ports/{info.id}", admin=True)
    until(lambda: two.state("host-1").networks == [] and two.state("host-2").networks == [])


def test_a_router_that_finds_no_host_waits_and_is_not_called_placed(two: TwoFakeHosts):
    router = two.api("POST", "routers", {"router": {}})["router"]["id"]
    two.cloud.db.write(lambda tx: common.set_quietly(tx, Router, [router], {"host": ""}))
    two.enable_hosts(up=False)
    assert two.cloud.db.write(scheduling.place) == []
    two.enable_hosts(up=True)
    assert two.cloud.db.write(scheduling.place) == [router]
    two.api("DELETE", f"routers/{router}")
    until(lambda: two.state("host-1").routers == [] and two.state("host-2").routers == [])


def test_a_subnet_that_gives_ports_addresses_concerns_whoever_lets_these_in(two: TwoFakeHosts):
    near, far = two.make_network(4), two.make_network(5)
    first, second = two.boot(near, "host-1"), two.boot(far, "host-2")
    mode = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = {"network_id": near, "ip_version": 6, "cidr": "2001:db8:9::/64", **mode}
    key = two.api("POST", "subnets", {"subnet": subnet})["subnet"]["id"]
    own = two.api("GET", f"ports/{first.id}")["port"]["fixed_ips"][1]["ip_address"]

    def members() -> list[str]:
        return [member for group in two.state("host-2").groups for member in group.members]

    until(lambda: own in members())
    until(lambda: own in [one.address for one in two.state("host-1").ports[0].addresses])
    two.api("DELETE", f"subnets/{key}")
    until(lambda: own not in members())
    for info in (first, second):
        two.api("DELETE", f"ports/{info.id}", admin=True)
    until(lambda: two.state("host-1").networks == [] and two.state("host-2").networks == [])


def test_a_pool_that_comes_into_a_scope_concerns_the_hosts_of_its_networks(two: TwoFakeHosts):
    pool = {"name": "scoped", "prefixes": ["10.77.0.0/16"], "default_prefixlen": 24}
    key = two.api("POST", "subnetpools", {"subnetpool": pool})["subnetpool"]["id"]
    network = two.api("POST", "networks", {"network": {"name": "scoped"}})["network"]["id"]
    cut = {"network_id": network, "ip_version": 4, "subnetpool_id": key}
    subnet = two.api("POST", "subnets", {"subnet": cut})["subnet"]["id"]
    router = two.api("POST", "routers", {"router": {}})["router"]["id"]
    leg = two.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    host = next(iter(two.hosts_of(leg)))

    def scopes() -> list[str]:
        return [leg.scope4 for one in two.state(host).routers if one.id == router for leg in one.legs]

    until(lambda: scopes() == [""])
    scope = {"name": "scoped", "ip_version": 4}
    scope_id = two.api("POST", "address-scopes", {"address_scope": scope})["address_scope"]["id"]
    two.api("PUT", f"subnetpools/{key}", {"subnetpool": {"address_scope_id": scope_id}})
    until(lambda: scopes() == [scope_id])
    two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    two.api("DELETE", f"routers/{router}")
    until(lambda: two.state(host).routers == [] and two.state(host).networks == [])


def test_hosts_that_a_change_does_not_concern_are_left_alone(two: TwoFakeHosts):
    near, far = two.make_network(2), two.make_network(3)
    first, second = two.boot(near, "host-1"), two.boot(far, "host-2")
    two.network.converge("host-1")
    two.network.converge("host-2")
    group = {"security_group": {"name": "own"}}
    key = two.api("POST", "security-groups", group)["security_group"]["id"]
    two.api("PUT", f"ports/{second.id}", {"port": {"security_groups": [key]}})
    two.network.converge("host-2")
    before = two.state("host-2").generation
    two.api("PUT", f"ports/{first.id}", {"port": {"name": "renamed", "admin_state_up": False}})
    third = two.boot(near, "host-1")
    time.sleep(0.5)
    assert two.state("host-2").generation == before
    rule = {"security_group_id": key, "direction": "ingress", "protocol": "icmp"}
    two.api("POST", "security-group-rules", {"security_group_rule": rule})
    until(lambda: two.state("host-2").generation > before)
    for info in (first, second, third):
        two.api("DELETE", f"ports/{info.id}", admin=True)


def test_hosts_hear_of_address_groups_that_rules_of_their_ports_name(two: TwoFakeHosts):
    info = two.boot(two.make_network(7), "host-1")
    words = {"name": "offices", "addresses": ["192.0.2.0/24", "2001:db8::/64"]}
    offices = two.api("POST", "address-groups", {"address_group": words})["address_group"]["id"]
    group = two.api("POST", "security-groups", {"security_group": {"stateful": False}})["security_group"]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "remote_address_group_id": offices}
    two.api("POST", "security-group-rules", {"security_group_rule": rule})
    two.api("PUT", f"ports/{info.id}", {"port": {"security_groups": [group]}})

    def admitted() -> list[str | None]:
        rules = [rule for each in two.state("host-1").groups if each.id == group for rule in each.rules]
        return [rule.remote_cidr for rule in rules if rule.direction == "ingress"]

    until(lambda: admitted() == ["192.0.2.0/24"])
    assert {each.id: each.stateful for each in two.state("host-1").groups} == {group: False}
    two.api("PUT", f"address-groups/{offices}/add_addresses", {"addresses": ["198.51.100.9"]})
    until(lambda: admitted() == ["192.0.2.0/24", "198.51.100.9/32"])
    two.api("PUT", f"address-groups/{offices}/remove_addresses", {"addresses": ["192.0.2.0/24", "198.51.100.9/32"]})
    until(lambda: admitted() == [])
    two.api("DELETE", f"ports/{info.id}", admin=True)
    until(lambda: two.state("host-1").ports == [])


def test_routers_spread_and_leave_dead_hosts(two: TwoFakeHosts):
    network = two.make_network(4)
    port = two.boot(network, "host-1")
    subnet = port.addresses[0].subnet.id
    routers = [two.api("POST", "routers", {"router": {}})["router"]["id"] for _ in range(2)]
    one = two.api("PUT", f"routers/{routers[0]}/add_router_interface", {"subnet_id": subnet})
    network2 = two.make_network(5)
    subnet2 = two.api("GET", f"networks/{network2}")["network"]["subnets"][0]
    other = two.api("PUT", f"routers/{routers[1]}/add_router_interface", {"subnet_id": subnet2})
    until(lambda: len(two.state("host-1").routers) == 1 and len(two.state("host-2").routers) == 1)
    on_second = two.state("host-2").routers[0].id
    two.end_second()
    loops.rescue_routers(two.cloud)
    loops.rescue_routers(two.cloud)
    until(lambda: {item.id for item in two.state("host-1").routers} == set(routers))
    assert on_second in {item.id for item in two.state("host-2").routers}, "nobody could tell it yet"
    two.begin_second()
    until(lambda: two.state("host-2").routers == [])
    assert two.hosts_of(one, other) == {"host-1"}
    agent = two.agent("host-1", "L3 agent")
    two.api("PUT", f"agents/{agent['id']}", {"agent": {"admin_state_up": False}}, admin=True)
    loops.rescue_routers(two.cloud)
    until(lambda: {item.id for item in two.state("host-2").routers} == set(routers))
    assert two.hosts_of(one, other) == {"host-2"}
    until(lambda: two.state("host-1").routers == [])
    two.api("PUT", f"agents/{agent['id']}", {"agent": {"admin_state_up": True}}, admin=True)
    for router, leg in ((routers[0], subnet), (routers[1], subnet2)):
        two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": leg})
        two.api("DELETE", f"routers/{router}")
    two.api("DELETE", f"ports/{port.id}", admin=True)


def test_administrators_put_routers_where_they_want_them(two: TwoFakeHosts):
    network = two.make_network(7)
    subnet = two.api("GET", f"networks/{network}")["network"]["subnets"][0]
    router = two.api("POST", "routers", {"router": {}})["router"]["id"]
    leg = two.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    here = two.api("GET", f"routers/{router}/l3-agents", admin=True)["agents"][0]
    there = two.agent("host-2" if here["host"] == "host-1" else "host-1", "L3 agent")
    until(lambda: [item.id for item in two.state(here["host"]).routers] == [router])
    two.refused(409, "POST", f"agents/{there['id']}/l3-routers", {"router_id": router})
    two.api("DELETE", f"agents/{here['id']}/l3-routers/{router}", admin=True)
    until(lambda: two.state(here["host"]).routers == [])
    assert two.hosts_of(leg) == {""}
    two.api("PUT", f"agents/{there['id']}", {"agent": {"admin_state_up": False}}, admin=True)
    two.refused(404, "POST", f"agents/{there['id']}/l3-routers", {"router_id": router})
    two.api("PUT", f"agents/{there['id']}", {"agent": {"admin_state_up": True}}, admin=True)
    two.api("POST", f"agents/{there['id']}/l3-routers", {"router_id": router}, admin=True)
    until(lambda: [item.id for item in two.state(there["host"]).routers] == [router])
    assert two.hosts_of(leg) == {there["host"]}
    two.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    two.api("DELETE", f"routers/{router}")
    until(lambda: two.state(there["host"]).routers == [])


def test_a_network_that_no_agent_hosts_is_answered_nowhere(two: TwoFakeHosts):
    network = two.make_network(8)
    port = two.boot(network, "host-1")
    one, other = two.agent("host-1", "DHCP agent"), two.agent("host-2", "DHCP agent")

    def answered() -> bool:
        return any(subnet.dhcp for item in two.state("host-1").networks for subnet in item.subnets)

    assert answered()
    two.api("DELETE", f"agents/{one['id']}/dhcp-networks/{network}", admin=True)
    assert [item["id"] for item in two.api("GET", f"networks/{network}/dhcp-agents", admin=True)["agents"]] == [
        other["id"]
    ]
    two.network.converge("host-1")
    assert answered(), "the other hosts it, and every host answers for what is hosted"
    two.api("DELETE", f"agents/{other['id']}/dhcp-networks/{network}", admin=True)
    until(lambda: not answered())
    assert network not in {each.subject for each in audit.audit(Look(two.cloud, "network", {}))}
    two.cloud.db.write(lambda tx: common.set_quietly(tx, Network, [network], {"dhcp_served": True}))
    assert network in {each.subject for each in audit.audit(Look(two.cloud, "network", {}))}
    two.cloud.db.write(lambda tx: common.set_quietly(tx, Network, [network], {"dhcp_served": False}))
    two.api("POST", f"agents/{other['id']}/dhcp-networks", {"network_id": network}, admin=True)
    until(answered)
    two.api("DELETE", f"agents/{other['id']}", admin=True)
    until(lambda: not answered())
    two.end_second()
    two.begin_second()
    until(answered)
    assert two.agent("host-2", "DHCP agent")["id"] != other["id"]
    two.api("DELETE", f"ports/{port.id}", admin=True)
    until(lambda: two.state("host-1").networks == [])


def test_a_host_that_comes_back_drops_what_has_moved(two: TwoFakeHosts):
    network = two.make_network(6)
    stays, moves = two.boot(network, "host-1"), two.boot(network, "host-2")
    assert [item.id for item in two.state("host-2").ports] == [moves.id]
    two.end_second()
    two.bind(moves.id, "host-1")
    until(lambda: {item.id for item in two.state("host-1").ports} == {stays.id, moves.id})
    assert two.remotes("host-1") == {}
    assert [item.id for item in two.state("host-2").ports] == [moves.id], "it goes on as it was told last"
    two.begin_second()
    until(lambda: two.state("host-2").ports == [] and two.state("host-2").networks == [])
    for info in (stays, moves):
        two.api("DELETE", f"ports/{info.id}", admin=True)
