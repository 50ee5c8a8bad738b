# SPDX-License-Identifier: Apache-2.0
"""One moment that several share: each is ready for it, holds still, and goes on once it is over for all.

Threads and coroutines can be parties alike. Who holds still does so only once all are ready, so that nobody waits long.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from cumulet.kernel.errors import NotReady

READY_TIME = 150.0  # seconds that the slowest may take to be ready
STILL_TIME = 10.0  # seconds that anybody holds still


class Moment:
    """For so many `parties`. Each comes by `ready`, `still` and `begun` in turn, and waits there for all others.

    NotReady for all as soon as one of them has called `fail`, or does not come in time.
    """

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._guard = threading.Lock()
        self._failed = False
        self._waiting: dict[str, list[Future[None]]] = {"ready": [], "still": [], "begun": []}

    def ready(self) -> None:
        """All is prepared: nothing but the moment is missing."""
        self._wait("ready", READY_TIME)

    def still(self) -> None:
        """From now on nothing changes here."""
        self._wait("still", STILL_TIME)

    def begun(self) -> None:
        """What had to be done at that moment is done."""
        self._wait("begun", STILL_TIME)

    async def async_ready(self) -> None:
        await self._await("ready", READY_TIME)

    async def async_still(self) -> None:
        await self._await("still", STILL_TIME)

    async def async_begun(self) -> None:
        await self._await("begun", STILL_TIME)

    def fail(self) -> None:
        """One of the parties cannot come: nobody waits any longer."""
        with self._guard:
            self._failed = True
            missed = [one for waiting in self._waiting.values() for one in waiting if not one.done()]
        for one in missed:
            one.set_exception(_missed())

    def _wait(self, gate: str, timeout: float) -> None:
        try:
            self._come(gate).result(timeout)
        except TimeoutError:
            self.fail()
            raise _missed() from None

    async def _await(self, gate: str, timeout: float) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._come(gate))), timeout)
        except TimeoutError:
            self.fail()
            raise _missed() from None

    def _come(self, gate: str) -> Future[None]:
        mine: Future[None] = Future()
        with self._guard:
            if self._failed:
                raise _missed()
            waiting = self._waiting[gate]
            waiting.append(mine)
            all_here = list(waiting) if len(waiting) == self._parties else []
        for one in all_here:
            one.set_result(None)
        return mine


def _missed() -> NotReady:
    return NotReady("Not all could hold still at the same moment.")
