# SPDX-License-Identifier: Apache-2.0
"""Answers of threads, awaited on an event loop that is woken once for many of them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Answers:
    """For the tasks of `loop`: a commit that ends a hundred writes wakes it once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._come: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._guard = threading.Lock()
        self._called = False

    async def of(self, work: Future[T]) -> T:
        """What it returns or raises. It goes on where the task that waits is cancelled."""
        waiting: asyncio.Future[T] = self._loop.create_future()
        work.add_done_callback(lambda done: self._put(waiting, done))
        return await waiting

    def _put(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        with self._guard:
            self._come.append((waiting, done))
            if self._called:
                return
            self._called = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            with self._guard:
                self._come.clear()
                self._called = False

    def _deliver(self) -> None:
        with self._guard:
            come, self._come = self._come, deque()
            self._called = False
        for waiting, done in come:
            if waiting.done():
                continue
            error = done.exception()
            if error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())
