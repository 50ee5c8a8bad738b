# SPDX-License-Identifier: Apache-2.0
"""Where hosts of other machines, and other replicas, come in: a TCP port that asks for their certificates."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time

from cumulet.kernel.errors import NotReady
from cumulet.kernel.link import certificates, greeting, ways
from cumulet.kernel.link.admission import Admission
from cumulet.kernel.link.authority import REPLICA_LIFETIME
from cumulet.kernel.link.doors import Caller, Take
from cumulet.kernel.link.names import READ_LIMIT

LOG = logging.getLogger(__name__)

HANDSHAKE = 10.0  # seconds that a TLS handshake may take
MOST_STRANGERS = 256  # connections at once that have not shown who they are
BACKLOG = 512
PAUSE = 0.5  # seconds before the next attempt to accept where the system has no more files


class TlsDoor:
    """A TCP port of the replica `replica`, where hosts and replicas show certificates of the cloud's own authority.

    `address` is how others reach `host`, which may be a wildcard. Port 0 lets the system choose.
    """

    def __init__(
        self, admission: Admission, replica: str, *, host: str, port: int, address: str, silence: float
    ) -> None:
        self._admission = admission
        self._replica = replica
        self._host = host
        self._port = port
        self._name = address
        self._silence = silence
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._taking: set[asyncio.Task[None]] = set()
        self._strangers = 0
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._made_at = 0.0

    @property
    def address(self) -> str:
        return ways.address(self._name, self._port)

    async def open(self, take: Take) -> None:
        """Take streams from now on. Raises OSError where the port cannot be had, NoMasterKey."""
        await asyncio.get_running_loop().run_in_executor(None, self._certify)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, self._port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._port = int(self._listener.getsockname()[1])
        self._accepting = asyncio.ensure_future(self._accept(take, self._listener))
        LOG.info("hosts may dial %s", self.address)

    def close(self) -> None:
        if self._accepting is not None and self._listener is not None:
            self._accepting.cancel()
            self._listener.close()

    def way(self, host: str, port: int) -> ways.TlsWay:
        """How this replica reaches another one."""
        return ways.TlsWay(host, port, self._client_context, silence=self._silence)

    def keep_certified(self) -> None:
        """Replace this replica's certificate when half of its time is over. May block."""
        if time.monotonic() - self._made_at > REPLICA_LIFETIME / 2:
            self._certify()

    def _certify(self) -> None:
        authority = self._admission.authority
        certificate, key = authority.issue_replica(self._replica, self._name)
        self._server = certificates.server_context(authority.certificate, certificate, key)
        self._client = certificates.client_context(authority.certificate, certificate, key)
        self._made_at = time.monotonic()

    def _client_context(self) -> ssl.SSLContext:
        if self._client is None:
            raise NotReady("this replica has no certificate yet")
        return self._client

    async def _accept(self, take: Take, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                LOG.warning("no link can be taken: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            if self._strangers >= MOST_STRANGERS:
                connection.close()
                continue
            task = asyncio.ensure_future(self._shake_hands(take, connection, ways.address(peer[0], peer[1])))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    async def _shake_hands(self, take: Take, connection: socket.socket, where: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_LIMIT, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        self._strangers += 1
        known = False
        writer: asyncio.StreamWriter | None = None
        try:
            ways.settle(connection, self._silence)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._server, ssl_handshake_timeout=HANDSHAKE
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            caller = self._who(transport.get_extra_info("ssl_object"), where)
            known = caller.role != "stranger"
            if known:
                self._strangers -= 1
            await take(reader, writer, caller)
        except (OSError, ValueError) as error:
            LOG.info("a TLS handshake with %s failed: %s", where, error)
            if writer is not None:
                await greeting.part(writer)
            connection.close()
        finally:
            if not known:
                self._strangers -= 1

    def _who(self, shown: ssl.SSLObject, where: str) -> Caller:
        holder = certificates.peer(shown)
        if holder is None:
            return Caller("stranger", where, self._silence)
        if holder.role == "peer":
            raise ValueError("a badge leads to peers alone")
        return Caller(holder.role, where, self._silence, holder.name, holder.fingerprint)
