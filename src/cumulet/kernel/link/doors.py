# SPDX-License-Identifier: Apache-2.0
"""Where links come in: the UNIX socket for this machine (`tls_door` for others). A door says who came, nothing more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel.link.names import READ_LIMIT
from cumulet.kernel.link.peer import SILENCE


class Caller(msgspec.Struct, frozen=True):
    """Who opened a stream: a process of this machine's owner, a host or a replica by its certificate, or a stranger.

    `where` is for the log; `silence` is after how many seconds without a word the link counts as lost.
    """

    role: Literal["local", "host", "replica", "stranger"]
    where: str
    silence: float
    name: str = ""
    fingerprint: str | None = None


Take = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Caller], Awaitable[None]]


class UnixDoor:
    """The socket at `path`, which only its owner can reach."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"unix:{self._path}"

    async def open(self, take: Take) -> None:
        """Take streams from now on. Raises OSError where the socket cannot be made."""
        caller = Caller("local", "this machine", SILENCE)

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await take(reader, writer, caller)

        self._server = await asyncio.start_unix_server(taken, sock=bind(self._path), limit=READ_LIMIT)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)


def bind(path: Path) -> socket.socket:
    """A listening-to-be UNIX socket that only its owner can reach, in the place of whatever was left there."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(draft))
        draft.chmod(0o600)
        draft.rename(path)
    except OSError as error:
        listener.close()
        raise OSError(f"no socket can be made at {path} (at most 100 bytes long): {error}") from error
    return listener
