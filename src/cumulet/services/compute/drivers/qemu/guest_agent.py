# SPDX-License-Identifier: Apache-2.0
"""Asking the agent in a guest (`docs/interop/qemu-ga.json` of QEMU), over the socket behind its virtio port.

Nobody tells whether an agent listens there; one that does not answer in time counts as none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import connect

LOG = logging.getLogger(__name__)

SOCKET = "agent.sock"
PORT = "org.qemu.guest_agent.0"
HELLO_TIMEOUT = 5.0  # seconds
ANSWER_TIMEOUT = 60.0  # file systems take their time to write everything out
_MARK = b"\xff"


class GuestAgent:
    """One conversation."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Find out that an agent is there and listens. Conflict (`QemuGuestAgentNotEnabled`) where none answers."""
        try:
            sock = connect(path)
        except OSError as error:
            raise _silent() from error
        sock.setblocking(False)
        agent = cls(*await asyncio.open_unix_connection(sock=sock))
        try:
            await asyncio.wait_for(agent._agree(), HELLO_TIMEOUT)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            agent.close()
            raise _silent() from error
        return agent

    async def execute(self, command: str, **arguments: Any) -> Any:
        """What the agent answers; Conflict (`GuestAgentRefused`) where it refuses."""
        await self._send({"execute": command, **({"arguments": arguments} if arguments else {})})
        try:
            answer = json.loads(await asyncio.wait_for(self._reader.readuntil(b"\n"), ANSWER_TIMEOUT))
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise Conflict("no answer in time", code="GuestAgentRefused") from error
        if "error" in answer:
            raise Conflict(str(answer["error"].get("desc", "")), code="GuestAgentRefused")
        return answer.get("return")

    def close(self) -> None:
        self._writer.close()

    async def _agree(self) -> None:
        """Whatever an earlier conversation left unread is behind the mark."""
        number = secrets.randbelow(1 << 31)
        self._writer.write(_MARK)
        await self._send({"execute": "guest-sync-delimited", "arguments": {"id": number}})
        while True:
            await self._reader.readuntil(_MARK)
            if json.loads(await self._reader.readuntil(b"\n")).get("return") == number:
                return

    async def _send(self, words: dict[str, Any]) -> None:
        self._writer.write(json.dumps(words).encode() + b"\n")
        await self._writer.drain()


async def set_password(path: Path, user: str, password: str) -> None:
    """Set a user's password. Conflict: `InstancePasswordSetFailed` where the guest refuses."""
    words = base64.b64encode(password.encode()).decode()
    try:
        await _ask(path, "guest-set-user-password", username=user, password=words, crypted=False)
    except Conflict as error:
        if error.code != "GuestAgentRefused":
            raise
        raise Conflict(f"the guest refused: {error.message}", code="InstancePasswordSetFailed") from error


async def freeze(path: Path) -> None:
    """Have the guest write everything out and hold its file systems. Conflict: `InstanceQuiesceFailed`."""
    try:
        await _ask(path, "guest-fsfreeze-freeze")
    except Conflict as error:
        if error.code != "GuestAgentRefused":
            raise
        raise Conflict(f"Failed to quiesce instance: {error.message}", code="InstanceQuiesceFailed") from error


async def thaw(path: Path) -> None:
    """Let them go on; nothing happens where they are not held."""
    await _ask(path, "guest-fsfreeze-thaw")


@contextlib.asynccontextmanager
async def held(path: Path | None, *, required: bool) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold the file systems of the guest whose agent is at `path`; what is yielded lets them go on before the end.

    Where they cannot be held nothing happens, or Conflict where that is `required`.
    """
    is_held = False

    async def release() -> None:
        nonlocal is_held
        if is_held and path is not None:
            is_held = False
            try:
                await thaw(path)
            except Conflict as error:
                LOG.warning("%s: the guest's file systems may still be held: %s", path.parent.name, error.message)

    if path is None and required:
        raise Conflict("QEMU guest agent is not enabled", code="QemuGuestAgentNotEnabled")
    if path is not None:
        try:
            await freeze(path)
        except Conflict as error:
            # Some of them may be held.
            is_held = error.code == "InstanceQuiesceFailed"
            await release()
            if required:
                raise
            LOG.info("%s: not held for a snapshot: %s", path.parent.name, error.message)
        else:
            is_held = True
    try:
        yield release
    finally:
        await release()


async def _ask(path: Path, command: str, **arguments: Any) -> Any:
    agent = await GuestAgent.open(path)
    try:
        return await agent.execute(command, **arguments)
    finally:
        agent.close()


def _silent() -> Conflict:
    return Conflict("the QEMU guest agent does not answer", code="QemuGuestAgentNotEnabled")
