# SPDX-License-Identifier: Apache-2.0
"""Ports on devices of hosts, from the API to what hosts are told of them, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cumulet.services.network.logic import snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types.plugs import SOCKET, VIRTUAL, PlugState
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

SETTINGS = {
    "network.physical_device_mappings": "public:eth1",
    "network.vhostuser_socket_dir": "/run/switch",
    "network.vhostuser_bridge_mappings": "public:br-ex",
}
SLOT = {"pci_slot": "0000:81:10.1", "pci_vendor_info": "8086:10ed", "physical_network": "public"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    made = RunningCloud(tmp_path_factory.mktemp("devices"), settings=SETTINGS)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def client(cloud: RunningCloud) -> Iterator[httpx.Client]:
    """The administrator."""
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers) as made:
        yield made


@pytest.fixture(scope="module")
def wires(cloud: RunningCloud) -> dict[str, str]:
    """A network that is a physical one, and one that is not."""
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers) as client:
        found = client.get("/networks", params={"provider:physical_network": "public"}).json()["networks"]
        public = found[0]["id"] if found else _made(client, "network", **{"name": "out", "router:external": True})
        return {"public": public, "private": _made(client, "network", name="in")}


def _made(client: httpx.Client, kind: str, path: str = "", **words: Any) -> str:
    answer = client.post(path or f"/{kind}s", json={kind: words})
    assert answer.status_code == 201, answer.text
    return str(answer.json()[kind]["id"])


def _plugs(cloud: RunningCloud) -> list[PlugState]:
    return compile_host(snapshot.take(cloud.control.cloud, cloud.settings.host)).plugs


def _server_port(cloud: RunningCloud, client: httpx.Client, network: str, **words: Any) -> dict[str, Any]:
    """A port that compute has bound to the host."""
    owner = {"device_owner": "compute:nova", "device_id": "nobody"}
    key = _made(client, "port", network_id=network, **owner, **words)
    binding = {"binding:host_id": cloud.settings.host, "binding:profile": SLOT}
    service = {"x-auth-token": environment(cloud)["SERVICE_TOKEN"]}
    answer = client.put(f"/ports/{key}", json={"port": binding}, headers=service)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = client.get(f"/ports/{key}").json()["port"]
    return found


def test_the_agent_says_what_the_host_has(cloud: RunningCloud, client: httpx.Client) -> None:
    (agent,) = client.get("/agents", params={"agent_type": "Cumulet network agent"}).json()["agents"]
    assert agent["configurations"]["device_mappings"] == {"public": ["eth1"]}
    assert agent["configurations"]["vhostuser_socket_dir"] == "/run/switch"


def test_a_port_on_a_function_of_a_card(cloud: RunningCloud, client: httpx.Client, wires: dict[str, str]) -> None:
    words = {"binding:vnic_type": "direct", "port_security_enabled": False}
    port = _server_port(cloud, client, wires["public"], **words)
    assert (port["binding:vif_type"], port["binding:vif_details"]["vlan"]) == (VIRTUAL, "0")
    until(lambda: client.get(f"/ports/{port['id']}").json()["port"]["status"] == "ACTIVE")
    (plug,) = _plugs(cloud)
    assert (plug.id, plug.device, plug.mac) == (port["id"], SLOT["pci_slot"], port["mac_address"])
    assert (plug.physical, plug.vlan, plug.tap, plug.checked) == ("public", 0, False, False)
    assert client.delete(f"/ports/{port['id']}").status_code == 204
    assert _plugs(cloud) == []


def test_a_port_of_a_switch_in_user_space(cloud: RunningCloud, client: httpx.Client, wires: dict[str, str]) -> None:
    port = _server_port(cloud, client, wires["public"])
    assert port["binding:vif_type"] == SOCKET
    (plug,) = _plugs(cloud)
    assert plug.socket == port["binding:vif_details"]["vhostuser_socket"] == f"/run/switch/vhu{port['id'][:11]}"
    until(lambda: client.get(f"/ports/{port['id']}").json()["port"]["status"] == "ACTIVE")
    client.put(f"/ports/{port['id']}", json={"port": {"admin_state_up": False}})
    until(lambda: client.get(f"/ports/{port['id']}").json()["port"]["status"] == "DOWN")
    assert client.delete(f"/ports/{port['id']}").status_code == 204


def test_other_networks_are_the_fabrics(cloud: RunningCloud, client: httpx.Client, wires: dict[str, str]) -> None:
    port = _server_port(cloud, client, wires["private"])
    assert port["binding:vif_type"] == "bridge"
    refused = _server_port(cloud, client, wires["private"], **{"binding:vnic_type": "direct"})
    assert refused["binding:vif_type"] == "binding_failed"
    assert _plugs(cloud) == []
    for each in (port, refused):
        assert client.delete(f"/ports/{each['id']}").status_code == 204
