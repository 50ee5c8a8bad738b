# SPDX-License-Identifier: Apache-2.0
"""Bandwidth and packets that placement gives to servers' ports, through all that is done to servers and policies."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cumulet.agent import Agent
from cumulet.kernel import audit
from cumulet.services.network.logic import resource_providers
from fakes.hosts import NEUTRON, NOVA, PATIENCE, PortLab
from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.waiting import until

SETTINGS = {
    "network.resource_provider_bandwidths": "rp_tunnelled:100000:10000,public:5000:",
    "network.resource_provider_inventory_defaults": "allocation_ratio:1.5,reserved:100",
    "network.resource_provider_packet_processing_without_direction": ":1000",
}
IN, OUT, PACKETS = (
    "NET_BW_IGR_KILOBIT_PER_SEC",
    "NET_BW_EGR_KILOBIT_PER_SEC",
    "NET_PACKET_RATE_KILOPACKET_PER_SEC",
)
TOO_MUCH = 2**31 - 1
LINK = "Cumulet network agent"


class Lab(PortLab):
    """A cloud of one host with something to promise, and servers whose ports ask for it."""

    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__(cloud)
        self.old = Caller(cloud.settings.control.port, self.token, {"openstack-api-version": "compute 2.71"})
        self.host = cloud.settings.host
        self.wire = self.make("network", name="wire")
        self.make("subnet", network_id=self.wire, ip_version=4, cidr="10.71.0.0/24")
        providers = self.ask("GET", "/placement/resource_providers")["resource_providers"]
        self.providers = {each["name"]: each for each in providers}
        self.root = self.providers[self.host]["uuid"]
        self.agent = self.providers[f"{self.host}:{LINK}"]["uuid"]
        self.tunnels = self.providers[f"{self.host}:{LINK}:rp_tunnelled"]["uuid"]

    def policy(self, kbps: int = 0, kpps: int = 0, direction: str = "ingress", packets: str = "any") -> str:
        made = str(self.ask("POST", f"{NEUTRON}/qos/policies", {"policy": {"name": "q"}})["policy"]["id"])
        if kbps:
            rule = {"min_kbps": kbps, "direction": direction}
            path = f"/qos/policies/{made}/minimum_bandwidth_rules"
            self.make("minimum_bandwidth_rule", path, **rule)
        if kpps:
            path = f"/qos/policies/{made}/minimum_packet_rate_rules"
            self.make("minimum_packet_rate_rule", path, min_kpps=kpps, direction=packets)
        return made

    def port(self, policy: str | None = None, network: str = "") -> str:
        return self.make("port", network_id=network or self.wire, qos_policy_id=policy)

    def holds(self, server: str) -> dict[str, dict[str, int]]:
        """What the server holds beside its flavor, by provider."""
        found = self.ask("GET", f"/placement/allocations/{server}")["allocations"]
        assert found == {} or self.root in found
        return {key: each["resources"] for key, each in found.items() if key != self.root}

    def given(self, port: str) -> dict[str, str]:
        """Who serves the groups that the port asks for, as its profile says."""
        told = self.told(port)
        found: dict[str, str] = told["binding:profile"].get("allocation", {})
        return found

    def gone(self, server: str, *ports: str) -> None:
        self.tenant.gone(server)
        for port in ports:
            assert self.told(port)["binding:profile"] == {}
            self.ask("DELETE", f"{NEUTRON}/ports/{port}")
        assert self.holds(server) == {}

    def set_policy(self, port: str, policy: str | None) -> None:
        self.ask("PUT", f"{NEUTRON}/ports/{port}", {"port": {"qos_policy_id": policy}})


@pytest.fixture(scope="module")
def lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    url = pytestconfig.stash[ENGINES].new_url(engine)
    cloud = RunningCloud(tmp_path_factory.mktemp("promises"), database_url=url, settings=SETTINGS)
    try:
        yield Lab(cloud)
    finally:
        cloud.close()


@pytest.fixture
def sound(lab: Lab) -> Iterator[Lab]:
    """The lab, whose cloud is well afterwards."""
    yield lab
    assert audit.stays(lab.cloud.control.cloud, PATIENCE) == []


def test_a_host_says_what_it_may_promise(sound: Lab) -> None:
    names = {name: each for name, each in sound.providers.items() if name.startswith(f"{sound.host}:")}
    space = uuid.UUID("46067177-d883-4ff0-ab5f-45999d2ba842")
    assert {name: (each["uuid"], each["parent_provider_uuid"]) for name, each in names.items()} == {
        f"{sound.host}:{LINK}": (str(uuid.uuid5(space, sound.host)), sound.root),
        f"{sound.host}:{LINK}:rp_tunnelled": (str(uuid.uuid5(space, f"{sound.host}:rp_tunnelled")), sound.agent),
        f"{sound.host}:{LINK}:public": (str(uuid.uuid5(space, f"{sound.host}:public")), sound.agent),
    }
    public = names[f"{sound.host}:{LINK}:public"]["uuid"]
    traits = {
        key: sound.ask("GET", f"/placement/resource_providers/{key}/traits")["traits"]
        for key in (sound.agent, sound.tunnels, public)
    }
    assert traits == {
        sound.agent: ["CUSTOM_VNIC_TYPE_NORMAL"],
        sound.tunnels: ["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"],
        public: ["CUSTOM_PHYSNET_PUBLIC", "CUSTOM_VNIC_TYPE_NORMAL"],
    }
    stock = {
        key: sound.ask("GET", f"/placement/resource_providers/{key}/inventories")["inventories"]
        for key in (sound.agent, sound.tunnels, public)
    }
    assert {key: {name: each["total"] for name, each in found.items()} for key, found in stock.items()} == {
        sound.agent: {PACKETS: 1000},
        sound.tunnels: {OUT: 100000, IN: 10000},
        public: {OUT: 5000},
    }
    assert (stock[public][OUT]["allocation_ratio"], stock[public][OUT]["reserved"]) == (1.5, 100)
    (agent,) = sound.ask("GET", f"{NEUTRON}/agents?agent_type={LINK.replace(' ', '%20')}")["agents"]
    assert agent["resources_synced"] is True
    said = agent["configurations"]
    assert said["resource_provider_bandwidths"]["public"] == {"egress": 5000, "ingress": None}
    assert said["resource_provider_packet_processing_without_direction"] == {sound.host: {"any": 1000}}
    assert said["resource_provider_inventory_defaults"]["reserved"] == 100


def test_a_server_holds_what_its_port_asks_for(sound: Lab) -> None:
    port = sound.port(sound.policy(1000, 100))
    request = sound.told(port)["resource_request"]
    assert [group["resources"] for group in request["request_groups"]] == [{IN: 1000}, {PACKETS: 100}]
    assert request["request_groups"][0]["required"] == ["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"]
    bandwidth, packets = request["same_subtree"]
    server = sound.boot(port)
    assert sound.holds(server) == {sound.tunnels: {IN: 1000}, sound.agent: {PACKETS: 100}}
    assert sound.given(port) == {bandwidth: sound.tunnels, packets: sound.agent}
    sound.gone(server, port)


@pytest.mark.parametrize(("kbps", "kpps"), [(TOO_MUCH, 100), (1000, TOO_MUCH)], ids=["bandwidth", "packets"])
def test_there_is_no_host_for_too_much(sound: Lab, kbps: int, kpps: int) -> None:
    port = sound.port(sound.policy(kbps, kpps))
    server = sound.boot(port, status="ERROR")
    assert "No valid host" in sound.rest(server, "ERROR")["fault"]["message"]
    assert sound.holds(server) == {}
    assert sound.told(port)["binding:profile"] == {}
    sound.gone(server, port)


def test_a_host_gives_no_more_than_it_has(sound: Lab) -> None:
    ports = [sound.port(sound.policy(10000)) for _ in range(2)]  # of (10000 - 100) * 1.5
    first = sound.boot(ports[0])
    second = sound.boot(ports[1], status="ERROR")
    sound.gone(second, ports[1])
    sound.gone(first, ports[0])
    other = sound.port(sound.policy(10000))
    sound.gone(sound.boot(other), other)


def test_servers_at_once_get_no_more_than_there_is(sound: Lab) -> None:
    """Six that want 4000 of 14850."""
    policy = sound.policy(4000)
    wire = sound.make("network", name="crowded", qos_policy_id=policy)
    sound.make("subnet", network_id=wire, ip_version=4, cidr="10.74.0.0/24")
    name = secrets.token_hex(4)
    words = {"name": name, "flavorRef": sound.tenant.flavor, "imageRef": sound.tenant.image, "min_count": 6}
    sound.ask("POST", f"{NOVA}/servers", {"server": {**words, "networks": [{"uuid": wire}]}})

    def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = sound.ask("GET", f"{NOVA}/servers/detail?name={name}")["servers"]
        return found if all(each["status"] in ("ACTIVE", "ERROR") for each in found) else None

    servers = until(look, 2 * PATIENCE)
    assert sorted(each["status"] for each in servers) == ["ACTIVE"] * 3 + ["ERROR"] * 3
    for each in servers:
        assert sound.holds(each["id"]) == ({sound.tunnels: {IN: 4000}} if each["status"] == "ACTIVE" else {})
        sound.gone(each["id"])
    sound.ask("DELETE", f"{NEUTRON}/networks/{wire}")


def test_a_port_that_inherits_its_networks_policy(sound: Lab) -> None:
    policy, other = sound.policy(1000), sound.policy(3000)
    wire = sound.make("network", name="promised", qos_policy_id=policy)
    sound.make("subnet", network_id=wire, ip_version=4, cidr="10.72.0.0/24")
    server = sound.boot(networks=[{"uuid": wire}])
    (port,) = sound.ask("GET", f"{NEUTRON}/ports?device_id={server}")["ports"]
    assert sound.holds(server) == {sound.tunnels: {IN: 1000}}
    before = port["binding:profile"]["allocation"]
    sound.ask("PUT", f"{NEUTRON}/networks/{wire}", {"network": {"qos_policy_id": other}})
    assert sound.holds(server) == {sound.tunnels: {IN: 3000}}
    assert list(sound.given(port["id"]).values()) == list(before.values())
    assert sound.given(port["id"]).keys() != before.keys()
    sound.ask("PUT", f"{NEUTRON}/networks/{wire}", {"network": {"qos_policy_id": None}})
    assert sound.holds(server) == {}
    sound.gone(server)
    sound.ask("DELETE", f"{NEUTRON}/networks/{wire}")


def test_old_callers_do_not_know_of_such_ports(sound: Lab) -> None:
    port = sound.port(sound.policy(1000))
    words = {
        "name": "old",
        "flavorRef": sound.tenant.flavor,
        "imageRef": sound.tenant.image,
        "networks": [{"port": port}],
    }
    status, answer = sound.old.ask("POST", f"{NOVA}/servers", {"server": words})
    assert status == 400
    assert answer["badRequest"]["message"].endswith("is not supported until microversion 2.72.")
    assert sound.told(port)["device_id"] == ""


def test_policies_of_a_bound_port(sound: Lab) -> None:
    port = sound.port(sound.policy(1000, 100))
    server = sound.boot(port)
    sound.set_policy(port, sound.policy(2000, 50))
    assert sound.holds(server) == {sound.tunnels: {IN: 2000}, sound.agent: {PACKETS: 50}}
    request = sound.told(port)["resource_request"]
    assert sorted(sound.given(port)) == sorted(request["same_subtree"])
    sound.set_policy(port, sound.policy(2500, 50, "egress"))
    assert sound.holds(server) == {sound.tunnels: {OUT: 2500}, sound.agent: {PACKETS: 50}}
    before = sound.told(port)
    too_much = sound.policy(TOO_MUCH, 50, "egress")
    status, answer = sound.ask.ask("PUT", f"{NEUTRON}/ports/{port}", {"port": {"qos_policy_id": too_much}})
    assert (status, answer["NeutronError"]["type"]) == (409, "QosPlacementAllocationUpdateConflict")
    assert answer["NeutronError"]["message"] == (
        f"Updating placement allocation with {{'{sound.tunnels}': {{'{OUT}': {TOO_MUCH - 2500}}}}} for consumer "
        f"{server} failed. The requested resources would exceed the capacity available."
    )
    assert sound.told(port) == before
    assert sound.holds(server) == {sound.tunnels: {OUT: 2500}, sound.agent: {PACKETS: 50}}
    status, answer = sound.ask.ask(
        "PUT", f"{NEUTRON}/ports/{port}", {"port": {"qos_policy_id": sound.policy(1, 1, packets="egress")}}
    )
    assert (status, answer["NotImplementedError"]["type"]) == (501, "NotImplementedError")
    sound.ask("PUT", f"{NEUTRON}/ports/{port}", {"port": {"description": "foo"}})
    assert sound.holds(server) == {sound.tunnels: {OUT: 2500}, sound.agent: {PACKETS: 50}}
    sound.set_policy(port, None)
    assert sound.holds(server) == {}
    assert sound.given(port) == {}
    sound.gone(server, port)


def test_what_a_port_did_not_ask_for_at_first_is_not_placed(sound: Lab) -> None:
    plain, half = sound.port(), sound.port(sound.policy(1000))
    server = sound.boot(plain, half)
    sound.set_policy(plain, sound.policy(1000, 100))
    sound.set_policy(half, sound.policy(2000, 50))
    assert sound.holds(server) == {sound.tunnels: {IN: 2000}}
    assert sound.given(plain) == {}
    assert list(sound.given(half).values()) == [sound.tunnels]
    sound.gone(server, plain, half)


def test_several_ports_of_a_server(sound: Lab) -> None:
    small, large = sound.policy(1000), sound.policy(2000)
    first, second = sound.port(small), sound.port(large)
    server = sound.boot(first, second)
    assert sound.holds(server) == {sound.tunnels: {IN: 3000}}
    sound.set_policy(first, large)
    assert sound.holds(server) == {sound.tunnels: {IN: 4000}}
    sound.ask("DELETE", f"{NEUTRON}/ports/{second}")
    assert sound.holds(server) == {sound.tunnels: {IN: 2000}}
    sound.gone(server, first)


def test_interfaces_come_and_go(sound: Lab) -> None:
    plain, asking = sound.port(), sound.port(sound.policy(1000, 100))
    server = sound.boot(plain)
    path = f"{NOVA}/servers/{server}/os-interface"
    sound.ask("POST", path, {"interfaceAttachment": {"port_id": asking}})
    assert sound.holds(server) == {sound.tunnels: {IN: 1000}, sound.agent: {PACKETS: 100}}
    assert set(sound.given(asking).values()) == {sound.tunnels, sound.agent}
    until(lambda: sound.told(asking)["status"] == "ACTIVE", PATIENCE)
    greedy = sound.port(sound.policy(TOO_MUCH))
    status, answer = sound.ask.ask("POST", path, {"interfaceAttachment": {"port_id": greedy}})
    assert status == 400
    words = f"Failed to allocate additional resources to {server} during interface attach"
    assert answer["badRequest"]["message"] == words
    assert sound.told(greedy)["device_id"] == ""
    sound.ask("DELETE", f"{path}/{asking}")
    until(lambda: sound.holds(server) == {}, PATIENCE)
    assert sound.told(asking)["binding:profile"] == {}
    sound.gone(server, plain)


@pytest.mark.parametrize("word", ["confirmResize", "revertResize"])
def test_a_resize_leaves_ports_what_they_have(sound: Lab, word: str) -> None:
    flavor = {"name": secrets.token_hex(4), "ram": 64, "vcpus": 1, "disk": 2}
    larger = sound.tenant.admin("POST", f"{NOVA}/flavors", {"flavor": flavor})["flavor"]["id"]
    port = sound.port(sound.policy(6000, 100))  # there is no room for two such
    server = sound.boot(port)
    given, held = sound.given(port), sound.holds(server)
    sound.act(server, "VERIFY_RESIZE", resize={"flavorRef": larger})
    assert sound.holds(server) == held == {sound.tunnels: {IN: 6000}, sound.agent: {PACKETS: 100}}
    sound.act(server, "ACTIVE", **{word: None})
    assert (sound.holds(server), sound.given(port)) == (held, given)
    sound.gone(server, port)


def test_a_shelved_server_asks_anew(sound: Lab) -> None:
    port = sound.port(sound.policy(1000, 100))
    server = sound.boot(port)
    sound.act(server, "SHELVED_OFFLOADED", shelve=None)
    assert sound.holds(server) == {}
    assert sound.told(port)["binding:profile"] == {}
    sound.set_policy(port, sound.policy(2000, 200))
    sound.act(server, "ACTIVE", unshelve=None)
    assert sound.holds(server) == {sound.tunnels: {IN: 2000}, sound.agent: {PACKETS: 200}}
    assert set(sound.given(port).values()) == {sound.tunnels, sound.agent}
    sound.gone(server, port)


def test_a_host_with_less_to_promise(sound: Lab, tmp_path: Path) -> None:
    """What it no longer promises goes, as far as nobody has it."""
    with sound.cloud.one_more_host("promising", tmp_path / "first"):
        until(lambda: _names(sound, "promising") == {"", "rp_tunnelled", "public"}, PATIENCE)
    network = msgspec.structs.replace(
        sound.cloud.settings.network,
        resource_provider_bandwidths=("public:7:7",),
        resource_provider_packet_processing_without_direction="",
    )
    settings = msgspec.structs.replace(
        sound.cloud.settings, host="promising", state=tmp_path / "second", network=network
    )
    agent = Agent(settings)
    agent.start()
    try:
        until(lambda: _names(sound, "promising") == {"", "public"}, PATIENCE)
    finally:
        agent.stop()
    services = sound.ask("GET", f"{NOVA}/os-services?host=promising")["services"]
    until(lambda: sound.ask.ask("DELETE", f"{NOVA}/os-services/{services[0]['id']}")[0] == 204, PATIENCE)
    assert _names(sound, "promising") == set()


def _names(lab: Lab, host: str) -> set[str]:
    """The wires, and "" for the agent, of which placement has providers."""
    found = [each["name"] for each in lab.ask("GET", "/placement/resource_providers")["resource_providers"]]
    return {name.removeprefix(f"{host}:{LINK}").lstrip(":") for name in found if name.startswith(f"{host}:")}


def test_network_cards_have_an_agent_of_their_own() -> None:
    said = {
        "resource_provider_bandwidths": {"eth1": {"egress": 5, "ingress": None}, "br-a": {"egress": 7, "ingress": 8}},
        "device_mappings": {"fast": ["eth1"]},
        "bridge_mappings": {"a-wire": "br-a"},
    }
    found = {each.name: each for each in resource_providers.of_host("h", said).values()}
    assert list(found) == [f"h:{LINK}", f"h:{LINK}:br-a", "h:NIC Switch agent", "h:NIC Switch agent:eth1"]
    assert found[f"h:{LINK}:br-a"].traits == ["CUSTOM_PHYSNET_A_WIRE", "CUSTOM_VNIC_TYPE_NORMAL"]
    card = found["h:NIC Switch agent:eth1"]
    assert card.traits[0] == "CUSTOM_PHYSNET_FAST"
    assert card.traits[1:] == [f"CUSTOM_VNIC_TYPE_{each}" for each in ("DIRECT", "DIRECT_PHYSICAL", "MACVTAP")]
    assert {name: each.total for name, each in card.inventory.items()} == {OUT: 5}
