# SPDX-License-Identifier: Apache-2.0
"""The conversation with a guest's agent, whose part a peer on the same socket takes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import listen
from cumulet.services.compute.drivers.qemu import guest_agent


class Peer:
    """An agent that keeps what it was asked; `refuses` holds commands that it cannot do."""

    def __init__(self, refuses: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # An answer to somebody who is gone, which nobody may take for theirs.
        writer.write(b'{"return": {}}\n')
        async for line in reader:
            words = json.loads(line.lstrip(b"\xff"))
            name, arguments = words["execute"], words.get("arguments", {})
            if name == "guest-sync-delimited":
                writer.write(b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
                continue
            self.asked.append((name, arguments))
            answer = {"error": {"desc": "no such user"}} if name in self._refuses else {"return": 1}
            writer.write(json.dumps(answer).encode() + b"\n")


@asynccontextmanager
async def agent_at(path: Path, peer: Peer) -> AsyncIterator[None]:
    sock = listen(path)
    sock.setblocking(False)
    server = await asyncio.start_unix_server(peer.serve, sock=sock)
    try:
        yield
    finally:
        server.close()


def converse(path: Path, peer: Peer, ask: Callable[[Path], Awaitable[None]]) -> list[str]:
    """Ask the peer at `path`; the commands that it heard."""

    async def body() -> None:
        async with agent_at(path, peer):
            await ask(path)

    asyncio.run(body())
    return [name for name, _ in peer.asked]


def test_a_password_is_set(tmp_path: Path) -> None:
    peer = Peer()
    converse(tmp_path / "agent.sock", peer, lambda path: guest_agent.set_password(path, "root", "geheim"))
    words = {"username": "root", "password": base64.b64encode(b"geheim").decode(), "crypted": False}
    assert peer.asked == [("guest-set-user-password", words)]


def test_a_refusal_is_told(tmp_path: Path) -> None:
    peer = Peer(("guest-set-user-password",))
    with pytest.raises(Conflict, match="no such user") as refused:
        converse(tmp_path / "agent.sock", peer, lambda path: guest_agent.set_password(path, "nobody", "x"))
    assert refused.value.code == "InstancePasswordSetFailed"


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_agent, "HELLO_TIMEOUT", 0.05)
    with listen(tmp_path / "silent.sock"):
        for name in ("absent.sock", "silent.sock"):
            with pytest.raises(Conflict) as refused:
                asyncio.run(guest_agent.freeze(tmp_path / name))
            assert refused.value.code == "QemuGuestAgentNotEnabled"


async def _hold(path: Path | None, required: bool, *, early: bool = False) -> None:
    async with guest_agent.held(path, required=required) as release:
        if early:
            await release()


@pytest.mark.parametrize("early", [False, True])
def test_file_systems_are_held_and_let_go_once(tmp_path: Path, early: bool) -> None:
    asked = converse(tmp_path / "agent.sock", Peer(), lambda path: _hold(path, True, early=early))
    assert asked == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]


def test_what_was_held_by_half_is_let_go(tmp_path: Path) -> None:
    peer = Peer(("guest-fsfreeze-freeze",))
    asked = converse(tmp_path / "agent.sock", peer, lambda path: _hold(path, False))
    assert asked == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]


def test_only_who_needs_it_is_refused_without_an_agent(tmp_path: Path) -> None:
    asyncio.run(_hold(None, False))
    asyncio.run(_hold(tmp_path / "absent.sock", False))
    for path in (None, tmp_path / "absent.sock"):
        with pytest.raises(Conflict) as refused:
            asyncio.run(_hold(path, True))
        assert refused.value.code == "QemuGuestAgentNotEnabled"
