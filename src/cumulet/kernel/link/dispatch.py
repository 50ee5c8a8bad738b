# SPDX-License-Identifier: Apache-2.0
"""How calls that came over a link are carried out: in threads, once per operation, one at a time per thing.

A dispatcher outlives connections: a caller whose link broke asks again with the same operation id and gets the outcome
of the work that is already under way or done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from cumulet.kernel import errors, faults

LOG = logging.getLogger(__name__)

REMEMBERED = 1024  # outcomes kept for operations that are asked for again

Verb = Callable[[dict[str, Any]], Any]


class Dispatcher:
    """Runs the verbs that `find` knows in `pool`; used on the loop only.

    Two calls with the same verb and the same `body["id"]` run one after the other. A call whose operation is under way
    joins it, and one whose operation has succeeded is answered from memory; a failed operation may be tried again.
    Where nobody waits any more, work without an operation that has not begun never begins.
    """

    def __init__(self, find: Callable[[str], Verb | None], pool: Executor) -> None:
        self._find = find
        self._pool = pool
        self._running: dict[tuple[str, str], asyncio.Future[Any]] = {}
        self._done: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._turns: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    async def run(self, verb: str, body: Any, op: str = "") -> Any:
        """The verb's answer, or whatever it raises."""
        fn = self._find(verb)
        if fn is None:
            raise errors.Unsupported(f"there is no verb {verb} here", code="UnknownVerb")
        if not isinstance(body, dict):
            raise errors.Invalid(f"the body of {verb} is not a map")
        if not op:
            return await self._in_turn(fn, verb, body)
        return await self._once(fn, verb, body, op)

    async def _once(self, fn: Verb, verb: str, body: dict[str, Any], op: str) -> Any:
        key = (verb, op)
        if key in self._done:
            return self._done[key]
        work = self._running.get(key)
        if work is None:
            work = asyncio.ensure_future(self._in_turn(fn, verb, body))
            self._running[key] = work
            work.add_done_callback(lambda done: self._remember(key, done))
        # The one who waits may go away; the work and those who joined it stay.
        return await asyncio.shield(work)

    def _remember(self, key: tuple[str, str], work: asyncio.Future[Any]) -> None:
        del self._running[key]
        if work.cancelled() or work.exception() is not None:
            return
        self._done[key] = work.result()
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    async def _in_turn(self, fn: Verb, verb: str, body: dict[str, Any]) -> Any:
        name = body.get("id")
        if not isinstance(name, str):
            return await self._in_pool(fn, verb, body)
        key = (verb, name)
        lock, users = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = (lock, users + 1)
        try:
            async with lock:
                return await self._in_pool(fn, verb, body)
        finally:
            lock, users = self._turns.pop(key)
            if users > 1:
                self._turns[key] = (lock, users - 1)

    async def _in_pool(self, fn: Verb, verb: str, body: dict[str, Any]) -> Any:
        job = self._pool.submit(_guarded, fn, verb, body)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            # What runs already cannot be stopped: its turn lasts until it ends.
            while not job.cancel() and not done.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([done])
            raise


def _guarded(fn: Verb, verb: str, body: dict[str, Any]) -> Any:
    faults.point(f"{verb}:before")
    at_work = faults.verb.set(verb)
    try:
        outcome = fn(body)
    except errors.CumuletError:
        raise
    except Exception:
        LOG.exception("%s failed", verb)
        raise
    finally:
        faults.verb.reset(at_work)
    faults.point(f"{verb}:after")
    return outcome
