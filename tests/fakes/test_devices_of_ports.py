# SPDX-License-Identifier: Apache-2.0
"""Servers' ports that are devices of hosts, or of a switch in user space, through all that is done to servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cumulet.kernel import audit
from cumulet.services.compute.logic import parts, spec
from cumulet.services.compute.store import parts as parts_store
from cumulet.services.compute.store import servers
from cumulet.services.compute.types import Parts, Passed, ServerSpec
from fakes.hosts import NEUTRON, NOVA, PATIENCE, PortLab
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.waiting import until

CARD, OTHER = "0000:81:00.0", "0000:82:00.0"
FUNCTIONS = ["0000:81:10.0", "0000:81:10.1"]
OTHERS = "0000:82:10.0"
CARD_MAC = "a0:36:9f:00:00:01"
_INTEL = "vendor_id=8086 product_id"
SETTINGS = {
    "network.physical_device_mappings": "public:eth1,public:eth2",
    "network.vhostuser_socket_dir": "/run/switch",
    "network.vhostuser_bridge_mappings": "public:br-ex",
    "fake_machine.devices": f"address={CARD} {_INTEL}=1528 kind=type-PF,"
    + ",".join(f"address={each} {_INTEL}=1515 kind=type-VF parent={CARD} card=eth1" for each in FUNCTIONS)
    + f",address={OTHER} {_INTEL}=1528 kind=type-PF mac={CARD_MAC}"
    + f",address={OTHERS} {_INTEL}=1515 kind=type-VF parent={OTHER} card=eth2",
    "network.resource_provider_bandwidths": "eth1:1000:1000,eth2:5000:5000",
    "pci.device_spec": "vendor_id=8086 physical_network=public",
    "pci.report_in_placement": "true",
}


class Lab(PortLab):
    """A cloud of one host with two network cards of two functions and one, and servers on their network."""

    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__(cloud)
        self.fast = self._network()
        self.slow = self.make("network", name="slow")
        self.make("subnet", network_id=self.slow, ip_version=4, cidr="10.73.0.0/24")

    def _network(self) -> str:
        found = self.ask("GET", f"{NEUTRON}/networks?provider:physical_network=public")["networks"]
        if found:
            return str(found[0]["id"])
        made = self.make("network", name="fast", **{"router:external": True})
        self.make("subnet", network_id=made, ip_version=4, cidr="198.19.3.0/24", enable_dhcp=False)
        return made

    def port(self, vnic_type: str = "normal", network: str = "", **more: Any) -> str:
        return self.make("port", network_id=network or self.fast, **{"binding:vnic_type": vnic_type}, **more)

    def holds(self, server: str) -> list[Passed]:
        return parts.held_by(self.cloud.control.cloud.db, server).devices

    def specified(self, server: str) -> ServerSpec:
        """What the server's host is told of it."""
        found = servers.find(self.cloud.control.cloud.db, server)
        assert found is not None
        return spec.server_spec(self.cloud.control.cloud, found, {})

    def claims(self, server: str) -> list[dict[str, int]]:
        """What the server holds of devices in placement."""
        found = self.ask("GET", f"/placement/allocations/{server}")["allocations"].values()
        return [each["resources"] for each in found if "VCPU" not in each["resources"]]

    def gone(self, server: str, *ports: str) -> None:
        self.tenant.gone(server)
        assert self.holds(server) == []
        for port in ports:
            assert self.told(port)["binding:profile"] == {}
            self.ask("DELETE", f"{NEUTRON}/ports/{port}")


@pytest.fixture(scope="module")
def made_lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    url = pytestconfig.stash[ENGINES].new_url(engine)
    cloud = RunningCloud(tmp_path_factory.mktemp("cards"), database_url=url, settings=SETTINGS)
    try:
        yield Lab(cloud)
    finally:
        cloud.close()


@pytest.fixture
def lab(made_lab: Lab) -> Iterator[Lab]:
    """The lab, whose cloud is well afterwards."""
    yield made_lab
    assert audit.stays(made_lab.cloud.control.cloud, PATIENCE) == []


def test_a_port_is_a_function_of_a_card(lab: Lab) -> None:
    port = lab.port("direct")
    server = lab.boot(port)
    (held,) = lab.holds(server)
    assert (held.address in FUNCTIONS, held.port, held.tap) == (True, port, False)
    told = lab.told(port)
    assert told["binding:profile"] == {
        "pci_slot": held.address,
        "pci_vendor_info": "8086:1515",
        "physical_network": "public",
    }
    assert (told["binding:vif_type"], told["binding:vif_details"]["vlan"]) == ("hw_veb", "0")
    until(lambda: lab.told(port)["status"] == "ACTIVE", PATIENCE)
    assert lab.claims(server) == [{"CUSTOM_PCI_8086_1515": 1}]
    said = lab.specified(server)
    assert [each.passed for each in said.ports] == [True]
    assert said.parts.handed_over == [held]
    lab.gone(server, port)


def test_the_audit_finds_devices_without_ports_and_ports_without_devices(lab: Lab) -> None:
    port = lab.port("direct")
    server = lab.boot(port)
    (held,) = lab.holds(server)
    cloud = lab.cloud.control.cloud

    def hold(*devices: Passed) -> list[str]:
        words = msgspec.to_builtins(Parts(devices=list(devices)))
        cloud.db.write(lambda tx: parts_store.change(tx, server, words))
        return sorted(
            each.text for each in audit.stays(cloud, 0.0) if each.service == "compute" and "port" in each.text
        )

    other = "00000000-0000-4000-8000-000000000000"
    assert hold(msgspec.structs.replace(held, port=other)) == [
        f"a device is held for port {other} of the server",
        f"no device is held for port {port} of the server",
    ]
    assert hold(held) == []
    lab.gone(server, port)


def test_a_tap_on_a_function_stays_with_the_host(lab: Lab) -> None:
    port = lab.port("macvtap")
    server = lab.boot(port)
    (held,) = lab.holds(server)
    assert (held.port, held.tap) == (port, True)
    said = lab.specified(server)
    assert [each.passed for each in said.ports] == [False]
    assert said.parts.handed_over == []
    until(lambda: lab.told(port)["status"] == "ACTIVE", PATIENCE)
    lab.gone(server, port)


def test_a_port_is_a_whole_card(lab: Lab) -> None:
    taken = lab.port("direct")
    first = lab.boot(taken)  # so that the card whose function it is, is not free
    port = lab.port("direct-physical")
    own = lab.told(port)["mac_address"]
    server = lab.boot(port)
    assert [each.address for each in lab.holds(server)] == [OTHER]
    told = lab.told(port)
    assert (told["binding:vif_type"], told["mac_address"]) == ("hostdev_physical", CARD_MAC)
    assert told["binding:profile"]["device_mac_address"] == CARD_MAC
    lab.tenant.gone(server)
    assert lab.told(port)["mac_address"] not in (CARD_MAC, own)
    lab.gone(first, taken)


def test_no_host_has_more_functions_than_it_has(lab: Lab) -> None:
    ports = [lab.port("direct") for _ in range(4)]
    first = lab.boot(*ports[:3])
    assert sorted(each.address for each in lab.holds(first)) == [*FUNCTIONS, OTHERS]
    second = lab.boot(ports[3], status="ERROR")
    assert "No valid host" in lab.rest(second, "ERROR")["fault"]["message"]
    assert lab.told(ports[3])["binding:profile"] == {}
    lab.gone(second, ports[3])
    lab.gone(first, *ports[:3])


def test_the_card_that_promises_is_the_one_that_keeps(lab: Lab) -> None:
    """What one card has left of bandwidth is of no use to another's functions."""
    policy = str(lab.ask("POST", f"{NEUTRON}/qos/policies", {"policy": {"name": "promised"}})["policy"]["id"])
    rule = {"minimum_bandwidth_rule": {"min_kbps": 2000, "direction": "egress"}}
    lab.ask("POST", f"{NEUTRON}/qos/policies/{policy}/minimum_bandwidth_rules", rule)
    ports = [lab.port("direct", qos_policy_id=policy) for _ in range(2)]
    server = lab.boot(ports[0])
    assert [each.address for each in lab.holds(server)] == [OTHERS]
    (wire,) = lab.told(ports[0])["binding:profile"]["allocation"].values()
    found = lab.ask("GET", f"/placement/resource_providers/{wire}")
    assert found["name"] == f"{lab.cloud.settings.host}:NIC Switch agent:eth2"
    # There is bandwidth left at the one card, and there are functions left at the other.
    lab.gone(lab.boot(ports[1], status="ERROR"), ports[1])
    lab.gone(server, ports[0])


def test_nothing_is_on_other_networks(lab: Lab) -> None:
    port = lab.port("direct", lab.slow)
    server = lab.boot(port, status="ERROR")
    assert lab.holds(server) == []
    lab.gone(server, port)


@pytest.mark.parametrize("word", ["confirmResize", "revertResize"])
def test_a_resize_leaves_ports_their_devices(lab: Lab, word: str) -> None:
    flavor = {"name": secrets.token_hex(4), "ram": 64, "vcpus": 1, "disk": 2}
    larger = lab.tenant.admin("POST", f"{NOVA}/flavors", {"flavor": flavor})["flavor"]["id"]
    ports = [lab.port("direct"), lab.port("macvtap"), lab.port("direct")]  # all functions that there are
    server = lab.boot(*ports)
    held, claims = lab.holds(server), lab.claims(server)
    lab.act(server, "VERIFY_RESIZE", resize={"flavorRef": larger})
    assert (lab.holds(server), lab.claims(server)) == (held, claims)
    lab.act(server, "ACTIVE", **{word: None})
    assert (lab.holds(server), lab.claims(server)) == (held, claims)
    lab.gone(server, *ports)


def test_a_shelved_server_gets_a_device_anew(lab: Lab) -> None:
    port = lab.port("direct")
    server = lab.boot(port)
    lab.act(server, "SHELVED_OFFLOADED", shelve=None)
    assert (lab.holds(server), lab.told(port)["binding:profile"]) == ([], {})
    lab.act(server, "ACTIVE", unshelve=None)
    (held,) = lab.holds(server)
    assert lab.told(port)["binding:profile"]["pci_slot"] == held.address
    lab.gone(server, port)


def test_such_ports_stay_where_they_were_plugged_in(lab: Lab) -> None:
    held, plain = lab.port("direct"), lab.port(network=lab.slow)
    server, other = lab.boot(held), lab.boot(plain)
    for port, words in (
        (lab.port("direct"), "SR-IOV ports must be specified during server creation."),
        (lab.port(), f"Attaching interfaces is not supported for instance {other}."),
    ):
        path = f"{NOVA}/servers/{other}/os-interface"
        status, answer = lab.ask.ask("POST", path, {"interfaceAttachment": {"port_id": port}})
        assert (status, answer["badRequest"]["message"].endswith(words)) == (400, True)
        assert lab.told(port)["device_id"] == ""
        lab.ask("DELETE", f"{NEUTRON}/ports/{port}")
    status, answer = lab.ask.ask("DELETE", f"{NOVA}/servers/{server}/os-interface/{held}")
    assert (status, answer["badRequest"]["message"]) == (
        400,
        f"Failed to detach network adapter device from {server}",
    )
    lab.ask("DELETE", f"{NEUTRON}/ports/{held}")
    until(lambda: lab.holds(server) == [], PATIENCE)
    lab.gone(server)
    lab.gone(other, plain)


def test_a_port_of_a_switch_in_user_space(lab: Lab) -> None:
    port = lab.port()
    server = lab.boot(port)
    told = lab.told(port)
    assert told["binding:vif_type"] == "vhostuser"
    assert [each.socket for each in lab.specified(server).ports] == [told["binding:vif_details"]["vhostuser_socket"]]
    until(lambda: lab.told(port)["status"] == "ACTIVE", PATIENCE)
    lab.gone(server, port)
