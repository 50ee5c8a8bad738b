# SPDX-License-Identifier: Apache-2.0
"""Devices of another process.

What they promise is what that device promises. DeviceGone is told at once where the process, or the device in it, is
not there, and of whatever was under way when the stream to it was lost: that may have been done, or not. A caller who
is cancelled, as by a time limit, ends the work there.

A small body is kept until it is committed and goes with its commit, once there and back. That there is room for it is
taken on trust, for TRUST seconds after the device has shown it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from cumulet.services.object_store.drivers.base import INLINE, Capabilities, DeviceGone, ObjectDevice
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.drivers.nodes import Node, Where
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.bodies import RemoteReading, RemoteUpload
from cumulet.services.object_store.drivers.remote.connection import Connection
from cumulet.services.object_store.drivers.remote.framing import Kind
from cumulet.services.object_store.drivers.remote.seat import Seat
from cumulet.services.object_store.drivers.remote.verbs import INDEXES, OBJECTS, Verb
from cumulet.services.object_store.types.objects import Address, Version

P = ParamSpec("P")
T = TypeVar("T")

TRUST = 1.0  # seconds


def node(connection: Connection, where: Where) -> Node:
    """The device `where` of the process at the other end. It need not be there yet."""
    seat = Seat(connection, where)
    return Node(objects=RemoteDevice(seat), indexes=RemoteIndex(seat), local=False)


class _Half:
    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._closed = False

    async def close(self) -> None:
        """The device itself is closed by its own process."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise DeviceGone("The device is closed.", code="DeviceGone")


def _asked(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], table: Mapping[str, Verb]
) -> Callable[Concatenate[_Half, P], Coroutine[Any, Any, T]]:
    """The verb of a Protocol, asked of the device."""
    verb = table[method.__name__]
    word, struct, names, read = verb.word, verb.words, verb.names, verb.read_answer

    async def ask(self: _Half, /, *values: P.args, **words: P.kwargs) -> T:
        self._check()
        seat = self._seat
        answer = await seat.ask(word, struct(**dict(zip(names, values, strict=False)), **words))
        found: T = seat.connection.understood(read, answer.head)
        return found

    ask.__name__, ask.__doc__ = method.__name__, method.__doc__
    return ask


class RemoteDevice(_Half):
    """`ObjectDevice`."""

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._trusted = 0.0  # until when there is room for small bodies

    @property
    def id(self) -> str:
        return self._seat.name

    @property
    def capabilities(self) -> Capabilities:
        """Not durable, as long as nobody has said otherwise."""
        return Capabilities(durable=self._seat.durable)

    async def begin(
        self, address: Address, size: int | None = None, *, summed: bool = False, cached: bool = True
    ) -> RemoteUpload:
        self._check()
        upload = RemoteUpload(self._seat, verbs.Begin(address, size, summed, cached), self._trust)
        if (size is None or size <= INLINE) and self._trusted > asyncio.get_running_loop().time():
            await self._seat.reached()
        else:
            await upload.begin()
        return upload

    async def read(self, address: Address, stamp: int = 0) -> RemoteReading | None:
        self._check()
        seat = self._seat
        session, number = await seat.reached()
        stream = session.begin()
        try:
            await stream.say(Kind.CALL, verbs.call(verbs.READ, number, verbs.Read(address, stamp)))
            answer = await stream.reply()
        except BaseException as error:
            stream.close(reset=True)
            if isinstance(error, DeviceGone):
                raise seat.told(error) from None
            raise
        version: Version | None = seat.connection.understood(verbs.read_version, answer.head)
        if version is not None and len(answer.body) != version.size:
            return RemoteReading(seat, session, number, stream, version, None)
        stream.close()
        return None if version is None else RemoteReading(seat, session, number, None, version, answer.body)

    def _trust(self, whether: bool) -> None:
        self._trusted = asyncio.get_running_loop().time() + TRUST if whether else 0.0

    post = _asked(ObjectDevice.post, OBJECTS)
    delete = _asked(ObjectDevice.delete, OBJECTS)
    settle = _asked(ObjectDevice.settle, OBJECTS)
    head = _asked(ObjectDevice.head, OBJECTS)
    confirm = _asked(ObjectDevice.confirm, OBJECTS)
    withdraw = _asked(ObjectDevice.withdraw, OBJECTS)
    fragments = _asked(ObjectDevice.fragments, OBJECTS)
    pending = _asked(ObjectDevice.pending, OBJECTS)
    partitions = _asked(ObjectDevice.partitions, OBJECTS)
    digests = _asked(ObjectDevice.digests, OBJECTS)
    entries = _asked(ObjectDevice.entries, OBJECTS)
    remove = _asked(ObjectDevice.remove, OBJECTS)
    quarantine = _asked(ObjectDevice.quarantine, OBJECTS)
    quarantined = _asked(ObjectDevice.quarantined, OBJECTS)
    owed = _asked(ObjectDevice.owed, OBJECTS)
    paid = _asked(ObjectDevice.paid, OBJECTS)
    expired = _asked(ObjectDevice.expired, OBJECTS)
    space = _asked(ObjectDevice.space, OBJECTS)
    reclaim = _asked(ObjectDevice.reclaim, OBJECTS)
    sweep = _asked(ObjectDevice.sweep, OBJECTS)
    audit = _asked(ObjectDevice.audit, OBJECTS)


class RemoteIndex(_Half):
    """`IndexDevice`."""

    @property
    def identity(self) -> str:
        """That of the store of indexes that was last reached; before, one that no store has."""
        return self._seat.identity

    async def reached(self) -> None:
        """Wait until the identity is that of the store that is there. DeviceGone where it cannot be reached."""
        await self._seat.reached()

    put = _asked(IndexDevice.put, INDEXES)
    delete = _asked(IndexDevice.delete, INDEXES)
    set_metadata = _asked(IndexDevice.set_metadata, INDEXES)
    info = _asked(IndexDevice.info, INDEXES)
    merge_state = _asked(IndexDevice.merge_state, INDEXES)
    merge_objects = _asked(IndexDevice.merge_objects, INDEXES)
    merge_containers = _asked(IndexDevice.merge_containers, INDEXES)
    list_objects = _asked(IndexDevice.list_objects, INDEXES)
    list_containers = _asked(IndexDevice.list_containers, INDEXES)
    changed = _asked(IndexDevice.changed, INDEXES)
    object_rows = _asked(IndexDevice.object_rows, INDEXES)
    container_rows = _asked(IndexDevice.container_rows, INDEXES)
    sync_points = _asked(IndexDevice.sync_points, INDEXES)
    set_sync_point = _asked(IndexDevice.set_sync_point, INDEXES)
    drop = _asked(IndexDevice.drop, INDEXES)
    reclaim = _asked(IndexDevice.reclaim, INDEXES)
    owed = _asked(IndexDevice.owed, INDEXES)
    reported = _asked(IndexDevice.reported, INDEXES)
    merge_ranges = _asked(IndexDevice.merge_ranges, INDEXES)
    ranges = _asked(IndexDevice.ranges, INDEXES)
    find_ranges = _asked(IndexDevice.find_ranges, INDEXES)
    set_sharding = _asked(IndexDevice.set_sharding, INDEXES)
    named_rows = _asked(IndexDevice.named_rows, INDEXES)
    remove_rows = _asked(IndexDevice.remove_rows, INDEXES)
    audit = _asked(IndexDevice.audit, INDEXES)
