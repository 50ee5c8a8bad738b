# SPDX-License-Identifier: Apache-2.0
"""One verb at several devices at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.behind import Behind
from cumulet.services.object_store.engine.limits import within
from cumulet.services.object_store.engine.places import Node

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Verb = Callable[[Node], Awaitable[T]]

TROUBLE = (DeviceGone, DeviceFull, TimeoutError)
"""What a device answers that cannot do what it is asked for, whatever that is."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: for the answer of a device, for the flush of a body, for stragglers behind a quorum, for a listing to
    learn of an object; and how long a device that did not answer in time is asked only where there is no other."""

    answer: float = 10.0
    commit: float = 60.0
    stragglers: float = 0.5
    listing: float = 2.0
    rest: float = 10.0


class Answer(NamedTuple, Generic[T]):
    """What the device `node` returned, or the error that it told; of one that cannot answer, its trouble."""

    node: Node | None
    value: T | None
    error: Exception | None

    @property
    def trouble(self) -> bool:
        return isinstance(self.error, TROUBLE)


class Asker:
    """What is not waited for any more goes on, and is ended by `close`.

    `troubles` counts how often a device did not do what others may have done; `behind` knows which ones.
    """

    def __init__(self, patience: Patience, behind: Behind) -> None:
        self.patience = patience
        self.behind = behind
        self.troubles = 0
        self._late: set[asyncio.Task[Any]] = set()
        self._stragglers: dict[Node, int] = {}
        self._resting: dict[Node, float] = {}

    def missed(self, node: Node) -> None:
        """It did not do what others have done."""
        self.troubles += 1
        self.behind.note(node)

    def avoids(self, node: Node) -> int:
        """How much others should be asked before it: 2 where it did not answer in time a moment ago, 1 where it may
        lack something: for now, or until it has been compared with others."""
        return 2 * self.rests(node) + (node in self._stragglers or node in self.behind)

    def rests(self, node: Node) -> bool:
        """Whether it did not answer in time a moment ago."""
        until = self._resting.get(node)
        if until is None:
            return False
        if until > asyncio.get_running_loop().time():
            return True
        del self._resting[node]
        return False

    async def each(
        self,
        nodes: Sequence[Node | None],
        verb: Verb[T],
        *,
        spares: Iterator[Node] | None = None,
        enough: int = 0,
        limit: float = 0.0,
    ) -> list[Answer[T]]:
        """Ask every one of `nodes`, a spare in place of one in trouble; answers in the order of nodes.

        When `enough` (0: all) have answered, others are waited for only a little. Who has not answered within `limit`
        (0: as usual) is in trouble. Errors that are no answer of a device are raised.
        """
        return await self.every([(node, verb) for node in nodes], spares=spares, enough=enough, limit=limit)

    async def every(
        self,
        asked: Sequence[tuple[Node | None, Verb[T]]],
        *,
        spares: Iterator[Node] | None = None,
        enough: int = 0,
        limit: float = 0.0,
    ) -> list[Answer[T]]:
        """As `each`, of every node something of its own, for which a spare takes its place."""
        limit = limit or self.patience.answer
        spares = spares or iter(())
        if len(asked) < 2:
            return [await self._one(node, verb, spares, limit) for node, verb in asked]
        tasks = [asyncio.ensure_future(self._one(node, verb, spares, limit)) for node, verb in asked]
        try:
            await self._wait(tasks, enough or len(tasks))
        finally:
            for (node, _), task in zip(asked, tasks, strict=True):
                if not task.done():
                    self._straggles(node, task)
        late = Answer[T](None, None, TimeoutError())
        return [task.result() if task.done() else late for task in tasks]

    async def one(self, node: Node | None, verb: Verb[T], spares: Iterator[Node] | None = None) -> Answer[T]:
        """As `each`, of one device."""
        return await self._one(node, verb, spares or iter(()), self.patience.answer)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do it beside requests."""
        task = asyncio.ensure_future(work)
        self._let_go(task)
        return task

    async def close(self) -> None:
        """What goes on is given the time of a straggler."""
        if self._late:
            await asyncio.wait(set(self._late), timeout=self.patience.stragglers)
        left = list(self._late)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _one(self, node: Node | None, verb: Verb[T], spares: Iterator[Node], limit: float) -> Answer[T]:
        trouble: Exception = DeviceGone("The device is not there.", code="DeviceGone")
        while True:
            spare = None
            if node is not None and self._resting and self.rests(node):
                spare = next(spares, None)
                if spare is not None:
                    self.behind.note(node)
            if node is not None and spare is None:
                try:
                    return Answer(node, await within(limit, verb(node)), None)
                except TROUBLE as error:
                    trouble = error
                    self.behind.note(node)
                    if isinstance(error, TimeoutError):
                        self._resting[node] = asyncio.get_running_loop().time() + self.patience.rest
                except CumuletError as error:
                    return Answer(node, None, error)
            self.troubles += 1
            spare = spare or next(spares, None)
            if spare is None:
                return Answer(node, None, trouble)
            node = spare

    async def _wait(self, tasks: Sequence[asyncio.Task[Answer[T]]], enough: int) -> None:
        """Woken once: `asyncio.wait` for each answer costs more than what a device does."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        timer: asyncio.TimerHandle | None = None
        left, answered = len(tasks), 0

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        def ended(task: asyncio.Task[Answer[T]]) -> None:
            nonlocal left, answered, timer
            left -= 1
            answered += not task.cancelled() and task.exception() is None and not task.result().trouble
            if not left:
                wake()
            elif answered >= enough and timer is None:
                timer = loop.call_later(self.patience.stragglers, wake)

        for task in tasks:
            task.add_done_callback(ended)
        try:
            await woken
        finally:
            if timer is not None:
                timer.cancel()

    def _straggles(self, node: Node | None, task: asyncio.Task[Any]) -> None:
        """Until `task` has ended `node` may lack what others have done, and beyond where it then refuses that."""
        self._let_go(task)
        if node is None:
            return
        self._stragglers[node] = self._stragglers.get(node, 0) + 1

        def ended(task: asyncio.Task[Any]) -> None:
            self._stragglers[node] -= 1
            if not self._stragglers[node]:
                del self._stragglers[node]
            if not task.cancelled() and task.exception() is None and task.result().error is not None:
                self.missed(node)

        task.add_done_callback(ended)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._late.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.error("what was done beside a request failed", exc_info=task.exception())


def settled(answers: Sequence[Answer[T]], quorum: int) -> list[Answer[T]]:
    """The answers that say that it is done, a quorum of them.

    Else the error that most of the others tell is raised, Unavailable where all that answered are too few.
    """
    done = [each for each in answers if each.error is None]
    if len(done) >= quorum:
        return done
    told = [each.error for each in answers if each.error is not None and not each.trouble]
    if len(done) + len(told) < quorum or not told:
        raise Unavailable("Too few devices answered.")
    kinds = [(type(error), getattr(error, "code", "")) for error in told]
    raise told[kinds.index(max(kinds, key=kinds.count))]
