# SPDX-License-Identifier: Apache-2.0
"""Availability zones: hosts are in them, hints and the usual ones say where networks and routers may be."""

from __future__ import annotations

import uuid

import httpx
import msgspec
import pytest

from cumulet.services.network.logic import agent_kinds, agents
from cumulet.services.network.store import lookups
from cumulet.services.network.types import HostReport
from support.people import environment

HOST, ZONE = "zone-host", "west"


@pytest.fixture(scope="module")
def ask(cloud):
    """Ask as the administrator: `ask("POST", "/networks", {...})`."""
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", timeout=30, headers=headers) as client:
        yield lambda method, path, body=None: client.request(method, path, json=body)


@pytest.fixture(scope="module", autouse=True)
def west(cloud):
    """A second host, in a zone of its own."""
    db = cloud.control.cloud.db
    db.write(lambda tx: agents.joined(tx, HOST, HostReport(availability_zone=ZONE)))
    yield HOST
    db.write(lambda tx: agent_kinds.forget(tx, lookups.agent_of(tx, HOST).id))


@pytest.fixture
def made(ask):
    """Make a thing that goes again: `made("router", {...})`."""
    things = []

    def make(name, words):
        answer = ask("POST", f"/{name}s", {name: {"name": uuid.uuid4().hex, **words}})
        assert answer.status_code == 201, answer.text
        found = answer.json()[name]
        things.append(f"/{name}s/{found['id']}")
        return found

    yield make
    for path in reversed(things):
        assert ask("DELETE", path).status_code in (204, 404)


def zones(ask, kind, key):
    return ask("GET", f"/{kind}s/{key}").json()[kind]["availability_zones"]


def network(made, dhcp, *hints):
    found = made("network", {"availability_zone_hints": list(hints)})
    made("subnet", {"network_id": found["id"], "ip_version": 4, "cidr": "10.7.0.0/24", "enable_dhcp": dhcp})
    return found


def test_each_zone_is_told_for_what_its_hosts_can_do(ask):
    found = ask("GET", "/availability_zones").json()["availability_zones"]
    told = {(zone["name"], zone["resource"]): zone["state"] for zone in found}
    assert told[ZONE, "network"] == told[ZONE, "router"] == "available"
    assert {("nova", "network"), ("nova", "router")} <= told.keys()


def test_agents_are_found_by_their_zone(ask):
    found = ask("GET", f"/agents?availability_zone={ZONE}").json()["agents"]
    assert {(agent["host"], agent["agent_type"]) for agent in found} == {(HOST, "DHCP agent"), (HOST, "L3 agent")}


@pytest.mark.parametrize("kind", ["network", "router"])
def test_a_zone_without_agents_is_refused(ask, kind):
    answer = ask("POST", f"/{kind}s", {kind: {"availability_zone_hints": ["nova", "nowhere"]}})
    assert answer.status_code == 404
    assert answer.json()["NeutronError"]["type"] == "AvailabilityZoneNotFound"
    assert answer.json()["NeutronError"]["message"] == "AvailabilityZone nowhere could not be found."


@pytest.mark.parametrize("zone", [ZONE, "nova"])
def test_routers_live_where_their_hints_say(ask, made, zone):
    for _ in range(2):
        router = made("router", {"availability_zone_hints": [zone]})
        assert router["availability_zone_hints"] == router["availability_zones"] == [zone]
        hosts = {agent["host"] for agent in ask("GET", f"/routers/{router['id']}/l3-agents").json()["agents"]}
        assert (hosts == {HOST}) is (zone == ZONE)


def test_networks_are_answered_where_their_hints_say(ask, made):
    hinted, anywhere, silent = network(made, True, ZONE), network(made, True), network(made, False, ZONE)
    assert hinted["availability_zones"] == []
    assert zones(ask, "network", hinted["id"]) == [ZONE]
    assert zones(ask, "network", anywhere["id"]) == ["nova", ZONE]
    assert zones(ask, "network", silent["id"]) == []
    hosts = {agent["host"] for agent in ask("GET", f"/networks/{hinted['id']}/dhcp-agents").json()["agents"]}
    assert hosts == {HOST}
    agent = ask("GET", "/agents?agent_type=DHCP%20agent&availability_zone=nova").json()["agents"][0]["id"]
    assert hinted["id"] not in {one["id"] for one in ask("GET", f"/agents/{agent}/dhcp-networks").json()["networks"]}
    assert ask("POST", f"/agents/{agent}/dhcp-networks", {"network_id": hinted["id"]}).status_code == 201
    assert zones(ask, "network", hinted["id"]) == ["nova", ZONE]
    assert ask("DELETE", f"/agents/{agent}/dhcp-networks/{hinted['id']}").status_code == 204
    assert zones(ask, "network", hinted["id"]) == [ZONE]


def test_the_usual_zones_are_for_what_has_no_hints(cloud, ask, made, monkeypatch):
    control = cloud.control.cloud
    usual = msgspec.structs.replace(control.settings.network, default_availability_zones=(ZONE,))
    monkeypatch.setattr(control, "settings", msgspec.structs.replace(control.settings, network=usual))
    router, there = made("router", {}), network(made, True)
    assert (router["availability_zone_hints"], router["availability_zones"]) == ([], [ZONE])
    assert zones(ask, "network", there["id"]) == [ZONE]
    elsewhere = made("router", {"availability_zone_hints": ["nova"]})
    assert elsewhere["availability_zones"] == ["nova"]
