# SPDX-License-Identifier: Apache-2.0
"""Calls of hosts whose links other replicas hold: one stream to each such replica, with the same frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cumulet.kernel import errors
from cumulet.kernel.link import frames, greeting, ways
from cumulet.kernel.link.names import LINK_LOST, RELAY
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.rows import ReplicaRow
from cumulet.kernel.link.ways import TlsWay, UnixWay, Way

LOG = logging.getLogger(__name__)

ROOM = frames.MAX_FRAME + 64 * 1024  # bytes of a relayed frame: a host's largest one and what is around it
AGAIN = 1.0  # seconds before a replica that could not be reached is dialled again: all who waited are told at once
SLACK = 2.0  # seconds that the answer of the other replica may take beyond the host's own

DialTls = Callable[[str, int], TlsWay]


class Relays:
    """The streams of the replica `me` to others, opened when first needed; everything here happens on the loop."""

    def __init__(self, me: str, dial_tls: DialTls | None) -> None:
        self._me = me
        self._dial_tls = dial_tls
        self._peers: dict[str, Peer] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._failures: dict[str, tuple[float, str]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def call(self, to: ReplicaRow, host: str, verb: str, body: dict[str, Any], *, timeout: float, op: str) -> Any:
        """Have the replica `to` call a host of its own; raises what `Peer.call` raises, NotReady where it is away."""
        peer = await self._peer(to)
        asked = {"host": host, "verb": verb, "body": body, "op": op, "timeout": timeout}
        return await peer.call(RELAY, asked, timeout=timeout + SLACK)

    def close(self) -> None:
        for peer in list(self._peers.values()):
            peer.close()

    async def _peer(self, to: ReplicaRow) -> Peer:
        async with self._turns.setdefault(to.address, asyncio.Lock()):
            peer = self._peers.get(to.address)
            if peer is not None:
                return peer
            now = asyncio.get_running_loop().time()
            failed_at, trouble = self._failures.get(to.address, (-AGAIN, ""))
            if now - failed_at < AGAIN:
                raise _unreachable(to, trouble)
            try:
                peer = self._peers[to.address] = await self._open(to)
            except (OSError, frames.FrameError) as error:
                self._failures[to.address] = (asyncio.get_running_loop().time(), str(error))
                raise _unreachable(to, str(error)) from None
            self._failures.pop(to.address, None)
            return peer

    async def _open(self, to: ReplicaRow) -> Peer:
        way = self._way(to.address)
        reader, writer = await way.open()
        try:
            await greeting.say(writer, {"replica": self._me, "silence": way.silence})
            hello, _ = await greeting.hear(reader)
            if hello.get("replica") != to.name:
                raise frames.FrameError(f"at {to.address} is now {hello.get('replica')}")
        except BaseException:
            writer.close()
            raise
        peer = Peer(
            reader, writer, _serve_nothing, _hear_nothing, silence=way.silence, theirs=hello.get("silence"), limit=ROOM
        )
        running = asyncio.ensure_future(self._keep(to.address, peer, writer))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return peer

    async def _keep(self, address: str, peer: Peer, writer: asyncio.StreamWriter) -> None:
        try:
            await peer.run()
        finally:
            if self._peers.get(address) is peer:
                del self._peers[address]
            await greeting.part(writer)

    def _way(self, address: str) -> Way:
        if address.startswith("unix:"):
            return UnixWay(Path(address.removeprefix("unix:")))
        if self._dial_tls is None:
            raise frames.FrameError("this replica has no address of its own (link.host)")
        return self._dial_tls(*ways.parse(address))


def _unreachable(to: ReplicaRow, trouble: str) -> errors.NotReady:
    return errors.NotReady(f"replica {to.name} cannot be reached: {trouble}", code=LINK_LOST)


async def _serve_nothing(verb: str, _body: Any, _op: str) -> Any:
    raise errors.Unsupported(f"there is no verb {verb} here", code="UnknownVerb")


def _hear_nothing(_name: str, _body: Any) -> None:
    """A relay carries calls only."""
