# SPDX-License-Identifier: Apache-2.0
"""The process's one event loop, for sockets only; everything else runs in threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

LAG_PERIOD = 0.5  # seconds between two measurements of the loop's lag
CLOSE_TIMEOUT = 5.0  # seconds that work on the loop is given to end after its cancellation


class Loop:
    """An event loop on a thread of its own, or wrapped around one that already runs.

    Plain code calls `wait(coroutine)` to block for an answer from a socket; a coroutine gets off the loop by
    `await run(pool, fn)`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._thread: threading.Thread | None = None
        if loop is None:
            loop = uvloop.new_event_loop()
            self._thread = threading.Thread(target=loop.run_forever, name="loop", daemon=True)
        self.asyncio = loop
        self.lag = 0.0
        if self._thread is not None:
            self._thread.start()
        loop.call_soon_threadsafe(self._measure, loop.time())

    def wait(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run `work` on the loop and block the calling thread for its result; never call it on the loop itself.

        Raises TimeoutError after `timeout` seconds, the work being cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.asyncio)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None

    def start(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Run `work` on the loop without waiting for it."""
        return asyncio.run_coroutine_threadsafe(work, self.asyncio)

    async def run(self, pool: concurrent.futures.Executor, fn: Callable[..., T], *args: Any) -> T:
        """Run plain `fn` in `pool` and await its result."""
        return await self.asyncio.run_in_executor(pool, fn, *args)

    def close(self) -> None:
        """Cancel what still runs on a loop that this object started, and end the loop."""
        if self._thread is None or self.asyncio.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self.wait(_cancel_all(), CLOSE_TIMEOUT)
        self.asyncio.call_soon_threadsafe(self.asyncio.stop)
        self._thread.join(CLOSE_TIMEOUT)
        if not self._thread.is_alive():
            # uvloop waits for what it closes, without end where a connection was made just then.
            ending = threading.Thread(target=self.asyncio.close, name="loop-end", daemon=True)
            ending.start()
            ending.join(CLOSE_TIMEOUT)

    def _measure(self, due: float) -> None:
        now = self.asyncio.time()
        self.lag = max(0.0, now - due)
        self.asyncio.call_later(LAG_PERIOD, self._measure, now + LAG_PERIOD)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
