# SPDX-License-Identifier: Apache-2.0
"""The devices of this process: opened where they are at hand, let go where they fail, and tried again.

Of several workers each has those whose turn it is: the first has the first device, and so on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from contextlib import AsyncExitStack

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.engine.assembly import opened
from cumulet.services.object_store.engine.places import Node, Where
from cumulet.services.object_store.logic.home import Home

LOG = logging.getLogger(__name__)


HEALTH = 1.0  # seconds in which a device says how it is; a slow one is not let go for that
FIRST, LONGEST = 1.0, 300.0  # seconds until a device that has failed is tried again, twice that after each failure
PATIENCE = 10.0  # seconds that a disk has to let go at the end
WELL = 600.0  # seconds after which its failures are forgotten
_BEHIND_ALL = 1 << 62


class _Failures(msgspec.Struct):
    """By the clock of the loop."""

    delay: float = 0.0
    last: float = 0.0


class Disks:
    """`nodes` is what the engine works with: a device is in it while it is open. On one running event loop.

    A device that fails is let go, for nobody knows what is on it, and opened anew as at a start when it answers again;
    the engine has it compared with its replicas then.

    This is worker number `worker` of `workers`, from 0 on.
    """

    def __init__(
        self, home: Home, nodes: MutableMapping[Where, Node], *, durable: bool, reserve: int, worker: int, workers: int
    ) -> None:
        own = home.devices[worker::workers]
        self._wanted = {(home.address, home.port, each.name): each for each in own}
        self._durable, self._reserve = durable, reserve
        self._troubles: dict[Where, str] = {}
        self._failures: dict[Where, _Failures] = {}
        self._open: dict[Where, AsyncExitStack] = {}
        self._closing: dict[Where, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self.nodes = nodes

    async def look(self) -> None:
        """Let go of what fails, and open what is not open."""
        async with self._turn:
            await self._let_go()
            await self.open_missing()

    async def open_missing(self) -> None:
        """Open what is not open; why one cannot be opened is said once."""
        for where, device in self._wanted.items():
            if where in self._open or where in self._closing or not self._due(where):
                continue
            opening = opened(device.folder, device.name, durable=self._durable, reserve=self._reserve)
            stack = AsyncExitStack()
            try:
                self.nodes[where] = await stack.enter_async_context(opening)
            except (CumuletError, OSError) as error:
                if self._troubles.get(where) != str(error):
                    LOG.error("device %s is not at hand: %s", device.name, error)
                self._troubles[where] = str(error)
            else:
                self._open[where] = stack
                self._troubles.pop(where, None)
                LOG.info("device %s is at hand", device.name)

    async def close(self) -> None:
        for where in list(self._open):
            self._close(where)
        if self._closing:
            await asyncio.wait(self._closing.values(), timeout=PATIENCE)

    async def _let_go(self) -> None:
        for where in list(self._open):
            node = self.nodes[where]
            try:
                async with asyncio.timeout(HEALTH):
                    await node.objects.space()
                    await node.indexes.changed(_BEHIND_ALL, 1)
            except TimeoutError:
                continue
            except (DeviceGone, OSError) as error:
                LOG.error("device %s has failed: %s", self._wanted[where].name, error)
                self._note(where)
                self._close(where)

    def _close(self, where: Where) -> None:
        """Beside requests, for a disk may not let go of whoever waits for it. Until then it has the device's lock."""
        self.nodes.pop(where, None)
        task = asyncio.ensure_future(self._open.pop(where).aclose())
        self._closing[where] = task
        task.add_done_callback(lambda ended: self._closed(where, ended))

    def _closed(self, where: Where, ended: asyncio.Task[None]) -> None:
        self._closing.pop(where, None)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            LOG.info("device %s was not closed in order: %s", self._wanted[where].name, error)

    def _note(self, where: Where) -> None:
        now = asyncio.get_running_loop().time()
        known = self._failures.setdefault(where, _Failures())
        known.delay = FIRST if now > known.last + known.delay + WELL else min(2 * known.delay or FIRST, LONGEST)
        known.last = now

    def _due(self, where: Where) -> bool:
        known = self._failures.get(where)
        return known is None or asyncio.get_running_loop().time() >= known.last + known.delay
