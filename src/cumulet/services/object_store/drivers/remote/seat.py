# SPDX-License-Identifier: Apache-2.0
"""What both halves of a device of another process share: its number on the stream, and what holds there."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.nodes import Where
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.connection import Connection, Session
from cumulet.services.object_store.drivers.remote.framing import Message


class Seat:
    """The device `where` at the other end of `connection`.

    Before it was first reached its identity is one that no store of indexes has: what is remembered under it means
    nothing to anybody. Later it is what was last heard. A verb is carried out by the very device that was heard of, or
    is DeviceGone.
    """

    def __init__(self, connection: Connection, where: Where) -> None:
        self.connection = connection
        self.name = where[2]
        self.identity = f"not-reached-{uuid.uuid4().hex}"
        self.durable = False
        self._where = verbs.Attach(*where)
        self._session: Session | None = None
        self._number = 0  # of the device on that stream, 0 where it is not attached
        self._attaching: asyncio.Task[None] | None = None
        connection.follow(self)

    def linked(self, session: Session) -> None:
        """There is a new stream: learn what the device is there."""
        self._session, self._number = session, 0
        self._attaching = asyncio.ensure_future(self._attach(session))
        self._attaching.add_done_callback(_seen)

    async def reached(self) -> tuple[Session, int]:
        """The stream, and the device's number on it. DeviceGone where either is not there."""
        while True:
            session = self.connection.session
            if session is self._session and self._number:
                return session, self._number
            if session is not self._session or self._attaching is None or self._attaching.done():
                self.linked(session)
            assert self._attaching is not None
            await asyncio.shield(self._attaching)

    async def ask(self, word: str, words: Any, body: bytes = b"") -> Message:
        """The answer of the device. Raises what it raises."""
        session, number = await self.reached()
        try:
            return await session.ask(verbs.call(word, number, words), body)
        except DeviceGone as error:
            raise self.told(error) from None

    def told(self, error: Exception) -> Exception:
        """The error that callers get; where another device has taken the place of this one, that is attached next."""
        if isinstance(error, DeviceGone) and error.code == verbs.DETACHED:
            self._number = 0
            return DeviceGone(error.message, code="DeviceGone")
        return error

    async def _attach(self, session: Session) -> None:
        answer = await session.ask(verbs.call(verbs.ATTACH, 0, self._where))
        attached = self.connection.understood(verbs.read_attached, answer.head)
        if session is self._session:
            self.identity, self.durable, self._number = attached.identity, attached.durable, attached.device


def _seen(task: asyncio.Task[None]) -> None:
    """Its error is told to those who wait for it, if there are any."""
    if not task.cancelled():
        task.exception()
