# SPDX-License-Identifier: Apache-2.0
"""What a network knows of names, and what it says to questions: sound, odd and hostile ones."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from cumulet.services.network.drivers.fabric import dns as names
from cumulet.services.network.drivers.fabric import resolver
from cumulet.services.network.types import (
    FixedAddress,
    HostState,
    LegState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
    ServiceState,
    SubnetState,
)


def fixed(*addresses: str) -> list[FixedAddress]:
    return [FixedAddress(address=one, prefix=64 if ":" in one else 24, subnet_id="s") for one in addresses]


NETWORK = NetworkState(
    id="n",
    mtu=1450,
    domain="cloud.example",
    subnets=[SubnetState(id="s", cidr="10.0.0.0/24"), SubnetState(id="t", cidr="fd00::/64", version=6)],
    service=ServiceState(port_id="d", mac="fa:16:3e:00:00:02", addresses=["10.0.0.2/24"]),
)
STATE = HostState(
    generation=1,
    networks=[NETWORK],
    ports=[
        PortState(
            id="a",
            network_id="n",
            mac="",
            addresses=fixed("10.0.0.11", "fd00::11"),
            name="web",
            dns="web.cloud.example",
        ),
        PortState(id="b", network_id="n", mac="", addresses=fixed("10.0.0.12", "10.0.0.13")),
        PortState(id="c", network_id="other", mac="", addresses=fixed("10.0.0.11"), dns="secret.cloud.example"),
    ],
    remotes=[
        RemoteState(
            id="r", network_id="n", mac="", addresses=["10.0.0.21"], endpoint="198.18.0.1", dns="far.sub.cloud.example"
        )
    ],
    routers=[
        RouterState(id="x", legs=[LegState(port_id="l", network_id="n", mac="", addresses=["10.0.0.1/24"])]),
    ],
)
ZONE = names.zone(NETWORK, STATE)


def said(name: str, kind: str = "A", zone: names.Zone = ZONE) -> tuple[str, list[str]] | None:
    return names.in_words(names.answer(names.read(dns.message.make_query(name, kind).to_wire()), zone))


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("web.cloud.example", "A", ["10.0.0.11"]),
        ("WEB.Cloud.example.", "A", ["10.0.0.11"]),
        ("web", "A", ["10.0.0.11"]),
        ("web.cloud.example", "AAAA", ["fd00::11"]),
        ("web.cloud.example", "MX", []),
        ("far.sub.cloud.example", "A", ["10.0.0.21"]),
        ("far.sub", "A", ["10.0.0.21"]),
        ("far.sub.cloud.example", "AAAA", []),
        ("host-10-0-0-12.cloud.example", "A", ["10.0.0.12"]),
        ("host-10-0-0-13", "A", ["10.0.0.13"]),
        ("host-10-0-0-1.cloud.example", "A", ["10.0.0.1"]),
        ("host-10-0-0-2.cloud.example", "A", ["10.0.0.2"]),
        ("11.0.0.10.in-addr.arpa", "PTR", ["web.cloud.example."]),
        ("21.0.0.10.in-addr.arpa", "PTR", ["far.sub.cloud.example."]),
        ("12.0.0.10.in-addr.arpa", "PTR", ["host-10-0-0-12.cloud.example."]),
        ("12.0.0.10.in-addr.arpa", "TXT", []),
    ],
)  # fmt: skip
def test_names_and_addresses_of_the_network_are_known(name: str, kind: str, values: list[str]):
    assert said(name, kind) == ("NOERROR", values)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("secret", "A"), ("localhost", "A"), ("nobody", "AAAA"), ("99.0.0.10.in-addr.arpa", "PTR")],
)
def test_what_can_only_be_the_networks_own_is_asked_of_nobody(name: str, kind: str):
    assert said(name, kind) == ("NXDOMAIN", [])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("www.example.org", "A"),
        ("secret.cloud.example", "A"),
        ("cloud.example", "SOA"),
        ("org", "NS"),
        (".", "NS"),
        ("9.9.9.9.in-addr.arpa", "PTR"),
        ("1.in-addr.arpa", "PTR"),
    ],
)  # fmt: skip
def test_others_are_asked_for_what_may_be_theirs(name: str, kind: str):
    assert said(name, kind) is None


def test_nobody_is_asked_for_names_of_a_domain_that_is_none():
    plain = names.zone(NetworkState(id="n", mtu=1450, domain=names.NO_ONES), STATE)
    assert said("host-10-0-0-12.openstacklocal", zone=plain) == ("NOERROR", ["10.0.0.12"])
    assert said("nobody.openstacklocal", zone=plain) == ("NXDOMAIN", [])
    assert said("openstacklocal", "SOA", zone=plain) == ("NXDOMAIN", [])
    bare = names.zone(NetworkState(id="n", mtu=1450), STATE)
    assert said("host-10-0-0-12", zone=bare) == ("NOERROR", ["10.0.0.12"])


@pytest.mark.parametrize("kind", ["ANY", "AXFR", "IXFR"])
def test_much_for_little_is_refused(kind: str):
    assert said("web.cloud.example", kind) == ("REFUSED", [])


def test_odd_messages_are_dropped_or_refused():
    query = dns.message.make_query("web.cloud.example", "A")
    whole = query.to_wire()
    for length in range(len(whole)):
        names.read(whole[:length])
    assert names.read(b"") is None
    assert names.read(bytes(12) + b"\xc0\x0c\x00\x01\x00\x01") is not None, "no question at all"
    assert names.in_words(names.answer(names.read(bytes(12)), ZONE)) == ("FORMERR", [])
    loop = b"\x00\x01\x01\x00\x00\x01" + bytes(6) + b"\xc0\x0c\x00\x01\x00\x01"
    assert names.read(loop) is None, "a name that points to itself"
    query.flags |= dns.flags.QR
    assert names.read(query.to_wire()) is None, "an answer"
    query = dns.message.make_query("web.cloud.example", "A")
    query.set_opcode(dns.opcode.STATUS)
    assert names.read(query.to_wire()) is None
    assert said("web.cloud.example", "A") is not None
    chaos = dns.message.make_query("version.bind", "TXT", "CH")
    assert names.in_words(names.answer(names.read(chaos.to_wire()), ZONE)) == ("REFUSED", [])


def test_answers_are_no_larger_than_who_asks_takes():
    many = names.Zone(
        domain="", names={"many": [f"10.{one // 250}.0.{one % 250}" for one in range(500)]}, addresses={}, ranges=[]
    )
    for payload, most in ((None, 512), (400, 512), (1000, 1000), (65535, names.LARGEST)):
        query = dns.message.make_query("many", "A", use_edns=payload is not None and 0, payload=payload)
        question = names.read(query.to_wire())
        data = names.write(names.answer(question, many), names.limit(question))
        assert len(data) <= most
        assert dns.message.from_wire(data).flags & dns.flags.TC


def test_only_an_answer_to_the_question_is_passed_on():
    question = names.read(dns.message.make_query("www.example.org", "A").to_wire())
    asked = names.ask("www.example.org", "A")
    assert asked.id != question.id or names.ask("www.example.org", "A").id != question.id
    answer = dns.message.make_response(asked)
    answer.answer.append(dns.rrset.from_text("www.example.org.", 60, "IN", "A", "192.0.2.1"))
    told = names.pass_on(question, answer.to_wire())
    assert told.id == question.id
    assert names.in_words(told) == ("NOERROR", ["192.0.2.1"])
    other = dns.message.make_response(names.ask("www.example.com", "A"))
    assert names.pass_on(question, other.to_wire()) is None
    assert names.pass_on(question, asked.to_wire()) is None
    assert names.pass_on(question, b"nonsense") is None


def test_who_asks_too_often_is_not_heard_for_a_while():
    rates = resolver.Rates(rate=2, burst=3)
    assert [rates.allow("a", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert rates.allow("b", 0.0)
    assert [rates.allow("a", 1.0) for _ in range(3)] == [True, True, False]
    assert [rates.allow("a", 100.0) for _ in range(4)] == [True, True, True, False]


def test_many_senders_are_not_remembered_for_ever():
    rates = resolver.Rates()
    for number in range(10_000):
        rates.allow(number, 0.0)
    assert len(rates._left) <= 4096


def test_the_hosts_loopback_is_never_asked():
    asked = ["127.0.0.53", "::1", "0.0.0.0", "::", "fe80::1%eth0", "169.254.1.1", "nonsense", "192.0.2.53", "fd00::53"]
    assert resolver.usable(asked) == ["192.0.2.53", "fd00::53"]
