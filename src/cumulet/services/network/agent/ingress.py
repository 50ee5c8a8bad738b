# SPDX-License-Identifier: Apache-2.0
"""The way in, where the machine itself does not reach floating IPs: ports of the machine's that lead to them.

A table, kept in a journal, says which. What comes to one of its ports is joined with a connection that is made where
the cloud meets the machine; guests see that place as the source. TCP alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import userland
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.link.host import Body, Journal, Verb
from cumulet.kernel.loop import Loop
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import Namespace

LOG = logging.getLogger(__name__)

MOST = 512  # connections at a time, of all ports together
PATIENCE = 10.0  # seconds that the other end is given to answer
_CHUNK = 1 << 16  # bytes


class Passage(msgspec.Struct, frozen=True):
    """What comes to `listen` goes to `to`, both an IPv4 address with a port: `127.0.0.1:2222`, `172.24.4.21:22`."""

    listen: str
    to: str


class Ingress:
    """Listens on the ports of the table; `inner` makes a socket that reaches floating IPs, not connected yet."""

    def __init__(self, loop: Loop, journal: Journal, inner: Callable[[], socket.socket]) -> None:
        self._loop = loop
        self._journal = journal
        self._inner = inner
        self._servers: dict[str, asyncio.Server] = {}
        self._problems: dict[str, str] = {}
        self._joined: set[asyncio.Task[None]] = set()
        self.verbs: Mapping[str, Verb] = {
            "ingress.list": lambda _: {"passages": self.listed()},
            "ingress.add": self._add,
            "ingress.remove": self._remove,
        }

    def start(self) -> None:
        """Listen on every port of the table that is free."""
        for passage in self._table():
            try:
                self._listen(passage)
            except OSError as error:
                self._problems[passage.listen] = os.strerror(error.errno or 0)
                LOG.error("nothing comes in at %s: %s", passage.listen, error)

    def stop(self) -> None:
        """Listen no more, and end what is joined."""
        if self._servers or self._joined:
            self._loop.wait(self._end(list(self._servers)))

    def listed(self) -> list[Body]:
        """The table, each with the `problem` that keeps it from listening, "" for none."""
        return [
            {**msgspec.to_builtins(passage), "problem": self._problems.get(passage.listen, "")}
            for passage in self._table()
        ]

    def _add(self, words: Body) -> Body:
        """`{"listen": address, "to": address}`. Raises Invalid for what is no address, Conflict for a port in use."""
        passage = Passage(listen=_address(words.get("listen")), to=_address(words.get("to")))
        if any(passage.listen == other.listen for other in self._table()):
            raise Conflict(f"{passage.listen} leads somewhere already.")
        try:
            self._listen(passage)
        except OSError as error:
            raise Conflict(f"{passage.listen} cannot be listened on: {os.strerror(error.errno or 0)}.") from error
        self._journal.put(passage.listen, msgspec.to_builtins(passage))
        return {"passages": self.listed()}

    def _remove(self, words: Body) -> Body:
        """`{"listen": address}`: what is joined by it stays so. Raises NotFound for one that is not in the table."""
        listen = _address(words.get("listen"))
        if self._journal.get(listen) is None:
            raise NotFound(f"{listen} leads nowhere.")
        self._journal.delete(listen)
        self._problems.pop(listen, None)
        self._loop.wait(self._close([listen]))
        return {"passages": self.listed()}

    def _table(self) -> list[Passage]:
        return [msgspec.convert(record, Passage) for _, record in sorted(self._journal.items().items())]

    def _listen(self, passage: Passage) -> None:
        address, port = _parts(passage.listen)
        opening = asyncio.start_server(partial(self._come, passage), address, port, limit=_CHUNK)
        self._servers[passage.listen] = self._loop.wait(opening)

    async def _end(self, listens: list[str]) -> None:
        await self._close(listens)
        for task in self._joined:
            task.cancel()

    async def _close(self, listens: list[str]) -> None:
        for listen in listens:
            server = self._servers.pop(listen, None)
            if server is not None:
                server.close()

    async def _come(self, passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection that came with one to where it leads; one too many is hung up."""
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._joined) < MOST:
                self._joined.add(task)
                await self._join(passage, reader, writer)
        except OSError as error:
            LOG.info("%s does not lead to %s now: %s", passage.listen, passage.to, error)
        finally:
            self._joined.discard(task)
            writer.close()

    async def _join(self, passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.to_thread(self._inner)
        inner.setblocking(False)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(inner, _parts(passage.to)), PATIENCE)
            their_reader, their_writer = await asyncio.open_connection(sock=inner, limit=_CHUNK)
        except BaseException:
            inner.close()
            raise
        try:
            await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer))
        finally:
            their_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that one end says to the other, and that it has no more to say."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def outlet(state: Path) -> Callable[[], socket.socket]:
    """What makes sockets that reach the floating IPs of the agent with that state directory."""
    if not userland.entered():
        return _socket
    space = Namespace(names.host_space(names.suffix(state)))
    return lambda: space.visit(_socket)


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


def _address(text: Any) -> str:
    """The address as it is written everywhere; Invalid for what is none."""
    try:
        address, port = _parts(str(text))
        if not 0 < port < 1 << 16:
            raise ValueError(port)
        return f"{ipaddress.IPv4Address(address)}:{port}"
    except ValueError as error:
        raise Invalid(f"'{text}' is not an IPv4 address with a port, such as 127.0.0.1:2222.") from error


def _parts(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port)
