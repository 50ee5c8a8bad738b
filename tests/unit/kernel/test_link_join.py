# SPDX-License-Identifier: Apache-2.0
"""Hosts that join over TLS: tokens, certificates, renewal, revocation, and who may not come."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import clock, errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link import certificates, tables
from cumulet.kernel.link.join import Renewal, join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.names import CONTROL_NAME, NotJoined
from cumulet.kernel.link.ways import TlsWay
from cumulet.kernel.redact import redact_text
from support.link import Agent, Replica, Wire
from support.waiting import until


@pytest.fixture
def db(empty: Database) -> Database:
    migrate.migrate(empty, {})
    return empty


@pytest.fixture
def replica(db: Database, tmp_path: Path) -> Iterator[Replica]:
    running = Replica(db, tmp_path).start()
    yield running
    running.stop()


@pytest.fixture
def dial(replica: Replica) -> Iterator[Callable[..., Agent]]:
    agents: list[Agent] = []

    def start(membership: Membership, host: str = "one", verbs: dict[str, Any] | None = None) -> Agent:
        agents.append(Agent(replica.loop, membership.ways(10.0), verbs or {}, host))
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()


@pytest.fixture
def clock_at() -> Iterator[Callable[[float], None]]:
    yield lambda shift: clock.set_source(lambda: time.time() + shift)
    clock.set_source()


def test_the_script_is_the_tables() -> None:
    script = migrate.KERNEL_FOLDER / "0003_expand_hosts.sql"
    assert script.read_text() == migrate.draft(tables.metadata)


def test_a_host_joins_and_serves(replica: Replica, dial: Callable[..., Agent], tmp_path: Path) -> None:
    replica.hosts.offer("ask", lambda host, body: {"from": host, **body})
    membership = replica.member(tmp_path)
    agent = dial(membership, verbs={"double": lambda body: {"value": 2 * body["value"]}})
    assert replica.hosts.wait_for("one", 10)
    assert replica.hosts.call("one", "double", {"value": 21}) == {"value": 42}
    assert agent.uplink.call("ask", {"a": 1}) == {"from": "one", "a": 1}
    (row,) = replica.admission.hosts()
    assert (row.name, row.revoked, row.replica, row.generation) == ("one", False, "r1/control", 1)
    assert row.fingerprint == membership.holder().fingerprint
    assert agent.uplink.status.way == replica.url


def test_the_key_never_leaves_the_host_and_is_private(replica: Replica, tmp_path: Path) -> None:
    membership = replica.member(tmp_path)
    folder = tmp_path / "one" / "link"
    assert (folder / "host.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert membership.urls() == [replica.url]
    assert membership.holder().name == "one"


def test_a_token_is_good_once(replica: Replica, tmp_path: Path) -> None:
    token = replica.admission.new_token(60)
    join(token, [replica.url], "one", Membership(tmp_path / "a"))
    with pytest.raises(NotJoined, match="has been used already"):
        join(token, [replica.url], "two", Membership(tmp_path / "b"))
    assert not Membership(tmp_path / "b").is_there()


def test_a_token_is_good_once_even_at_the_same_moment(replica: Replica, tmp_path: Path) -> None:
    token = replica.admission.new_token(60)
    outcomes: list[str] = []

    def attempt(number: int) -> None:
        try:
            join(token, [replica.url], f"host-{number}", Membership(tmp_path / str(number)))
            outcomes.append("joined")
        except NotJoined:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["joined", *["refused"] * 5]
    assert len(replica.admission.hosts()) == 1


def test_a_token_expires(replica: Replica, tmp_path: Path, clock_at: Callable[[float], None]) -> None:
    token = replica.admission.new_token(60)
    clock_at(61)
    with pytest.raises(NotJoined, match="token has expired"):
        join(token, [replica.url], "one", Membership(tmp_path / "a"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda token: token[:-4] + "AAAA", "not known here"),
        (lambda token: token.replace("cumulet1.", "cumulet1.A"), "not the cloud that the join token is of"),
        (lambda token: token.replace("cumulet1", "cumulet9"), "no join token"),
        (lambda token: "hello", "no join token"),
        (lambda token: "", "no join token"),
        (lambda token: token.rpartition(".")[0], "no join token"),
    ],
)
def test_wrong_tokens_are_refused_in_words(
    replica: Replica, tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    token = replica.admission.new_token(60)
    with pytest.raises(NotJoined, match=words) as told:
        join(change(token), [replica.url], "one", Membership(tmp_path / "a"))
    assert token.rpartition(".")[2] not in str(told.value)
    assert replica.admission.hosts() == []


def test_a_token_of_another_cloud_is_not_shown_to_this_one(replica: Replica, tmp_path: Path) -> None:
    other_db = Database.sqlite(tmp_path / "other.db", durable=False)
    migrate.migrate(other_db, {})
    (tmp_path / "other").mkdir()
    other = Replica(other_db, tmp_path / "other")
    try:
        with pytest.raises(NotJoined, match="not the cloud that the join token is of"):
            join(other.admission.new_token(60), [replica.url], "one", Membership(tmp_path / "a"))
    finally:
        other.loop.close()
        other_db.close()


def test_nothing_secret_is_logged(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = replica.admission.new_token(60)
    membership = Membership(tmp_path / "one")
    join(token, [replica.url], "one", membership)
    with pytest.raises(NotJoined):
        join(token, [replica.url], "two", Membership(tmp_path / "two"))
    dial(membership)
    assert replica.hosts.wait_for("one", 10)
    secret = token.rpartition(".")[2]
    assert secret not in caplog.text
    assert secret not in redact_text(f"it was started as cumulet agent --join {token} by a person, {token}")
    assert "PRIVATE KEY" not in caplog.text


def test_a_name_is_taken_once_unless_the_token_says_so(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent]
) -> None:
    first = replica.member(tmp_path)
    dial(first)
    assert replica.hosts.wait_for("one", 10)
    with pytest.raises(NotJoined, match="has joined already"):
        replica.member(tmp_path / "again")
    with pytest.raises(NotJoined, match="is for host one, not for two"):
        join(replica.admission.new_token(60, "one"), [replica.url], "two", Membership(tmp_path / "b"))
    second = Membership(tmp_path / "c")
    join(replica.admission.new_token(60, "one"), [replica.url], "one", second)
    until(lambda: replica.hosts.connected() == [])
    dial(second)
    assert replica.hosts.wait_for("one", 10)
    assert replica.hosts.connected()[0].generation == 3


def test_a_join_needs_a_name_and_a_key_of_the_right_kind(replica: Replica) -> None:
    secret = replica.admission.new_token(60).rpartition(".")[2]
    request = certificates.request(certificates.new_key(), "one")
    for wish in (
        {"host": "../one", "token": secret, "request": request},
        {"host": "one" * 50, "token": secret, "request": request},
        {"host": "one", "token": secret, "request": "nonsense"},
        {"host": "one", "token": secret, "request": request[:-200] + "=" * 20000},
        {"host": "one", "token": secret},
        {"host": 1, "token": [], "request": {}},
    ):
        with pytest.raises(errors.Invalid):
            replica.admission.admit(wish)
    assert replica.admission.admit({})["authority"].startswith("-----BEGIN CERTIFICATE")


def test_a_revoked_host_is_cut_at_once_and_stays_out(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent]
) -> None:
    gone: list[str] = []
    replica.hosts.on_disconnect(lambda info: gone.append(info.name))
    membership = replica.member(tmp_path)
    agent = dial(membership)
    assert replica.hosts.wait_for("one", 10)
    replica.admission.revoke("one")
    until(lambda: replica.hosts.connected() == [], 10)
    until(lambda: gone == ["one"])
    until(lambda: "has been revoked" in agent.uplink.status.trouble)
    with pytest.raises(errors.NotReady):
        replica.hosts.call("one", "x", {})
    with pytest.raises(errors.NotFound):
        replica.admission.revoke("nobody")


def test_a_removed_host_may_join_anew_but_not_by_its_old_certificate(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent]
) -> None:
    gone: list[str] = []
    replica.hosts.on_disconnect(lambda info: gone.append(info.name))
    old = replica.member(tmp_path)
    agent = dial(old)
    assert replica.hosts.wait_for("one", 10)
    replica.admission.remove("one")
    until(lambda: gone == ["one"])
    until(lambda: "was removed" in agent.uplink.status.trouble)
    new = replica.member(tmp_path / "new")
    dial(new)
    assert replica.hosts.wait_for("one", 20)
    until(lambda: "has been replaced" in agent.uplink.status.trouble)
    assert replica.admission.hosts()[0].fingerprint == new.holder().fingerprint


def test_a_host_cannot_speak_for_another(replica: Replica, tmp_path: Path) -> None:
    mallory = replica.member(tmp_path, "mallory")
    replica.member(tmp_path, "alice")
    wire = Wire(replica.port, mallory.context(), CONTROL_NAME)
    wire.send(kind="hello", body={"host": "alice", "frames": 1})
    refusal = wire.hear_kind("hello").body["refused"]
    assert "the certificate is of host mallory" in refusal
    assert wire.hear() is None
    wire.socket.close()


def test_a_host_cannot_play_a_replica(replica: Replica, tmp_path: Path) -> None:
    mallory = replica.member(tmp_path, "mallory")
    wire = Wire(replica.port, mallory.context(), CONTROL_NAME)
    wire.send(kind="hello", body={"replica": "r2/control", "frames": 1})
    assert "names no host" in wire.hear_kind("hello").body["refused"]
    wire.socket.close()
    # Nor as a server: what is dialled must show a replica's certificate.
    key, certificate = mallory._pair()
    served = certificates.server_context(replica.admission.authority.certificate, certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with pytest.raises(OSError):  # noqa: PT011
                served.wrap_socket(accepted, server_side=True).recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        way = TlsWay("127.0.0.1", listener.getsockname()[1], mallory.context, silence=10.0)
        with pytest.raises(Exception, match="not a replica of this cloud"):
            replica.loop.wait(way.open())
        thread.join()


def test_without_a_certificate_one_can_only_ask_to_join(replica: Replica) -> None:
    context = certificates.client_context(replica.admission.authority.certificate)
    for hello in ({"host": "one"}, {"replica": "r2/control"}, {"probe": True}, {"join": "yes"}):
        wire = Wire(replica.port, context, CONTROL_NAME)
        wire.send(kind="hello", body={**hello, "frames": 1})
        assert "can only ask to join" in wire.hear_kind("hello").body["refused"]
        wire.socket.close()


def test_a_certificate_of_another_authority_is_refused(replica: Replica, tmp_path: Path) -> None:
    other_db = Database.sqlite(tmp_path / "other.db", durable=False)
    migrate.migrate(other_db, {})
    (tmp_path / "other").mkdir()
    other = Replica(other_db, tmp_path / "other")
    key = certificates.new_key()
    forged = other.admission.authority.sign_host("one", certificates.request(key, "one"), 60)
    context = certificates.client_context(replica.admission.authority.certificate, forged, key)
    try:
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            Wire(replica.port, context, CONTROL_NAME).join("one")
        assert replica.hosts.connected() == []
    finally:
        other.loop.close()
        other_db.close()


def test_an_ended_certificate_is_refused_on_both_sides(
    replica: Replica, tmp_path: Path, clock_at: Callable[[float], None]
) -> None:
    clock_at(-7200)  # the certificate of an hour, made two hours ago
    membership = replica.member(tmp_path)
    clock_at(0)
    with pytest.raises(NotJoined, match=r"ended on .* join again"):
        membership.must_be("one")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        Wire(replica.port, membership.context(), CONTROL_NAME).join("one")


def test_a_renamed_machine_is_told_so(replica: Replica, tmp_path: Path) -> None:
    membership = replica.member(tmp_path)
    membership.must_be("one")
    with pytest.raises(NotJoined, match="has joined as host one and is now called two"):
        membership.must_be("two")


def test_a_host_of_this_machine_cannot_take_the_name_of_a_joined_one(replica: Replica, tmp_path: Path) -> None:
    replica.member(tmp_path)
    wire = Wire(replica.path)
    wire.send(kind="hello", body={"host": "one", "frames": 1})
    assert "has joined with a certificate" in wire.hear_kind("hello").body["refused"]
    wire.socket.close()


def test_certificates_are_renewed_in_time_over_the_link(db: Database, tmp_path: Path) -> None:
    replica = Replica(db, tmp_path, lifetime=4.0).start()
    membership = replica.member(tmp_path)
    first = membership.holder()
    agent = Agent(replica.loop, membership.ways(10.0), {}, "one")
    renewal = Renewal(membership, agent.uplink.call)
    renewal.start()
    try:
        assert replica.hosts.wait_for("one", 10)
        until(lambda: membership.holder().fingerprint != first.fingerprint)
        until(lambda: replica.admission.hosts()[0].fingerprint_before is None)
        until(lambda: membership.holder().until > first.until + 5)
        assert replica.admission.hosts()[0].certificate_until == pytest.approx(membership.holder().until, abs=4.1)
        assert replica.hosts.connected()[0].generation == 1, "a renewal must not cut the link"
    finally:
        renewal.stop()
        agent.stop()
        replica.stop()


def test_a_renewal_that_was_interrupted_leaves_a_good_certificate(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent]
) -> None:
    membership = replica.member(tmp_path)
    for _ in range(2):  # the answers never reach the host's disk
        replica.admission.renew("one", {"request": certificates.request(certificates.new_key(), "one")})
    dial(membership)
    assert replica.hosts.wait_for("one", 10)


def test_a_replica_with_a_stranger_s_silence_does_not_hold_others_up(replica: Replica, tmp_path: Path) -> None:
    silent = [socket.create_connection(("127.0.0.1", replica.port)) for _ in range(20)]
    membership = replica.member(tmp_path)
    wire = Wire(replica.port, membership.context(), CONTROL_NAME)
    assert wire.join("one")["generation"] == 1
    for one in [*silent, wire.socket]:
        one.close()


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600, b"\x00" * 100])
def test_garbage_at_the_port_is_turned_away(replica: Replica, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", replica.port), 10) as stranger:
        stranger.sendall(raw)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(1000):
            pass
    assert replica.hosts.connected() == []


def is_ended(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(1000) == b""
    except ConnectionError:
        return True


def test_who_says_nothing_is_shown_out(replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cumulet.kernel.link.tls_door.HANDSHAKE", 0.3)
    monkeypatch.setattr("cumulet.kernel.link.greeting.hear.__defaults__", (0.3,))
    with socket.create_connection(("127.0.0.1", replica.port), 20) as before_tls:
        assert is_ended(before_tls)
    with socket.create_connection(("127.0.0.1", replica.port), 20) as inside_tls:
        inside_tls.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert is_ended(inside_tls)
    wire = Wire(replica.port, replica.member(tmp_path).context(), CONTROL_NAME)
    assert "no hello came" in wire.hear_kind("hello").body["refused"]
    wire.socket.close()


def test_strangers_do_not_crowd_out_hosts(
    replica: Replica, tmp_path: Path, dial: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cumulet.kernel.link.tls_door.MOST_STRANGERS", 4)
    monkeypatch.setattr("cumulet.kernel.link.tls_door.HANDSHAKE", 0.5)
    membership = replica.member(tmp_path)
    crowd = [socket.create_connection(("127.0.0.1", replica.port), 20) for _ in range(12)]
    dial(membership)
    assert replica.hosts.wait_for("one", 30)
    for stranger in crowd:
        assert is_ended(stranger)
        stranger.close()


def test_what_is_announced_before_anybody_is_known_is_small(replica: Replica) -> None:
    context = certificates.client_context(replica.admission.authority.certificate)
    wire = Wire(replica.port, context, CONTROL_NAME)
    wire.socket.sendall((1024 * 1024).to_bytes(4, "big"))
    assert "are taken" in wire.hear_kind("hello").body["refused"]
    wire.socket.close()
