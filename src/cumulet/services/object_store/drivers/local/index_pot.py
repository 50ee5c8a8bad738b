# SPDX-License-Identifier: Apache-2.0
"""Rows of objects that wait for the next commit: a container's are merged at once, and all callers told at once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.object_store.drivers import index_rules as rules
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.local.index_rows import put_objects, set_point
from cumulet.services.object_store.drivers.local.index_sheets import Numbers, load
from cumulet.services.object_store.drivers.local.ledger import Ledger
from cumulet.services.object_store.types.indexes import Key, ObjectRow, Peer

PORTION = 4000  # rows in one piece of work


class _Merge(NamedTuple):
    key: Key
    rows: Sequence[ObjectRow]
    source: Peer | None
    point: int
    done: asyncio.Future[int]


class Pot:
    """`fault` makes the error that callers are told of one that the file raised."""

    def __init__(self, ledger: Ledger, numbers: Numbers, fault: Callable[[BaseException], BaseException]) -> None:
        self._ledger = ledger
        self._numbers = numbers
        self._fault = fault
        self._waiting: deque[_Merge] = deque()
        self._guard = threading.Lock()
        self._queued = False

    async def merge(self, key: Key, rows: Sequence[ObjectRow], source: Peer | None, point: int) -> int:
        """How many were news; NotFound where there is no such index."""
        merge = _Merge(key, rows, source, point, asyncio.get_running_loop().create_future())
        with self._guard:
            self._waiting.append(merge)
            queued, self._queued = self._queued, True
        if not queued:
            self._submit()
        return await merge.done

    def _submit(self) -> None:
        taken: list[_Merge] = []
        try:
            self._ledger.submit(lambda connection: self._work(connection, taken)).add_done_callback(
                lambda future: self._done(taken, future)
            )
        except RuntimeError:  # it is closed
            with self._guard:
                taken += self._waiting
                self._waiting.clear()
                self._queued = False
            _tell([(merge, DeviceGone("The device is closed.", code="DeviceGone")) for merge in taken])

    def _work(self, connection: sqlite3.Connection, taken: list[_Merge]) -> dict[int, int | CumuletError]:
        """News by the place in `taken`; what is not there found no index."""
        with self._guard:
            size = 0
            while self._waiting and size < PORTION:
                taken.append(self._waiting.popleft())
                size += len(taken[-1].rows)
            self._queued = more = bool(self._waiting)
        if more:
            self._submit()
        places: dict[Key, list[int]] = {}
        for place, merge in enumerate(taken):
            places.setdefault(merge.key, []).append(place)
        news: dict[int, int | CumuletError] = {}
        for key, some in places.items():
            sheet = load(connection, key, metadata=False)
            if sheet is None:
                continue
            if sheet.info.fenced:
                news.update(dict.fromkeys(some, rules.moved()))
                continue
            counts = put_objects(connection, self._numbers, sheet, [taken[place].rows for place in some])
            news.update(zip(some, counts, strict=True))
            for place in some:
                source = taken[place].source
                if source is not None:
                    set_point(connection, sheet.number, source, taken[place].point)
        return news

    def _done(self, taken: list[_Merge], future: Future[dict[int, int | CumuletError]]) -> None:
        error = future.exception()
        if error is not None:
            _tell([(merge, self._fault(error)) for merge in taken])
            return
        news = future.result()
        missing = NotFound("There is no such index.")
        _tell([(merge, news.get(place, missing)) for place, merge in enumerate(taken)])


def _tell(answers: Sequence[tuple[_Merge, int | BaseException]]) -> None:
    """Callers in their own loops, of which this thread has none."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int | BaseException]]] = {}
    for merge, answer in answers:
        loops.setdefault(merge.done.get_loop(), []).append((merge.done, answer))
    for loop, told in loops.items():
        with contextlib.suppress(RuntimeError):  # that loop has ended
            loop.call_soon_threadsafe(_settle, told)


def _settle(told: Sequence[tuple[asyncio.Future[int], int | BaseException]]) -> None:
    for done, answer in told:
        if done.done():
            continue
        if isinstance(answer, BaseException):
            done.set_exception(answer)
        else:
            done.set_result(answer)
