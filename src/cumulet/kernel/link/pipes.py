# SPDX-License-Identifier: Apache-2.0
"""Plain bytes between a process of the control plane's side and a host: the host's door for them, and who knocks there.

A caller says in a hello what it wants to be joined with; after the host's hello both sides' bytes are passed on as they
are. The door is a UNIX socket of the host's own user, and for callers on other machines a TCP port, where TLS admits
replicas of the cloud alone. Frames carry no such bytes: their link belongs to calls, which must not wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import CumuletError, NotReady
from cumulet.kernel.link import frames, greeting
from cumulet.kernel.loop import Loop

LOG = logging.getLogger(__name__)

CHUNK = 64 * 1024
DIAL = 5.0  # seconds that a connection and its handshake may take

Body = dict[str, Any]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# What a caller wants, to a connected socket that the door closes in the end. May block; raises CumuletError.
Open = Callable[[Body], socket.socket]


@dataclass(frozen=True)
class Way:
    """The UNIX socket of a host's door, tried first; address and port of its TLS, and the name that it proves.

    Without a `context` only the socket is tried.
    """

    path: Path | None
    address: str
    port: int
    name: str
    context: ssl.SSLContext | None


class PipeDoor:
    """A host's door. `open` finds what a caller is joined with; it is called in `pool`. Off the loop only."""

    def __init__(self, loop: Loop, pool: Executor, open: Open) -> None:  # noqa: A002 - what it does
        self._loop = loop
        self._pool = pool
        self._open = open
        self._servers: list[asyncio.Server] = []
        self._busy: set[asyncio.Task[None]] = set()

    def listen_here(self, path: Path) -> None:
        """Take callers of this machine's own user at `path`; a socket that a crash left behind is replaced."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        self._servers.append(self._loop.wait(asyncio.start_unix_server(self._take, sock=listener)))

    def listen_beyond(self, address: str, port: int, context: ssl.SSLContext) -> int:
        """Take replicas of other machines at `port` (0: any that is free), which is returned. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family)
        self._servers.append(self._loop.wait(asyncio.start_server(self._take, sock=listener, ssl=context)))
        return int(listener.getsockname()[1])

    def close(self) -> None:
        """Take nobody any more, and end what is open."""
        self._loop.wait(self._close())

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._busy):
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            _only_replicas(writer)
            wanted, version = await greeting.hear(reader)
            inner = await self._loop.run(self._pool, self._open, wanted)
            inner.setblocking(False)
            theirs = await asyncio.open_connection(sock=inner)
            try:
                await greeting.say(writer, {}, version)
                await join((reader, writer), theirs)
                await greeting.part(writer)
            finally:
                greeting.cut(theirs[1])
        except (frames.FrameError, CumuletError) as error:
            await greeting.refuse(writer, str(error))
        except OSError as error:
            LOG.debug("a pipe broke: %s", error)
        finally:
            greeting.cut(writer)
            self._busy.discard(task)


async def dial(wanted: Mapping[str, Any], way: Way) -> Stream:
    """A stream to what is `wanted` of the host at the end of `way`. Raises NotReady, in words for a person."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(DIAL):
            reader, writer = await _connect(way)
            await greeting.say(writer, wanted)
            await greeting.hear(reader, DIAL)
    except BaseException as error:
        if writer is not None:
            greeting.cut(writer)
        if not isinstance(error, (OSError, frames.FrameError, TimeoutError)):
            raise
        raise NotReady(f"the host's bytes cannot be had: {error or type(error).__name__}") from None
    return reader, writer


async def join(one: Stream, other: Stream) -> None:
    """Pass bytes both ways until either side ends."""
    await until_either_ends(_pass(one[0], other[1]), _pass(other[0], one[1]))


async def until_either_ends(*ways: Coroutine[Any, Any, None]) -> None:
    """Run all until the first of them ends, however it does."""
    running = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def _connect(way: Way) -> Stream:
    if way.path is not None:
        try:
            return await asyncio.open_unix_connection(way.path)
        except OSError:
            if way.context is None:
                raise
    if way.context is None:
        raise OSError("there is no way to the host")
    return await asyncio.open_connection(way.address, way.port, ssl=way.context, server_hostname=way.name)


def _only_replicas(writer: asyncio.StreamWriter) -> None:
    shown = writer.get_extra_info("ssl_object")
    if shown is None:
        return
    from cumulet.kernel.link import certificates

    holder = certificates.peer(shown)
    if holder is None or holder.role != "replica":
        raise frames.FrameError("only replicas of the cloud are let in here")
