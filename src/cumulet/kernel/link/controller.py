# SPDX-License-Identifier: Apache-2.0
"""The control plane's end of the links: which hosts are there, and how to ask them."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import clock, errors
from cumulet.kernel.link import frames
from cumulet.kernel.link.dispatch import Dispatcher, Verb
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.loop import Loop

LOG = logging.getLogger(__name__)

SOCKET_NAME = "link.sock"
REPORT = "link.report"  # the verb by which a host tells the whole truth about itself, before anything else
NOT_CONNECTED = "HostNotConnected"
HANDLERS = 32  # threads for events and for the hosts' own calls
READ_LIMIT = 1024 * 1024

Body = dict[str, Any]


class HostInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is joined. `connected_at` is in seconds since the epoch; `generation` rises with each new link."""

    name: str
    capabilities: dict[str, Any]
    version: str
    connected_at: float
    generation: int


class _Lane:
    """What happened to one host, handled in threads in the order in which it happened."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._queue: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._run())

    def put(self, work: Callable[[], None]) -> None:
        self._queue.put_nowait(work)

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            work = await self._queue.get()
            try:
                await asyncio.get_running_loop().run_in_executor(self._pool, work)
            except Exception:
                LOG.exception("a handler of news from a host failed")


class _Connection:
    """One link of one host, from its hello to its end."""

    def __init__(self, info: HostInfo, peer: Peer) -> None:
        self.info = info
        self.peer = peer


class Hosts:
    """The hosts joined over a UNIX socket at `path` (see `kernel.cloud.Hosts` for what each method promises).

    A new link of a host replaces the old one, of which nothing is heard any more. News of one host (joined, event,
    gone) are handled in order, so a handler must not wait for a later one. `start` and `stop` are called off the loop.
    """

    def __init__(self, loop: Loop, path: Path) -> None:
        self._loop = loop
        self._path = path
        self._pool = ThreadPoolExecutor(HANDLERS, thread_name_prefix="hosts")
        self._server: asyncio.Server | None = None
        self._generations: dict[str, int] = {}
        self._current: dict[str, _Connection] = {}
        self._ready: dict[str, _Connection] = {}
        self._lanes: dict[str, _Lane] = {}
        self._offers: dict[str, Callable[[str, Body], Any]] = {}
        self._events: dict[str, list[Callable[[str, Body], None]]] = {}
        self._joined: list[Callable[[HostInfo, Body], None]] = []
        self._gone: list[Callable[[HostInfo], None]] = []
        self._changed = threading.Condition()

    def start(self) -> None:
        """Take links from now on. Raises OSError where the socket cannot be made."""
        self._loop.wait(self.listen())

    def stop(self) -> None:
        """Cut all links and take no more."""
        self._loop.wait(self.close())

    async def listen(self) -> None:
        """`start`, for those who are on the loop."""
        self._server = await asyncio.start_unix_server(self._accept, sock=bind(self._path), limit=READ_LIMIT)

    async def close(self) -> None:
        """`stop`, for those who are on the loop."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for connection in list(self._current.values()):
            connection.peer.close()
        for lane in self._lanes.values():
            lane.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def call(self, host: str, verb: str, body: Body, *, timeout: float = 60.0, op: str = "") -> Any:
        """Ask a host and block for its answer.

        `op` names an operation that the host must do once, however often it is asked for. Raises the host's own kernel
        error; NotReady when the host is not there or the link breaks meanwhile; CallTimeout (a NotReady) after
        `timeout` seconds; RemoteFailure when the host met a bug.
        """
        _off_the_loop()
        connection = self._ready.get(host)
        if connection is None:
            raise errors.NotReady(f"Host {host} is not connected.", code=NOT_CONNECTED)
        return self._loop.wait(connection.peer.call(verb, body, timeout=timeout, op=op))

    def connected(self) -> list[HostInfo]:
        """The hosts that are there now, by name."""
        return [connection.info for _, connection in sorted(self._ready.items())]

    def wait_for(self, host: str, timeout: float) -> bool:
        """Block until `host` is there; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: host in self._ready, timeout)

    def on_connect(self, fn: Callable[[HostInfo, Body], None]) -> None:
        """Call `fn(host, report)` in a thread whenever a host has joined."""
        self._joined.append(fn)

    def on_disconnect(self, fn: Callable[[HostInfo], None]) -> None:
        """Call `fn(host)` in a thread whenever a host's link has broken and no new one has replaced it."""
        self._gone.append(fn)

    def on_event(self, name: str, fn: Callable[[str, Body], None]) -> None:
        """Call `fn(host name, body)` in a thread for each such event."""
        self._events.setdefault(name, []).append(fn)

    def offer(self, verb: str, fn: Callable[[str, Body], Any]) -> None:
        """Answer the hosts' calls of `verb` with `fn(host name, body)`."""
        if verb in self._offers or verb == REPORT:
            raise ValueError(f"{verb} is offered twice")
        self._offers[verb] = fn

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: _Connection | None = None

        async def serve(verb: str, body: Any, op: str) -> Any:
            return await self._serve(connection, dispatcher, verb, body, op)

        def news(name: str, body: Any) -> None:
            self._news(connection, name, body)

        peer = Peer(reader, writer, serve, news)
        try:
            hello = await peer.hear_hello()
            info = self._introduce(hello)
            dispatcher = Dispatcher(partial(self._find, info.name), self._pool)
            connection = _Connection(info, peer)
            self._replace(connection)
            await peer.answer_hello({"generation": info.generation})
            await peer.run()
        except (frames.FrameError, errors.CumuletError) as error:
            LOG.warning("a link was refused: %s", error)
            await peer.refuse(str(error))
        finally:
            if connection is not None:
                self._leave(connection)

    def _introduce(self, hello: Body) -> HostInfo:
        name, capabilities, version = hello.get("host"), hello.get("capabilities", {}), hello.get("version", "")
        if not (isinstance(name, str) and name and isinstance(capabilities, dict) and isinstance(version, str)):
            raise errors.Invalid("the hello names no host")
        generation = self._generations[name] = self._generations.get(name, 0) + 1
        return HostInfo(
            name=name,
            capabilities=capabilities,
            version=version,
            connected_at=clock.now(),
            generation=generation,
        )

    def _replace(self, connection: _Connection) -> None:
        name = connection.info.name
        old = self._current.get(name)
        self._current[name] = connection
        self._ready.pop(name, None)
        if old is not None:
            LOG.info("host %s has dialled again; its older link is cut", name)
            old.peer.close()
        if name not in self._lanes:
            self._lanes[name] = _Lane(self._pool)

    def _find(self, host: str, verb: str) -> Verb | None:
        fn = self._offers.get(verb)
        return None if fn is None else partial(fn, host)

    async def _serve(
        self, connection: _Connection | None, dispatcher: Dispatcher, verb: str, body: Any, op: str
    ) -> Any:
        if connection is None or not self._is_current(connection):
            raise errors.NotReady("a newer link of this host has taken over", code=NOT_CONNECTED)
        if verb == REPORT:
            self._welcome(connection, body if isinstance(body, dict) else {})
            return {}
        if connection.info.name not in self._ready:
            raise errors.NotReady(f"{REPORT} must come first", code=NOT_CONNECTED)
        return await dispatcher.run(verb, body, op)

    def _welcome(self, connection: _Connection, report: Body) -> None:
        info = connection.info
        LOG.info("host %s has joined (link %d)", info.name, info.generation)
        self._ready[info.name] = connection
        self._tell_waiters()
        for joined in self._joined:
            self._lanes[info.name].put(partial(self._if_current, connection, partial(joined, info, report)))

    def _news(self, connection: _Connection | None, name: str, body: Any) -> None:
        if connection is None or not self._is_current(connection):
            return
        for fn in self._events.get(name, ()):
            handle = partial(fn, connection.info.name, body)
            self._lanes[connection.info.name].put(partial(self._if_current, connection, handle))

    def _leave(self, connection: _Connection) -> None:
        if not self._is_current(connection):
            return
        name = connection.info.name
        del self._current[name]
        if self._ready.pop(name, None) is None:
            return
        LOG.warning("host %s is gone (link %d)", name, connection.info.generation)
        self._tell_waiters()
        for gone in self._gone:
            self._lanes[name].put(partial(gone, connection.info))

    def _is_current(self, connection: _Connection) -> bool:
        return self._current.get(connection.info.name) is connection

    def _if_current(self, connection: _Connection, work: Callable[[], None]) -> None:
        if self._generations[connection.info.name] == connection.info.generation:
            work()

    def _tell_waiters(self) -> None:
        with self._changed:
            self._changed.notify_all()


def bind(path: Path) -> socket.socket:
    """A listening-to-be UNIX socket that only its owner can reach, in the place of whatever was left there."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(draft))
        draft.chmod(0o600)
        draft.rename(path)
    except OSError as error:
        listener.close()
        raise OSError(f"no socket can be made at {path} (at most 100 bytes long): {error}") from error
    return listener


def _off_the_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a host may not be called from the event loop: it would wait for itself")
