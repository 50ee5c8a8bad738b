# SPDX-License-Identifier: Apache-2.0
"""The devices of this process for others: workers of this host by a UNIX socket, other hosts by TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import CumuletError, Unsupported
from cumulet.kernel.link import greeting, ways
from cumulet.kernel.link.frames import FrameError
from cumulet.services.object_store.drivers.base import DeviceGone, Reading, Upload
from cumulet.services.object_store.drivers.nodes import Node, Where
from cumulet.services.object_store.drivers.remote import verbs
from cumulet.services.object_store.drivers.remote.devices import RemoteIndex
from cumulet.services.object_store.drivers.remote.framing import (
    LENGTH,
    OLDEST,
    SILENCE,
    STREAMS,
    VERSION,
    Kind,
    Message,
)
from cumulet.services.object_store.drivers.remote.stream import Stream
from cumulet.services.object_store.drivers.remote.verbs import understood
from cumulet.services.object_store.drivers.remote.wire import Admits, Hello, Wire
from cumulet.services.object_store.types.objects import Kind as Body

LOG = logging.getLogger(__name__)

HANDSHAKE = 10.0  # seconds that a TLS handshake may take
QUEUE = 512  # connections that wait to be accepted

Plain = Callable[[Any], Awaitable[Any]]


class DeviceServer:
    """Serves those of `nodes` that are `local`, among which may be one of another process, to be passed on; the mapping
    may change meanwhile. `verbs` are asked of the
    process itself: plain data (as msgpack has it) to plain data, or a kernel error.

    Made, used and closed on one running event loop.
    """

    def __init__(
        self, nodes: Mapping[Where, Node], verbs: Mapping[str, Plain] | None = None, *, silence: float = SILENCE
    ) -> None:
        self.nodes = nodes
        self.verbs = dict(verbs or {})
        self.silence = silence
        self.sessions: set[Session] = set()
        self._listeners: list[asyncio.Server] = []

    async def listen_here(self, path: Path) -> None:
        """Take callers of this host's own user at `path`; a socket that a crash left behind is replaced."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(str(path))
            path.chmod(0o600)  # nobody gets in before it listens
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(lambda: Session(self), sock=listener, backlog=QUEUE)
        except BaseException:
            listener.close()
            raise
        self._listeners.append(server)

    async def listen_beyond(
        self, address: str, port: int, context: ssl.SSLContext, admits: Admits = lambda holder: True
    ) -> int:
        """Take members of the cloud at `port` (0: any that is free), which is returned. Raises OSError.

        The `context` shows this host's certificate and knows the cloud's authority; who shows none that is good by
        this authority, and that `admits` lets in, is refused, then and as soon as it does not any more.
        """
        context.verify_mode = ssl.CERT_REQUIRED
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=QUEUE)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Session(self, admits), sock=listener, ssl=context, ssl_handshake_timeout=HANDSHAKE
        )
        self._listeners.append(server)
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Take nobody any more, and end what is under way: uploads that were not committed leave nothing."""
        for listener in self._listeners:
            listener.close()
        tasks = [task for session in self.sessions for task in session.tasks.values()]
        for session in list(self.sessions):
            session.fail("the server ends")
        await asyncio.gather(*tasks, return_exceptions=True)


class Session(Wire):
    """A caller. With `admits` it has to show who it is."""

    def __init__(self, server: DeviceServer, admits: Admits | None = None) -> None:
        super().__init__(server.silence)
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._server = server
        self._admits = admits
        self._last = 0  # the last exchange that was begun
        self._coming: set[int] = set()  # those whose call is not whole yet
        self._attached: list[tuple[Where, Node, str]] = []
        self._readings: dict[int, Reading] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.sessions.add(self)
        if self._admits is not None:
            ways.settle(transport.get_extra_info("socket"), self._server.silence)
            self.guard(self._admits)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._server.sessions.discard(self)

    def said(self, hello: Hello) -> None:
        try:
            version = greeting.agree(hello, (OLDEST, VERSION))
        except FrameError as error:
            self.refuse(str(error))
            raise
        self.greet({}, version)

    def is_known(self, id_: int) -> bool:
        return id_ <= self._last

    def is_awaited(self, id_: int) -> bool:
        if id_ > self._last:
            self._last = id_
            self._coming.add(id_)
        return id_ in self._coming or id_ in self.streams

    def called(self, id_: int, message: Message) -> None:
        if id_ in self._coming:
            self._coming.discard(id_)
        elif id_ <= self._last:
            raise FrameError("an exchange is begun twice")
        else:
            self._last = id_
        call = understood(verbs.read_call, message.head)
        stream = self.open(id_)
        if len(self.tasks) >= STREAMS:
            head = verbs.error_to_wire(DeviceGone("Too many calls are under way.", code="DeviceGone"), call.verb)
            self.put(Kind.ERROR, id_, LENGTH.size + len(head), (LENGTH.pack(len(head)), head))
            stream.close()
            return
        task = self.tasks[id_] = self.loop.create_task(self._serve(stream, call, message.body))
        task.add_done_callback(lambda task: self._served(stream, task))

    def told(self, stream: Stream, message: Message) -> None:
        if message.kind != Kind.MORE:
            raise FrameError("who calls does not answer")
        super().told(stream, message)

    def reset(self, id_: int) -> None:
        self._coming.discard(id_)
        if (task := self.tasks.get(id_)) is not None:
            task.cancel()

    def _end(self) -> None:
        super()._end()
        for task in self.tasks.values():
            task.cancel()

    # Below: what is done for a call, in a task of its own.

    def _served(self, stream: Stream, task: asyncio.Task[None]) -> None:
        del self.tasks[stream.id]
        stream.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("a call could not be answered", exc_info=error)
            self.fail("a call could not be answered")  # else its caller would wait for ever

    async def _serve(self, stream: Stream, call: verbs.Call, body: bytes) -> None:
        try:
            await self._carry_out(stream, call, body)
        except FrameError as error:
            LOG.warning("a stream for devices is cut: %s: %s", call.verb, error)
            self.fail(str(error))
        except Exception as error:
            if not isinstance(error, CumuletError):
                LOG.exception("%s failed", call.verb)
            with contextlib.suppress(DeviceGone):
                await stream.say(Kind.ERROR, verbs.error_to_wire(error, call.verb))

    async def _carry_out(self, stream: Stream, call: verbs.Call, body: bytes) -> None:
        verb = verbs.BY_WORD.get(call.verb)
        if verb is not None:
            words = understood(verb.read_words, call.words)
            half = getattr(self._node(call.device), verb.half)
            given = {name: getattr(words, name) for name in words.__struct_fields__}
            await stream.say(Kind.REPLY, verbs.packed(await getattr(half, verb.name)(**given)))
        elif call.verb in _APART:
            await _APART[call.verb](self, stream, call, body)
        elif call.device == 0 and call.verb in self._server.verbs:
            answer = await self._server.verbs[call.verb](understood(verbs.read_plain, call.words))
            await stream.say(Kind.REPLY, verbs.packed(answer))
        else:
            raise Unsupported(f"There is no verb {call.verb} here.", code="UnknownVerb")

    async def _attach(self, stream: Stream, call: verbs.Call, _body: bytes) -> None:
        words = understood(verbs.read_attach, call.words)
        where = words.ip, words.port, words.folder
        node = self._server.nodes.get(where)
        if node is None or not node.local:
            raise DeviceGone(f"Device {words.folder} is not at hand.", code="DeviceGone")
        if isinstance(node.indexes, RemoteIndex):
            await node.indexes.reached()
        identity = node.indexes.identity
        seat = where, node, identity
        if seat not in self._attached:
            self._attached.append(seat)
        told = verbs.Attached(self._attached.index(seat) + 1, identity, node.objects.capabilities.durable)
        await stream.say(Kind.REPLY, verbs.packed(told))

    async def _begin(self, stream: Stream, call: verbs.Call, _body: bytes) -> None:
        words = understood(verbs.read_begin, call.words)
        device = self._node(call.device).objects
        async with await device.begin(words.address, words.size, summed=words.summed, cached=words.cached) as upload:
            await stream.say(Kind.REPLY, b"")
            while True:
                item = await stream.take()
                if not isinstance(item, Message):
                    await upload.write(item)
                    continue
                more = understood(verbs.read_more, item.head)
                if isinstance(more, verbs.Etag):
                    await stream.say(Kind.REPLY, verbs.packed(await upload.etag()))
                    continue
                if await self._commit(stream, upload, more, words.summed):
                    return

    async def _commit(self, stream: Stream, upload: Upload, words: verbs.Commit, summed: bool) -> bool:
        """Whether the upload has come to its end."""
        etag = words.version.etag if summed else await upload.etag()
        if words.version.kind is not Body.DATA or (words.version.size, words.version.etag) != (upload.size, etag):
            await stream.say(Kind.REPLY, verbs.packed(None))
            return False
        outcome = await upload.commit(words.version, words.owed, replica=words.replica, pending=words.pending)
        await stream.say(Kind.REPLY, verbs.packed(outcome))
        return True

    async def _store(self, stream: Stream, call: verbs.Call, body: bytes) -> None:
        words = understood(verbs.read_store, call.words)
        if words.version.size != len(body):
            raise FrameError("the body is of another size")
        device = self._node(call.device).objects
        async with await device.begin(words.address, len(body), summed=True) as upload:
            if body:
                await upload.write(body)
            outcome = await upload.commit(words.version, words.owed, replica=words.replica, pending=words.pending)
        await stream.say(Kind.REPLY, verbs.packed(outcome))

    async def _read(self, stream: Stream, call: verbs.Call, _body: bytes) -> None:
        words = understood(verbs.read_read, call.words)
        reading = await self._node(call.device).objects.read(words.address, words.stamp)
        if reading is None:
            await stream.say(Kind.REPLY, verbs.packed(None))
            return
        async with reading:
            inline = reading.inline
            await stream.say(Kind.REPLY, verbs.packed(reading.version), inline or b"")
            if inline is not None:
                return
            self._readings[stream.id] = reading
            try:
                await stream.take()  # until it is closed
            finally:
                del self._readings[stream.id]

    async def _chunks(self, stream: Stream, call: verbs.Call, _body: bytes) -> None:
        words = understood(verbs.read_chunks, call.words)
        reading = self._readings.get(words.reading)
        if reading is None:
            raise DeviceGone("What was opened is closed.", code="DeviceGone")
        async for piece in reading.chunks(words.start, words.end):
            await stream.send(piece)
        await stream.say(Kind.REPLY, b"")

    def _node(self, number: int) -> Node:
        """The device that was attached as `number`, if it is the same one still."""
        if not 0 < number <= len(self._attached):
            raise FrameError("a device is meant that was never attached")
        where, node, identity = self._attached[number - 1]
        if self._server.nodes.get(where) is not node or node.indexes.identity != identity:
            raise DeviceGone(f"Device {where[2]} is not at hand any more.", code=verbs.DETACHED)
        return node


_APART: Mapping[str, Callable[[Session, Stream, verbs.Call, bytes], Awaitable[None]]] = {
    verbs.ATTACH: Session._attach,
    verbs.BEGIN: Session._begin,
    verbs.STORE: Session._store,
    verbs.READ: Session._read,
    verbs.CHUNKS: Session._chunks,
}
