# SPDX-License-Identifier: Apache-2.0
"""What drivers say of ports on hosts, who may bring a driver, and what becomes of ports that nothing could plug in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel import plugins
from cumulet.kernel.audit import Look
from cumulet.kernel.errors import Conflict, Unsupported
from cumulet.services.network import audit, loops
from cumulet.services.network.contract import NetworkContract, PortToBind, Vif
from cumulet.services.network.logic import agents, binding, explain, mechanisms
from cumulet.services.network.logic.mechanisms import fabric, sriov, vhostuser
from cumulet.services.network.store import bindings as store
from cumulet.services.network.types import HostReport
from cumulet.services.network.types.bindings import PortBinding
from support.people import environment

PORT = PortToBind(
    id="5a05ab5a-0000-4000-8000-000000000001",
    host="host-1",
    vnic_type="direct",
    profile={},
    network_type="flat",
    physical_network="wires",
    segmentation_id=None,
    offers={"device_mappings": {"wires": ["eth1"]}},
)


KINDS = ("normal", "direct")


def told(**words: Any) -> PortToBind:
    return msgspec.structs.replace(PORT, **words)


def test_functions_of_cards_are_bound_where_a_card_is_on_the_physical_network():
    driver = sriov.Sriov()
    details = {"port_filter": False, "connectivity": "l2", "vlan": "0"}
    assert driver.bind(PORT) == Vif(kind="hw_veb", details=details)
    assert driver.bind(told(vnic_type="direct-physical")) == Vif(kind="hostdev_physical", details=details)
    assert driver.bind(told(segmentation_id=7)) == Vif(kind="hw_veb", details={**details, "vlan": "7"})
    assert driver.bind(told(offers={})) is None
    assert driver.bind(told(offers={"device_mappings": "all"})) is None
    assert driver.bind(told(physical_network="air")) is None
    assert driver.bind(told(profile={"capabilities": ["switchdev"]})) is None


def test_sockets_of_a_switch_in_user_space_are_named_after_the_port():
    driver, offers = vhostuser.VhostUser(), {"vhostuser_socket_dir": "/run/switch"}
    assert driver.bind(told(vnic_type="normal")) is None
    found = driver.bind(told(vnic_type="normal", offers=offers))
    assert found is not None
    assert found.kind == "vhostuser"
    assert found.details["vhostuser_socket"] == "/run/switch/vhu5a05ab5a-00"


def test_bridges_take_ports_of_networks_that_the_host_has_a_way_to():
    driver, plain = fabric.Fabric(), {"vnic_type": "normal"}
    here = {"bridge_mappings": {"public": "cml0", "wires": "eth1"}, "capabilities": {"network_types": ["vlan"]}}
    assert driver.bind(told(**plain, offers=here)) is not None
    assert driver.bind(told(**plain, offers=here, physical_network="air")) is None
    assert driver.bind(told(**plain, offers={})) is None
    assert driver.bind(told(**plain, offers={}, physical_network="public")) is not None, "as of the release before"
    tagged = told(**plain, network_type="vlan", segmentation_id=7)
    assert driver.bind(msgspec.structs.replace(tagged, offers=here)) is not None
    assert driver.bind(msgspec.structs.replace(tagged, offers={**here, "capabilities": {}})) is None
    assert driver.bind(told(**plain, offers={}, network_type="vxlan", physical_network=None)) is not None


def test_a_name_that_nobody_knows_is_no_driver():
    with pytest.raises(Unsupported):
        mechanisms.find("nonsense")


class Wires:
    """A cloud with a network of a project, and a host that there is not."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.contract = self.cloud.contracts.use(NetworkContract)
        self.host = f"late-{words['SUFFIX']}"
        headers = {"x-auth-token": words["ADMIN_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30)
        self.service = {"x-auth-token": words["SERVICE_TOKEN"]}
        self.network = self.ask("POST", "/networks", network={"name": "wires"})["network"]["id"]

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        return self._ask(method, path, {}, body)

    def serve(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """As another service, which may bind."""
        return self._ask(method, path, self.service, body)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.request(method, path, json=body or None, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def port(self, **words: Any) -> str:
        given = {"network_id": self.network, "device_owner": "compute:nova", "device_id": "x", **words}
        return str(self.ask("POST", "/ports", port=given)["port"]["id"])

    def vif(self, port: str) -> tuple[str, dict[str, Any]]:
        found = self.ask("GET", f"/ports/{port}")["port"]
        return found["binding:vif_type"], found["binding:vif_details"]

    def mac(self, port: str) -> str:
        return str(self.ask("GET", f"/ports/{port}")["port"]["mac_address"])

    def joins(self, **offers: Any) -> None:
        """The host comes, and says what it has."""

        def write(tx: Any) -> None:
            agents.joined(tx, self.host, HostReport(gateway=False, offers=offers))
            binding.revive(self.cloud, tx, self.host)

        self.cloud.db.write(write)

    def leaves(self) -> None:
        self.cloud.db.write(lambda tx: agents.gone(tx, self.host))

    def close(self) -> None:
        for found in self.ask("GET", f"/agents?host={self.host}")["agents"]:
            self.ask("DELETE", f"/agents/{found['id']}")
        for found in self.ask("GET", f"/ports?network_id={self.network}")["ports"]:
            self.ask("DELETE", f"/ports/{found['id']}")
        self.ask("DELETE", f"/networks/{self.network}")
        self.client.close()


@pytest.fixture
def wires(cloud: Any) -> Iterator[Wires]:
    found = Wires(cloud)
    yield found
    found.close()


def test_ports_wait_for_a_host_that_is_not_there(wires: Wires):
    plain, direct = (wires.port(**{"binding:host_id": wires.host, "binding:vnic_type": kind}) for kind in KINDS)
    assert wires.vif(plain) == wires.vif(direct) == ("binding_failed", {})
    wires.joins()
    on_bridge = {"port_filter": True, "connectivity": "l2", "bound_drivers": {"0": "fabric"}}
    assert wires.vif(plain) == ("bridge", on_bridge)
    assert wires.vif(direct)[0] == "binding_failed"


def test_a_server_does_not_go_where_its_physical_network_is_not(wires: Wires, monkeypatch: pytest.MonkeyPatch):
    chosen = msgspec.structs.replace(wires.cloud.settings.network, flat_networks=("public", "wires"))
    monkeypatch.setattr(wires.cloud, "settings", msgspec.structs.replace(wires.cloud.settings, network=chosen))
    words = {"provider:network_type": "flat", "provider:physical_network": "wires"}
    there = wires.ask("POST", "/networks", network=words)["network"]
    try:
        assert there["provider:physical_network"] == "wires"
        port = wires.port(network_id=there["id"])
        wires.joins(bridge_mappings={"public": "cml0"})
        with pytest.raises(Conflict):
            wires.cloud.db.write(lambda tx: wires.contract.bind(tx, [port], wires.host))
        wires.joins(bridge_mappings={"public": "cml0", "wires": "eth1"})
        wires.cloud.db.write(lambda tx: wires.contract.bind(tx, [port], wires.host))
        assert wires.vif(port)[0] == "bridge"
        wires.ask("DELETE", f"/ports/{port}")
    finally:
        wires.ask("DELETE", f"/networks/{there['id']}")


def test_a_server_does_not_go_where_its_port_cannot(wires: Wires):
    port = wires.port(**{"binding:vnic_type": "direct"})
    wires.joins()
    with pytest.raises(Conflict) as refusal:
        wires.cloud.db.write(lambda tx: wires.contract.bind(tx, [port], wires.host))
    assert refusal.value.code == "PortBindingFailed"
    assert wires.vif(port)[0] == "unbound"


def test_a_host_that_has_just_gone_gets_its_ports_when_it_is_back(wires: Wires):
    port = wires.port()
    wires.joins()
    wires.leaves()
    wires.cloud.db.write(lambda tx: wires.contract.bind(tx, [port], wires.host))
    assert wires.vif(port)[0] == "binding_failed"
    wires.joins()
    assert wires.vif(port)[0] == "bridge"
    wires.cloud.db.write(lambda tx: wires.contract.bind(tx, [port], ""))
    assert wires.vif(port) == ("unbound", {})


def test_a_host_whose_agent_is_switched_off_takes_ports_all_the_same(wires: Wires):
    wires.joins()
    agent = wires.ask("GET", f"/agents?host={wires.host}")["agents"][0]["id"]
    wires.ask("PUT", f"/agents/{agent}", agent={"admin_state_up": False})
    assert wires.vif(wires.port(**{"binding:host_id": wires.host}))[0] == "bridge"


def test_a_host_that_was_only_taken_for_dead_gets_its_ports_too(wires: Wires):
    """Its link stands: it does not join again, and is seen in the next round."""
    host, cloud = "host-1", wires.cloud
    cloud.db.write(lambda tx: agents.gone(tx, host))
    port = wires.port(**{"binding:host_id": host})
    assert wires.vif(port)[0] == "binding_failed"
    loops.note_hosts(cloud)
    assert wires.vif(port)[0] == "bridge"


def test_what_is_wrong_with_a_binding_is_explained(wires: Wires):
    wires.joins()
    told = explain.port(wires.cloud, wires.port(**{"binding:host_id": wires.host, "binding:vnic_type": "direct"}), {})
    assert told is not None
    assert told.facts["plugged"] == "direct as binding_failed"
    assert any("no driver can plug in a direct port" in line for line in told.waiting)


def test_a_port_that_is_a_device_has_the_active_bindings_mac(wires: Wires, monkeypatch: pytest.MonkeyPatch):
    class Cards:
        vnic_types = frozenset({"direct-physical"})

        def bind(self, port: PortToBind) -> Vif | None:
            return Vif(kind="hostdev_physical", details={})

    monkeypatch.setattr(mechanisms, "find", lambda name: Cards())
    wires.joins()
    one, other = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
    kind = {"binding:vnic_type": "direct-physical"}
    port = wires.port(**kind)
    bound = {"binding:host_id": "host-1", "binding:profile": {"device_mac_address": one}}
    wires.serve("PUT", f"/ports/{port}", port=bound)
    further = {"host": wires.host, "vnic_type": "direct-physical", "profile": {"device_mac_address": other}}
    wires.serve("POST", f"/ports/{port}/bindings", binding=further)
    assert wires.mac(port) == one
    wires.serve("PUT", f"/ports/{port}/bindings/{wires.host}/activate")
    assert wires.mac(port) == other
    wires.serve("PUT", f"/ports/{port}/bindings/host-1/activate")
    assert wires.mac(port) == one
    wires.serve("DELETE", f"/ports/{port}/bindings/{wires.host}")
    assert wires.mac(port) == one
    wires.serve("PUT", f"/ports/{port}", port={"binding:profile": {}})
    assert wires.mac(port) not in (one, other)


def test_drivers_of_other_packages_are_asked_and_may_break(wires: Wires, monkeypatch: pytest.MonkeyPatch):
    class Odd:
        vnic_types = frozenset({"smart-nic"})

        def bind(self, port: PortToBind) -> Vif | None:
            if port.profile:
                raise ValueError("odd")
            return Vif(kind="other", details={"number": len(port.offers)})

    monkeypatch.setattr(plugins, "load", lambda group, name: {(mechanisms.GROUP, "odd"): Odd}[group, name])
    network = msgspec.structs.replace(wires.cloud.settings.network, mechanism_drivers=("fabric", "odd"))
    monkeypatch.setattr(wires.cloud, "settings", msgspec.structs.replace(wires.cloud.settings, network=network))
    wires.joins()
    port = wires.port(**{"binding:host_id": wires.host, "binding:vnic_type": "smart-nic"})
    kind, details = wires.vif(port)
    assert kind == "other"
    assert details["bound_drivers"] == {"0": "odd"}
    wires.ask("PUT", f"/ports/{port}", port={"binding:vnic_type": "normal"})
    assert wires.vif(port)[0] == "bridge"


def test_the_fabric_takes_plain_ports_alone():
    assert fabric.Fabric.vnic_types == {"normal"}


def test_the_audit_finds_a_second_binding_to_a_ports_own_host(wires: Wires):
    port = wires.port(**{"binding:host_id": "host-1"})
    twin = PortBinding(port, "host-1", "normal", {}, "bridge", {})
    wires.cloud.db.write(lambda tx: store.add(tx, twin))
    found = [one.text for one in audit.audit(Look(wires.cloud, "network")) if one.subject == port]
    assert any("another binding" in text for text in found)
