# SPDX-License-Identifier: Apache-2.0
"""The stream to another process that has devices: dialled for ever; while there is none, calls fail at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from cumulet.kernel.errors import NotReady
from cumulet.kernel.link import greeting, ways
from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.outcome import CallTimeout
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.framing import OLDEST, SILENCE, STREAMS, VERSION, Kind, Message, lost
from cumulet.services.object_store.drivers.remote.stream import Stream
from cumulet.services.object_store.drivers.remote.wire import Admits, Hello, Wire

LOG = logging.getLogger(__name__)

DIAL = 5.0  # seconds that a connection, its handshake and the hellos may take
FIRST_PAUSE = 0.1  # seconds before the next attempt
LAST_PAUSE = 5.0

Make = Callable[[], "Session"]


class Way(Protocol):
    """How the process is reached. `name` is what a person calls it."""

    @property
    def name(self) -> str: ...

    async def open(self, make: Make) -> Session:
        """Dial. Raises OSError, in words for a person."""


class Here:
    """The socket of another process of this host."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"unix:{self._path}"

    async def open(self, make: Make) -> Session:
        _, session = await asyncio.get_running_loop().create_unix_connection(make, str(self._path))
        return session


class Beyond:
    """The port of another host, which must prove that it is called `server_name`, and be one that `admits` lets in.

    `context()` is asked at each dial; it shows this host's certificate and knows the cloud's authority.
    """

    def __init__(
        self,
        address: str,
        port: int,
        context: Callable[[], ssl.SSLContext],
        *,
        server_name: str,
        admits: Admits | None = None,
    ) -> None:
        self._admits = admits
        self._address, self._port = address, port
        self._context = context
        self._server_name = server_name

    @property
    def name(self) -> str:
        return ways.address(self._address, self._port)

    async def open(self, make: Make) -> Session:
        context = await asyncio.to_thread(self._context)
        transport, session = await asyncio.get_running_loop().create_connection(
            make, self._address, self._port, ssl=context, server_hostname=self._server_name
        )
        ways.settle(transport.get_extra_info("socket"), SILENCE)
        if self._admits is not None:
            session.guard(self._admits)
        return session


class Session(Wire):
    """A stream that was dialled."""

    def __init__(self, silence: float = SILENCE) -> None:
        super().__init__(silence)
        self.greeted: asyncio.Future[None] = self.loop.create_future()
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.greet({})

    def said(self, hello: Hello) -> None:
        greeting.agree(hello, (OLDEST, VERSION))
        if not self.greeted.done():
            self.greeted.set_result(None)

    def is_known(self, id_: int) -> bool:
        return 0 < id_ <= self._last

    def told(self, stream: Stream, message: Message) -> None:
        if message.kind == Kind.MORE:
            raise FrameError("who is called does not ask")
        if message.kind == Kind.REPLY:
            super().told(stream, message)
            return
        self.forget(stream)
        stream.fail(verbs.error_from_wire(message.head))

    def begin(self) -> Stream:
        """DeviceGone where the stream has ended, or is used for as much as it can take."""
        if len(self.streams) >= STREAMS:
            raise lost("too much is under way with it")
        self._last += 1
        return self.open(self._last)

    async def ask(self, head: bytes, body: bytes = b"") -> Message:
        """One call and its answer. A caller who goes takes it back. Raises the error that was told, DeviceGone."""
        stream = self.begin()
        try:
            await stream.say(Kind.CALL, head, body)
            answer = await stream.reply()
        except BaseException:
            stream.close(reset=True)
            raise
        stream.close()
        return answer


class Connection:
    """To the process at the end of `way`; everything here happens on the running loop. `rest` is the longest time, in
    seconds, between two attempts to dial it."""

    def __init__(self, way: Way, *, silence: float = SILENCE, rest: float = LAST_PAUSE) -> None:
        self._way = way
        self._rest = rest
        self._silence = silence
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._linked = asyncio.Event()
        self._trouble = "it was not dialled yet"
        self._followers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def name(self) -> str:
        return self._way.name

    @property
    def trouble(self) -> str:
        """Why there is no stream; "" where there is one."""
        return "" if self._session is not None else self._trouble

    @property
    def session(self) -> Session:
        """The stream. DeviceGone where there is none."""
        if self._session is None:
            raise lost(self._trouble)
        return self._session

    def start(self) -> None:
        """Dial, and dial again whenever the stream is lost."""
        self._task = asyncio.ensure_future(self._keep())

    async def stop(self) -> None:
        """Cut the stream and dial no more."""
        self._trouble = "the connection was given up"
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def linked(self, timeout: float) -> bool:
        """Whether there is a stream within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._linked.wait()
        return self._session is not None

    def follow(self, follower: Any) -> None:
        """Have `follower.linked(session)` called for each new stream, as long as something else keeps it."""
        self._followers.add(follower)
        if self._session is not None:
            follower.linked(self._session)

    async def call(self, verb: str, body: Any, timeout: float) -> Any:
        """Ask the process itself, plain data for plain data.

        Raises its own kernel error, CallTimeout after so many seconds, DeviceGone where it cannot be reached.
        """
        head = verbs.call(verb, 0, body)
        try:
            async with asyncio.timeout(timeout):
                return self.understood(verbs.read_plain, (await self.session.ask(head)).head)
        except TimeoutError:
            raise CallTimeout(f"{verb} was not answered within {timeout:g} s", code="CallTimeout") from None

    def understood(self, read: Callable[[bytes], Any], head: bytes) -> Any:
        """What an answer says; one that is not understood ends the stream, and is DeviceGone."""
        try:
            return read(head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if self._session is not None:
                self._session.fail(f"an answer is not understood: {error}")
            raise lost(f"an answer is not understood: {error}") from None

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            begun = loop.time()
            try:
                await self._dial()
                if loop.time() - begun > self._rest:  # who cuts streams at once is not dialled without rest
                    pause = FIRST_PAUSE
            except (OSError, TimeoutError, NotReady) as error:
                self._complain(str(error) or type(error).__name__)
            except Exception as error:
                LOG.exception("no stream to %s", self.name)
                self._complain(type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load, hides nothing
            pause = min(2 * pause, self._rest)

    async def _dial(self) -> None:
        """One stream, until it ends. Raises OSError, TimeoutError or DeviceGone where there was none."""
        made = Session(self._silence)
        try:
            async with asyncio.timeout(DIAL):
                await self._way.open(lambda: made)
                await asyncio.wait([made.greeted, made.ended], return_when=asyncio.FIRST_COMPLETED)
            if made.trouble:
                raise lost(made.trouble)
            self._session = made
            self._linked.set()
            LOG.info("the devices of %s are reached", self.name)
            for follower in list(self._followers):
                follower.linked(made)
            await made.ended
            LOG.warning("the devices of %s are lost: %s", self.name, made.trouble)
            self._trouble = made.trouble
        finally:
            self._session = None
            self._linked.clear()
            made.fail("the connection was given up")

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            LOG.info("no stream to %s: %s", self.name, trouble)
        self._trouble = trouble
