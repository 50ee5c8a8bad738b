# SPDX-License-Identifier: Apache-2.0
"""Devices as background jobs ask them: each verb has its time, so that one that hangs holds up others only once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from cumulet.services.object_store.drivers.base import DeviceGone, ObjectDevice
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.drivers.nodes import Node

ANSWER = 30.0  # seconds
LONGER = {"commit": 60.0, "audit": 600.0}  # an audit reads a whole index
REST = 30.0  # seconds, in which a device that did not answer in time is not asked again


class Deadlines:
    """A device that did not answer in time is told of by TimeoutError, then as DeviceGone until `REST` is over."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Node, Node] = WeakKeyDictionary()

    def of(self, node: Node) -> Node:
        """The same device. It is another `Node`: who compares them takes the one that he had."""
        found = self._known.get(node)
        if found is None:
            rest = _Rest()
            found = self._known[node] = Node(
                objects=cast(ObjectDevice, _Timed(node.objects, rest)),
                indexes=cast(IndexDevice, _Timed(node.indexes, rest)),
                local=node.local,
                near=node.near,
            )
        return found


class _Rest:
    def __init__(self) -> None:
        self._until = 0.0

    async def wait(self, verb: str, answer: Awaitable[Any]) -> Any:
        """What a verb that was called answers."""
        limit = asyncio.timeout(LONGER.get(verb, ANSWER))
        try:
            async with limit:
                return await answer
        finally:
            if limit.expired():
                self._until = asyncio.get_running_loop().time() + REST

    def check(self) -> None:
        if self._until > asyncio.get_running_loop().time():
            raise DeviceGone("It did not answer a moment ago.", code="DeviceGone")


class _Timed:
    """A device, or a body on its way to or from it."""

    def __init__(self, thing: Any, rest: _Rest) -> None:
        self._thing = thing
        self._rest = rest

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found):
            return found
        if name == "chunks":
            return lambda *given: self._chunks(found(*given))

        def verb(*given: Any, **more: Any) -> Any:
            if name not in ("close", "abort"):
                self._rest.check()
            answer = found(*given, **more)
            return self._wait(name, answer) if inspect.isawaitable(answer) else answer

        return verb

    async def __aenter__(self) -> Self:
        await self._rest.wait("", self._thing.__aenter__())
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._rest.wait("", self._thing.__aexit__(*ended))

    async def _wait(self, name: str, answer: Awaitable[Any]) -> Any:
        found = await self._rest.wait(name, answer)
        return _Timed(found, self._rest) if name in ("begin", "read") and found is not None else found

    async def _chunks(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            try:
                piece = await self._rest.wait("chunks", anext(pieces))
            except StopAsyncIteration:
                return
            yield piece
