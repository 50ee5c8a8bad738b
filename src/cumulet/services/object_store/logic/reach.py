# SPDX-License-Identifier: Apache-2.0
"""How the devices of one process and those of others reach each other.

Workers of a host do by UNIX sockets in the run folder. Other hosts come in at the address and port that rings have for
this one: there the first worker takes them, by badges of the cloud (`kernel.link.badges`), for the devices of all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cumulet.kernel.link.names import BADGE_NAME
from cumulet.services.object_store.drivers.nodes import Node, Where
from cumulet.services.object_store.drivers.remote.connection import LAST_PAUSE, Beyond, Connection, Here, Way
from cumulet.services.object_store.drivers.remote.devices import node
from cumulet.services.object_store.drivers.remote.server import DeviceServer
from cumulet.services.object_store.logic.home import Home
from cumulet.services.object_store.ring.ring import Ring
from cumulet.settings.object_store import ObjectStore

if TYPE_CHECKING:
    from cumulet.kernel.link.badges import Badges

LOG = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that others are waited for when the process begins
PAUSE = 1.0  # seconds before the next attempt to have the port
LONGEST_REST = 0.5  # seconds between attempts to reach a worker: it is here, and costs nothing to try

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]
Plain = Callable[[Any], Awaitable[Any]]


class Reaching:
    """`standing.Reach` of worker number `worker` of the host `host`; everything happens on one event loop.

    `nodes` are its own devices, put there by whoever opens them, and those of others. `verbs` are what others may ask
    of it beside its devices.
    """

    def __init__(
        self,
        settings: ObjectStore,
        folder: Path,
        run: Path,
        host: str,
        worker: int = 0,
        verbs: Mapping[str, Plain] | None = None,
    ) -> None:
        self._settings = settings
        self._run = run
        self._worker = worker
        self._badges = None if settings.is_alone else _badges(folder / "badges" / str(worker), host)
        self.nodes: dict[Where, Node] = {}
        self._relayed: dict[Where, Node] = {}
        self._theirs: dict[Where, Connection] = {}
        self._connections: dict[str, Connection] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._here = DeviceServer(self.nodes, verbs)
        self._beyond = DeviceServer(ChainMap(self._relayed, self.nodes), verbs)
        self._tasks: list[asyncio.Task[None]] = []
        self._said: set[str] = set()

    async def open(self, call: Call) -> None:
        """Let others come; `call` asks the control plane. Raises OSError."""
        if self._settings.workers > 1:
            await self._here.listen_here(socket_of(self._run, self._worker))
        if self._badges is None:
            return
        with contextlib.suppress(OSError, ValueError):
            await asyncio.to_thread(self._badges.read)
        self._badges.start(call)
        if self._worker == 0:
            self._tasks.append(asyncio.ensure_future(self._listen(self._badges)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._badges is not None:
            await self._badges.stop()
        await self._here.close()
        await self._beyond.close()
        for connection in list(self._connections.values()):
            await connection.stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def linked(self) -> None:
        """Wait until all others are reached, but not for long: some may be away."""
        await asyncio.gather(*(each.linked(PATIENCE) for each in self._connections.values()))

    def worker(self, number: int) -> Connection:
        """To another worker of this host."""
        return self._connection(f"worker {number}", lambda: Here(socket_of(self._run, number)), LONGEST_REST)

    async def away(self) -> list[int]:
        """The other workers of this host that are not reached now."""
        others = (number for number in range(self._settings.workers) if number != self._worker)
        return [number for number in others if self.worker(number).trouble]

    def follow(self, home: Home, rings: Iterable[Ring]) -> None:
        """Have in `nodes` the devices of other processes that these rings name, and no others."""
        own = {(home.address, home.port, each.name): number for number, each in enumerate(home.devices)}
        wanted = {(each.ip, each.port, each.device) for ring in rings for each in ring.devices}
        for where in [each for each in self._theirs if each not in wanted]:
            del self._theirs[where], self.nodes[where]
            self._relayed.pop(where, None)
        for where in wanted - self._theirs.keys():
            if where in own:
                worker = own[where] % self._settings.workers
                if worker != self._worker:
                    self._add(where, self.worker(worker), near=True)
                    self._relayed[where] = msgspec.structs.replace(self.nodes[where], local=True)
            elif where[:2] == (home.address, home.port):
                self._say(f"a ring has the device {where[2]} of this host, which is not in its settings")
            elif (connection := self._host(*where[:2])) is not None:
                self._add(where, connection, near=False)
        used = set(map(id, self._theirs.values()))
        for name in [each for each, found in self._connections.items() if id(found) not in used]:
            if not name.startswith("worker "):
                self._end(self._connections.pop(name))

    def _add(self, where: Where, connection: Connection, *, near: bool) -> None:
        self._theirs[where] = connection
        self.nodes[where] = msgspec.structs.replace(node(connection, where), near=near)

    def _host(self, address: str, port: int) -> Connection | None:
        """To another host; None where this one is to be alone."""
        badges = self._badges
        if badges is None:
            self._say(f"a ring has devices at {address}, and object_store.address does not say where this host's are")
            return None
        return self._connection(
            f"{address} {port}",
            lambda: Beyond(address, port, badges.client, server_name=BADGE_NAME, admits=badges.is_good),
        )

    def _connection(self, name: str, way: Callable[[], Way], rest: float = LAST_PAUSE) -> Connection:
        found = self._connections.get(name)
        if found is None:
            found = self._connections[name] = Connection(way(), rest=rest)
            found.start()
        return found

    def _end(self, connection: Connection) -> None:
        task = asyncio.ensure_future(connection.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            LOG.error("%s", words)

    async def _listen(self, badges: Badges) -> None:
        await badges.ready.wait()
        address, port = self._settings.address, self._settings.port
        while True:
            try:
                await self._beyond.listen_beyond(address, port, badges.server, badges.is_good)
            except OSError as error:
                self._say(f"the devices cannot be served at {address} port {port}: {error}")
                await asyncio.sleep(PAUSE)
                continue
            LOG.info("other hosts reach the devices at %s port %d", address, port)
            return


def _badges(folder: Path, host: str) -> Badges:
    # Loaded only where other hosts are reached: certificates come with a library of their own.
    from cumulet.kernel.link.badges import Badges

    return Badges(folder, host)


def socket_of(run: Path, worker: int) -> Path:
    """Where a worker takes the others of its host."""
    return run / f"objects-{worker}.sock"
