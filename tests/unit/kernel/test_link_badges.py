# SPDX-License-Identifier: Apache-2.0
"""Processes of different hosts that know each other by badges: who gets one, who is let in by one, until when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cumulet.kernel import clock, errors
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link import badges as module
from cumulet.kernel.link import certificates, greeting
from cumulet.kernel.link.asker import Asker
from cumulet.kernel.link.badges import Badges
from cumulet.kernel.link.certificates import Holder
from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.names import BADGE_NAME
from cumulet.kernel.link.ways import TlsWay, UnixWay, Way
from support.link import Replica
from support.waiting import until


@pytest.fixture
def replica(empty: Database, tmp_path: Path) -> Iterator[Replica]:
    migrate.migrate(empty, {})
    replica = Replica(empty, tmp_path)
    yield replica.start()
    replica.stop()


class Process:
    """One that serves those of other hosts with a word, by its badge."""

    def __init__(self, replica: Replica, folder: Path, host: str, ways: list[Way]) -> None:
        self.replica, self.badges = replica, Badges(folder, host)
        self.port = 0
        replica.loop.wait(self._start(ways))
        until(lambda: self.badges.ready.is_set())

    async def _start(self, ways: list[Way]) -> None:
        self._asker = Asker(ways, "objects")
        self._asker.start()
        self.badges.start(self._asker.call)

    def listen(self) -> int:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(errors.Forbidden):
                writer.write(self.badges.admit(writer.get_extra_info("ssl_object")).encode())
                await writer.drain()
            await greeting.part(writer)

        async def start() -> asyncio.Server:
            return await asyncio.start_server(greet, "127.0.0.1", 0, ssl=self.badges.server)

        self._server = self.replica.loop.wait(start())
        return int(self._server.sockets[0].getsockname()[1])

    def ask(self, port: int) -> str:
        return self.replica.loop.wait(_hear(self.badges.way("127.0.0.1", port, 10.0)))

    def stop(self) -> None:
        if hasattr(self, "_server"):
            self.replica.loop.asyncio.call_soon_threadsafe(self._server.close)
        self.replica.loop.wait(self.badges.stop())
        self.replica.loop.wait(self._asker.stop())


async def _hear(way: Way) -> str:
    """What is said at the other end; empty where it only hangs up."""
    reader, writer = await way.open()
    try:
        return (await reader.read()).decode()
    except OSError:
        return ""
    finally:
        await greeting.part(writer)


def knows(process: Process, host: str) -> bool:
    return process.badges.is_good(Holder("peer", host, "", clock.now(), 0))


Make = Callable[..., Process]


@pytest.fixture
def process(replica: Replica, tmp_path: Path) -> Iterator[Make]:
    made: list[Process] = []

    def make(host: str, member: Membership | None = None) -> Process:
        ways = list(member.ways(10.0)) if member is not None else [UnixWay(replica.path)]
        made.append(Process(replica, tmp_path / f"badge-{host}-{len(made)}", host, ways))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_processes_of_all_hosts_know_each_other(replica: Replica, process: Make, tmp_path: Path) -> None:
    one, two, home = (
        process("one", replica.member(tmp_path)),
        process("two", replica.member(tmp_path, "two")),
        process("c"),
    )
    port = one.listen()
    until(lambda: knows(one, "two"))
    assert (two.ask(port), home.ask(port)) == ("two", "control/c")
    until(lambda: knows(home, "one"))
    assert one.ask(home.listen()) == "one"
    for name in ("badge.pem", "authority.pem", "hosts.json"):
        assert (tmp_path / "badge-one-0" / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["revoke", "remove", "replace"])
def test_whose_host_is_cut_off_is_let_in_no_more(replica: Replica, process: Make, tmp_path: Path, what: str) -> None:
    one, two = process("one", replica.member(tmp_path)), process("two", replica.member(tmp_path, "two"))
    port, theirs = one.listen(), two.listen()
    until(lambda: knows(one, "two") and one.ask(theirs) == "one")
    worn = Holder("peer", "two", "", clock.now() - certificates.BACKDATE, 0)
    if what == "replace":
        clock_later = replica.admission.new_token(60, "two")
        until(lambda: clock.now() - certificates.BACKDATE > worn.since + 2)
        join(clock_later, [replica.url], "two", Membership(tmp_path / "anew"))
    else:
        getattr(replica.admission, what)("two")
    until(lambda: not one.badges.is_good(worn))
    assert two.ask(port) == ""
    with pytest.raises(FrameError, match="was revoked or removed"):
        one.ask(theirs)


def test_another_certificate_is_no_badge(replica: Replica, process: Make, tmp_path: Path) -> None:
    member = replica.member(tmp_path)
    one = process("one", member)
    port, made = one.listen(), replica.admission.authority.issue_replica("r1/control", "127.0.0.1")
    authority = replica.admission.authority.certificate
    for context in (member.context(), certificates.client_context(authority, *made)):
        way = TlsWay("127.0.0.1", port, lambda context=context: context, silence=10.0, server_name=BADGE_NAME)
        assert replica.loop.wait(_hear(way)) == ""
    with pytest.raises(FrameError):  # the control plane's own door is no such process
        one.ask(replica.port)
    way = TlsWay("127.0.0.1", replica.port, one.badges.client, silence=10.0)
    reader, writer = replica.loop.wait(way.open())
    assert replica.loop.wait(_end(reader)) == b""  # nor does a badge lead to the control plane
    replica.loop.wait(greeting.part(writer))


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except OSError:
        return b""


def test_a_badge_is_kept_and_made_anew_in_time(
    replica: Replica, process: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = process("one", replica.member(tmp_path)), process("two", replica.member(tmp_path, "two"))
    port, folder = one.listen(), tmp_path / "badge-one-0"
    first = (folder / "badge.pem").read_text()
    again = Badges(folder, "one")
    again.read()
    assert again.is_good(Holder("peer", "one", "", clock.now(), 0))
    monkeypatch.setattr(module, "RENEW_AT", 2)  # every one is due
    until(lambda: (folder / "badge.pem").read_text() != first)
    monkeypatch.undo()
    until(lambda: knows(one, "two"))
    assert two.ask(port) == "two"
