# SPDX-License-Identifier: Apache-2.0
"""Guests ask their network for names, over UDP and TCP: it answers for its own, and has others asked, within limits."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rrset
import msgspec
import pytest
from network_labs import FabricLab, Lab, ask_dns
from network_pairs import Pair
from test_fabric import NET1, NET2, PUBLIC, STATE, A, B, C
from test_network_two_hosts import FIRST, SECOND, far, pair  # noqa: F401 -- a fixture

from cumulet.services.network.drivers.fabric import resolver
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.types import HostState

DOMAIN = "cloud.example"
UPSTREAM = "198.18.4.1"  # the host's own end of its cable


def called(state: HostState, **names: str) -> HostState:
    """The state with a domain, its subnets without servers of their own, and these ports, local and far, so called."""

    def named(item):
        own = names.get(item.id.replace("-", "_"))
        return msgspec.structs.replace(item, dns=f"{own}.{DOMAIN}") if own else item

    networks = [
        msgspec.structs.replace(
            one, domain=DOMAIN, subnets=[msgspec.structs.replace(each, dns=[]) for each in one.subnets]
        )
        for one in state.networks
    ]
    return msgspec.structs.replace(
        state,
        networks=networks,
        ports=[named(port) for port in state.ports],
        remotes=[named(remote) for remote in state.remotes],
    )


def key(port_id: str) -> str:
    return port_id.replace("-", "_")


def test_guests_hear_of_their_network_as_the_one_to_ask(lab: Lab):
    assert lab.apply(called(STATE, **{key(B): "db"})).failed == {}
    for port in (A, B, C):
        lab.boot(port)
    assert lab.lease(A)["dns"] == ["10.1.0.2"]
    assert lab.resolve(A, f"db.{DOMAIN}") == ("NOERROR", ["10.1.0.12"])
    assert lab.resolve(A, "db") == ("NOERROR", ["10.1.0.12"])
    assert lab.resolve(A, "12.0.1.10.in-addr.arpa", "PTR") == ("NOERROR", [f"db.{DOMAIN}."])
    assert lab.resolve(A, f"host-10-1-0-11.{DOMAIN}") == ("NOERROR", ["10.1.0.11"])
    assert lab.resolve(A, "nobody") == ("NXDOMAIN", [])
    assert lab.resolve(C, "db") == ("NXDOMAIN", []), "which is on another network"


def test_a_name_that_changes_is_known_at_once(lab: Lab):
    lab.apply(called(STATE, **{key(B): "db"}))
    lab.boot(A)
    assert lab.resolve(A, "db") == ("NOERROR", ["10.1.0.12"])
    lab.apply(msgspec.structs.replace(called(STATE, **{key(B): "mail"}), generation=2))
    assert lab.resolve(A, "db") == ("NXDOMAIN", [])
    assert lab.resolve(A, "mail") == ("NOERROR", ["10.1.0.12"])


def test_names_of_guests_on_other_hosts_are_known(pair: Pair):  # noqa: F811
    from test_network_two_hosts import A as HERE
    from test_network_two_hosts import B as THERE

    names = {key(HERE): "web", key(THERE): "db"}
    for lab, state in zip(pair.labs, (FIRST, SECOND), strict=True):
        assert lab.apply(called(state, **names)).failed == {}
    one, two = pair.labs
    one.boot(HERE)
    two.boot(THERE)
    assert one.resolve(HERE, "db") == ("NOERROR", ["10.1.0.12"])
    assert two.resolve(THERE, "web") == ("NOERROR", ["10.1.0.11"])


class Upstream:
    """A server in the lab's host that knows one name, counts questions, and may be silent or talk too much."""

    def __init__(self, address: str) -> None:
        self.asked: list[tuple[str, int]] = []
        self.silent = False
        self.records = 1
        self._sockets = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
        for sock in self._sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, 53))
        self._sockets[1].listen(4)
        for work in (self._datagrams, self._streams):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self, data: bytes) -> dns.message.Message:
        query = dns.message.from_wire(data)
        found = dns.message.make_response(query)
        values = [f"192.0.2.{one}" for one in range(1, self.records + 1)]
        found.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "A", values))
        return found

    def _datagrams(self) -> None:
        while True:
            try:
                data, sender = self._sockets[0].recvfrom(4096)
            except OSError:
                return
            self.asked.append(sender)
            if not self.silent:
                self._sockets[0].sendto(self._answer(data).to_wire(max_size=1232, prefer_truncation=True), sender)

    def _streams(self) -> None:
        while True:
            try:
                stream, _ = self._sockets[1].accept()
            except OSError:
                return
            with stream:
                size = int.from_bytes(stream.recv(2), "big")
                said = self._answer(stream.recv(size)).to_wire(max_size=65535)
                stream.sendall(len(said).to_bytes(2, "big") + said)

    def close(self) -> None:
        for sock in self._sockets:
            sock.shutdown(socket.SHUT_RDWR) if sock.type == socket.SOCK_STREAM else None
            sock.close()


@pytest.fixture
def asking() -> Iterator[tuple[FabricLab, Upstream]]:
    """A lab whose second server answers, and whose first would be the host's loopback."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    lab = FabricLab(resolvers=("127.0.0.1", UPSTREAM))
    assert lab.apply(called(STATE)).failed == {}
    lab.boot(A)
    server = lab.host.visit(_begin)
    yield lab, server
    server.close()
    lab.close()


def _begin() -> Upstream:
    with Links() as links:
        links.settle("lo")
    return Upstream(UPSTREAM)


def from_guest(lab: FabricLab, name: str, *, tcp: bool = False) -> tuple[str, list[str]] | None:
    return lab.guests[A].space.visit(lambda: ask_dns("10.1.0.2", name, "A", tcp=tcp))


@pytest.mark.root
def test_others_are_asked_what_the_network_does_not_know(asking: tuple[FabricLab, Upstream]):
    lab, server = asking
    assert from_guest(lab, "www.example.org") == ("NOERROR", ["192.0.2.1"])
    assert from_guest(lab, "www.example.org", tcp=True) == ("NOERROR", ["192.0.2.1"])
    assert from_guest(lab, "host-10-1-0-11", tcp=True) == ("NOERROR", ["10.1.0.11"])
    from_guest(lab, "www.example.com")
    assert {address for address, _ in server.asked} == {UPSTREAM}, "by the host, not by the guest's network"
    assert len({number for _, number in server.asked}) == len(server.asked), "from a port of its own each time"


@pytest.mark.root
def test_the_loopback_of_the_host_is_not_asked(asking: tuple[FabricLab, Upstream]):
    lab, _ = asking
    inner = lab.host.visit(lambda: Upstream("127.0.0.1"))
    try:
        assert from_guest(lab, "www.example.org") == ("NOERROR", ["192.0.2.1"])
        assert inner.asked == []
    finally:
        inner.close()


@pytest.mark.root
def test_large_answers_come_over_tcp(asking: tuple[FabricLab, Upstream]):
    lab, server = asking
    server.records = 200

    def ask_plainly() -> bytes:
        question = dns.message.make_query("many.example.org", "A", use_edns=0, payload=65535)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.sendto(question.to_wire(), ("10.1.0.2", 53))
            return sock.recv(65535)

    data = lab.guests[A].space.visit(ask_plainly)
    assert len(data) <= 1232
    assert dns.message.from_wire(data).flags & dns.flags.TC
    code, found = from_guest(lab, "many.example.org", tcp=True)
    assert (code, len(found)) == ("NOERROR", 200)


@pytest.mark.root
def test_a_guest_that_floods_is_not_answered_and_asks_little_of_others(asking: tuple[FabricLab, Upstream]):
    lab, server = asking
    server.silent = True
    lab.boot(B)

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(2000):
                sock.sendto(dns.message.make_query(f"n{number}.example.org", "A").to_wire(), ("10.1.0.2", 53))
                sock.sendto(os.urandom(60), ("10.1.0.2", 53))

    lab.guests[A].space.visit(flood)
    tries = (lab.guests[B].space.visit(lambda: ask_dns("10.1.0.2", "host-10-1-0-11", "A")) for _ in range(3))
    assert next(filter(None, tries), None) == ("NOERROR", ["10.1.0.11"]), "as often as a guest's resolver asks"
    assert len(server.asked) <= resolver._WAITING_OF_ONE * resolver._TRIES
    streams = [lab.guests[B].space.visit(lambda: socket.create_connection(("10.1.0.2", 53), 2)) for _ in range(12)]
    for stream in streams[4:]:
        stream.settimeout(2)
        assert stream.recv(1) == b"", "more than a network's share is hung up on"
    for stream in streams:
        stream.close()


@pytest.mark.root
def test_a_server_that_says_nothing_is_given_up(asking: tuple[FabricLab, Upstream]):
    lab, server = asking
    server.silent = True

    def patient() -> tuple[str, list[str]] | None:
        from dns import query

        from cumulet.services.network.drivers.fabric import dns as names

        return names.in_words(query.udp(names.ask("www.example.org", "A"), "10.1.0.2", 4))

    assert lab.guests[A].space.visit(patient) == ("SERVFAIL", [])


def test_without_servers_only_the_networks_own_names_are_answered(lab: Lab):
    lab.apply(called(STATE))
    lab.boot(A)
    if isinstance(lab, FabricLab):
        assert lab.resolve(A, "www.example.org") == ("REFUSED", [])
    else:
        assert lab.resolve(A, "www.example.org") is None


def test_names_go_with_their_network(lab: Lab):
    lab.apply(called(STATE))
    lab.boot(A)
    assert lab.resolve(A, "host-10-1-0-11") == ("NOERROR", ["10.1.0.11"])
    state = called(STATE)
    without = [
        msgspec.structs.replace(one, service=None) if one.id in (NET1, NET2) else one
        for one in state.networks
        if one.id in (NET1, NET2, PUBLIC)
    ]
    lab.apply(msgspec.structs.replace(state, generation=2, networks=without))
    if not isinstance(lab, FabricLab):
        assert lab.resolve(A, "host-10-1-0-11") is None
    else:
        assert lab.guests[A].space.visit(lambda: ask_dns("10.1.0.2", "host-10-1-0-11", "A")) is None
    assert lab.apply(msgspec.structs.replace(state, generation=3)).failed == {}
    assert lab.resolve(A, "host-10-1-0-11") == ("NOERROR", ["10.1.0.11"])
