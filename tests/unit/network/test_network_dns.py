# SPDX-License-Identifier: Apache-2.0
"""Names of ports in a cloud that has a domain of its own: over the API, of servers, and as DHCP tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Invalid
from cumulet.services.network.contract import NetworkContract, PortRequest
from cumulet.services.network.drivers.fabric import dhcp, dhcp_options
from cumulet.services.network.logic import dns
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types import FarPort
from support.people import environment
from unit.network.test_network_compile import rows

DOMAIN = "cloud.example."


def test_names_are_judged_as_dns_does():
    for name in ("", "web", "web.", "a.b-c.d0", "<project_name>.example.org."):
        assert dns.fault_of(name) is None
    for name in ("-web", "web-", "we_b", "a..b", ".", "a.7", "Web", "a" * 64, "<planet>", "a." * 130):
        assert dns.fault_of(name) is not None


def test_addresses_are_called_after_their_port_or_themselves():
    assert dns.assignment(DOMAIN, "web", "10.0.0.5") == {
        "ip_address": "10.0.0.5", "hostname": "web", "fqdn": "web.cloud.example.",
    }  # fmt: skip
    assert dns.assignment(DOMAIN, "web.cloud.example.", "10.0.0.5")["fqdn"] == "web.cloud.example."
    assert dns.assignment(dns.NO_ONES, "web", "fd00::5")["fqdn"] == "host-fd00--5.openstacklocal."
    assert dns.assignment("", "web", "10.0.0.5")["fqdn"] == "host-10-0-0-5"


def test_guests_are_told_their_name_and_domain():
    named = rows()
    named.domain = DOMAIN
    named.bound = [msgspec.structs.replace(named.bound[0], dns_name="web")]
    port = compile_host(named).ports[0]
    assert port.name == "web"
    assert dhcp_options.encode(port.options, 4)[15] == b"cloud.example"
    assert dhcp_options.encode(port.options, 6)[24] == b"\x05cloud\x07example\x00"


def test_hosts_know_the_names_of_ports_near_and_far():
    named = rows()
    named.domain = DOMAIN
    near = named.bound[0]
    named.bound = [msgspec.structs.replace(near, dns_name="Web")]
    named.far = [FarPort("far", near.network_id, "fa:16:3e:00:00:09", "other", dns_name="db.cloud.example.")]
    named.endpoints = {"other": "198.18.0.9"}
    state = compile_host(named)
    assert state.networks[0].domain == "cloud.example"
    assert [port.dns for port in state.ports] == ["web.cloud.example"]
    assert [remote.dns for remote in state.remotes] == ["db.cloud.example"]
    named.domain = dns.NO_ONES
    state = compile_host(named)
    assert [item.dns for item in (*state.ports, *state.remotes)] == ["", ""]


def test_a_ports_own_options_go_before_the_domain():
    own = rows()
    own.domain = dns.NO_ONES
    option = {"opt_name": "domain-name", "opt_value": "mine", "ip_version": 4}
    own.bound = [msgspec.structs.replace(own.bound[0], extra_dhcp_opts=[option])]
    port = compile_host(own).ports[0]
    assert port.name == "host-10-0-0-5"
    assert dhcp_options.encode(port.options, 4)[15] == b"mine"
    offer = dhcp.Offer(
        address="10.0.0.5", prefix=24, gateway=None, dns=[], routes=[], mtu=1450, name=port.name, options=port.options
    )
    assert offer.options == port.options


class Named:
    """A cloud with a domain of its own, and a network in it."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.contract = self.cloud.contracts.use(NetworkContract)
        self.ctx = Context(project_id=words["PROJECT_ID"], roles=frozenset({"member", "reader"}))
        headers = {"x-auth-token": words["MEMBER_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30)
        self.network = self.ask("POST", "/networks", network={"name": "named"})["network"]["id"]
        words = {"network_id": self.network, "ip_version": 4, "cidr": "10.54.0.0/24"}
        self.ask("POST", "/subnets", subnet=words)

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.client.request(method, path, json=body or None)
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def port(self, **words: Any) -> dict[str, Any]:
        return self.ask("POST", "/ports", port={"network_id": self.network, **words})

    def names(self, key: str) -> tuple[str, str]:
        found = self.ask("GET", f"/ports/{key}")["port"]
        return found["dns_name"], found["dns_assignment"][0]["fqdn"]


@pytest.fixture
def named(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    settings = cloud.control.cloud.settings
    network = msgspec.structs.replace(settings.network, dns_domain=DOMAIN.removesuffix("."))
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(settings, network=network))
    found = Named(cloud)
    yield found
    found.client.close()


def test_a_port_has_the_name_that_it_was_given(named: Named):
    port = named.port(dns_name="Web", dns_domain="other.example.")["port"]
    assert (port["dns_name"], port["dns_domain"]) == ("web", "other.example.")
    assert port["dns_assignment"][0]["fqdn"] == "web.cloud.example."
    changed = named.ask("PUT", f"/ports/{port['id']}", port={"dns_name": "mail.cloud.example."})["port"]
    assert changed["dns_assignment"][0] == {
        "ip_address": port["fixed_ips"][0]["ip_address"], "hostname": "mail.cloud.example.",
        "fqdn": "mail.cloud.example.",
    }  # fmt: skip
    assert named.ask("PUT", f"/ports/{port['id']}", port={"dns_name": ""})["port"]["dns_name"] == ""


def test_a_name_does_not_leave_the_domain(named: Named):
    for name in ("web.other.example.", "cloud.example.", "a" * 60 + ("." + "b" * 60) * 3):
        refused = named.port(dns_name=name)["NeutronError"]
        assert refused["type"] == "HTTPBadRequest"
        assert refused["message"].startswith("Invalid input for dns_name. Reason: The dns_name passed is a")


def test_servers_ports_are_called_as_the_server_is(named: Named):
    own = named.port()["port"]["id"]
    requests = [PortRequest(network_id=named.network), PortRequest(port_id=own)]

    def write(tx: Any) -> list[str]:
        ports = named.contract.create_ports(
            tx, named.ctx, server_id="a-server", host="", availability_zone="nova", requests=requests, hostname="Db-1"
        )
        return [port.id for port in ports]

    keys = named.cloud.db.write(write)
    assert [named.names(key) for key in keys] == [("db-1", "db-1.cloud.example.")] * 2
    named.cloud.db.write(lambda tx: named.contract.release_server(tx, "a-server"))
    assert named.names(own)[0] == ""


def test_a_host_name_that_is_none_is_refused(named: Named):
    with pytest.raises(Invalid, match="is not a valid DNS name"):
        dns.of_server(named.cloud, "-db")
    assert dns.of_server(named.cloud, "") == {}
