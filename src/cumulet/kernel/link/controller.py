# SPDX-License-Identifier: Apache-2.0
"""The control plane's end of the links: which hosts are there, whoever holds their link, and how to ask them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cumulet.kernel import clock, errors
from cumulet.kernel.link import frames, greeting, names
from cumulet.kernel.link.connection import Connection, HostInfo, Lane, introduce
from cumulet.kernel.link.desk import Desk
from cumulet.kernel.link.dispatch import Dispatcher, Verb
from cumulet.kernel.link.doors import Caller, UnixDoor
from cumulet.kernel.link.names import ASKS, BADGE, NOT_CONNECTED, RELAY, RENEW, REPORT
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.registry import Registry, View
from cumulet.kernel.link.relay import ROOM, Relays
from cumulet.kernel.link.rows import HostRow, Replica
from cumulet.kernel.loop import Loop

if TYPE_CHECKING:
    from cumulet.kernel.link.admission import Admission
    from cumulet.kernel.link.tls_door import TlsDoor

LOG = logging.getLogger(__name__)

__all__ = ["HostInfo", "Hosts"]

T = TypeVar("T")

HANDLERS = 32  # threads for events and for the hosts' own calls
CLERKS = 16  # threads that wait for the registry
LOOK = 1.0  # seconds between two looks at what other replicas and the operator have changed
ORPHANED = 5.0  # seconds that a host whose replica is gone is given to dial another one
PARTING = 10.0  # seconds that a new link waits for another replica to tell of the last one's end

Body = dict[str, Any]


class Hosts:
    """The hosts of the cloud (see `kernel.cloud.Hosts` for what each method promises).

    This replica takes links by a UNIX socket at `path` and, with `door`, over TLS. A new link of a host replaces the
    old one on any replica, of which nothing is heard any more. News of one host (joined, event, gone) are handled in
    order, so a handler must not wait for a later one. `start` and `stop` are called off the loop.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        registry: Registry,
        *,
        door: TlsDoor | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._loop = loop
        self._registry = registry
        self._unix = UnixDoor(path)
        self._door = door
        self._admission = admission
        self._relays = Relays(registry.replica, door.way if door is not None else None)
        self._pool = ThreadPoolExecutor(HANDLERS, thread_name_prefix="hosts")
        self._clerks = ThreadPoolExecutor(CLERKS, thread_name_prefix="registry")
        self._desk = Desk(registry.replica)
        if admission is not None:
            self._desk.answer(BADGE, admission.badge, afar=True)
        self._latest: dict[str, int] = {}
        self._current: dict[str, Connection] = {}
        self._ready: dict[str, Connection] = {}
        self._elsewhere: dict[str, HostInfo] = {}
        self._orphans: dict[tuple[str, int], float] = {}
        self._lanes: dict[str, Lane] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._offers: dict[str, Callable[[str, Body], Any]] = {}
        self._events: dict[str, list[Callable[[str, Body], None]]] = {}
        self._joined: list[Callable[[HostInfo, Body], None]] = []
        self._gone: list[Callable[[HostInfo], None]] = []
        self._replica_gone: list[Callable[[list[str]], None]] = []
        self._version = 0
        self._listed: tuple[int, list[HostInfo]] = (0, [])
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="link-watch", daemon=True)

    def start(self) -> None:
        """Take links from now on. Raises OSError where the socket or the port cannot be had, NoMasterKey."""
        self._loop.wait(self._open())
        self._registry.sign_on(self._door.address if self._door is not None else self._unix.address)
        self._watcher.start()

    def stop(self) -> None:
        """Cut all links and take no more; the hosts dial another replica."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._loop.wait(self._close())
        if self._watcher.ident is not None:  # it was started: this replica has signed on
            self._watcher.join(10)
            self._sign_off()
        self._desk.end()
        self._clerks.shutdown(wait=True, cancel_futures=True)  # short work on the database, which is closed next
        self._pool.shutdown(wait=False, cancel_futures=True)

    def call(self, host: str, verb: str, body: Body, *, timeout: float = 60.0, op: str = "") -> Any:
        """Ask a host and block for its answer, over another replica where that one holds the link.

        `op` names an operation that the host must do once, however often it is asked for. Raises the host's own kernel
        error; NotReady when the host is not there or the link breaks meanwhile; CallTimeout (a NotReady) after
        `timeout` seconds; RemoteFailure when the host met a bug.
        """
        _off_the_loop()
        connection = self._ready.get(host)
        if connection is not None:
            return self._loop.wait(connection.peer.call(verb, body, timeout=timeout, op=op))
        holder = self._registry.replica_of(host)
        if holder is None or holder.name == self._registry.replica:
            raise _absent(host)
        return self._loop.wait(self._relays.call(holder, host, verb, body, timeout=timeout, op=op))

    def connected(self) -> list[HostInfo]:
        """The hosts that are there now, by name, whichever replica holds their link."""
        version, listed = self._listed
        if version != self._version:
            version = self._version
            here = {name: connection.info for name, connection in list(self._ready.items())}
            listed = [info for _, info in sorted({**self._elsewhere, **here}.items())]
            self._listed = (version, listed)
        return list(listed)

    def known(self) -> list[str]:
        """The names of all hosts, also of those whose latest link this replica has not seen yet."""
        return self._registry.names()

    def is_connected(self, host: str) -> bool:
        """Whether the host is there now, whichever replica holds its link."""
        return host in self._ready or host in self._elsewhere

    def replicas(self) -> list[Replica]:
        """The replicas of the control plane, this one among them."""
        return self._registry.replicas()

    def wait_for(self, host: str, timeout: float) -> bool:
        """Block until `host` is there; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_connected(host), timeout)

    def on_connect(self, fn: Callable[[HostInfo, Body], None]) -> None:
        """Call `fn(host, report)` in a thread whenever a host has joined here."""
        self._joined.append(fn)

    def on_disconnect(self, fn: Callable[[HostInfo], None]) -> None:
        """Call `fn(host)` in a thread of one replica whenever a host's link has broken and none has replaced it."""
        self._gone.append(fn)

    def on_replica_gone(self, fn: Callable[[list[str]], None]) -> None:
        """Call `fn(names of the hosts held here)` in a thread when another replica has ended or begun anew."""
        self._replica_gone.append(fn)

    def on_event(self, name: str, fn: Callable[[str, Body], None]) -> None:
        """Call `fn(host name, body)` in a thread for each such event."""
        self._events.setdefault(name, []).append(fn)

    def offer(self, verb: str, fn: Callable[[str, Body], Any]) -> None:
        """Answer the hosts' calls of `verb` with `fn(host name, body)`."""
        if verb in self._offers or verb in (REPORT, RENEW):
            raise ValueError(f"{verb} is offered twice")
        self._offers[verb] = fn

    def answer(self, verb: str, fn: Callable[[str, Body], Any], *, afar: bool = False) -> None:
        """Answer the calls of `verb` by processes that only ask with `fn(who asks, body)`."""
        self._desk.answer(verb, fn, afar=afar)

    def _sign_off(self) -> None:
        try:
            self._registry.sign_off()
        except errors.NotReady as error:
            LOG.warning("the other replicas will find out themselves that this one has left: %s", error)

    async def _open(self) -> None:
        await self._unix.open(self._take)
        if self._door is not None:
            await self._door.open(self._take)

    async def _close(self) -> None:
        self._unix.close()
        if self._door is not None:
            self._door.close()
        for connection in list(self._current.values()):
            connection.peer.close()
        self._relays.close()
        self._desk.close()
        for lane in self._lanes.values():
            lane.stop()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
        """One stream from its first byte to its end."""
        try:
            hello, version = await greeting.hear(reader)
            if caller.role == "stranger":
                await self._admit(writer, hello, version)
            elif "probe" in hello:
                await greeting.say(writer, await self._probed(caller), version)
            elif ASKS in hello:
                row = await self._ask(self._registry.admit, caller) if caller.role == "host" else None
                await self._desk.serve(reader, writer, caller, hello, version, row)
            elif caller.role == "replica" or (caller.role == "local" and "replica" in hello):
                await self._serve_replica(reader, writer, caller, hello, version)
            else:
                await self._serve_host(reader, writer, caller, hello, version)
        except (frames.FrameError, errors.CumuletError) as error:
            LOG.warning("a link from %s was refused: %s", caller.where, error)
            await greeting.refuse(writer, str(error))
        except OSError as error:
            LOG.info("a link from %s broke: %s", caller.where, error)
        except Exception:
            LOG.exception("a link from %s failed", caller.where)
            await greeting.refuse(writer, "the control plane has met a trouble of its own")
        finally:
            await greeting.part(writer)

    async def _admit(self, writer: asyncio.StreamWriter, hello: Body, version: int) -> None:
        wish = hello.get("join")
        if self._admission is None or not isinstance(wish, dict):
            raise errors.Forbidden("without a certificate one can only ask to join")
        answer = await self._ask(self._admission.admit, wish)
        await greeting.say(writer, {**answer, "time": clock.now()}, version)

    async def _probed(self, caller: Caller) -> Body:
        """What somebody who only tries the link is told."""
        row = await self._ask(self._registry.find, caller.name)
        return {
            "replica": self._registry.replica,
            "time": clock.now(),
            "revoked": caller.role == "host" and (row is None or row.revoked),
        }

    async def _serve_replica(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller, hello: Body, version: int
    ) -> None:
        await greeting.say(writer, {"replica": self._registry.replica, "silence": caller.silence}, version)
        theirs = hello.get("silence")
        await Peer(reader, writer, self._relay, _ignore, silence=caller.silence, theirs=theirs, limit=ROOM).run()

    async def _relay(self, verb: str, body: Any, _op: str) -> Any:
        if verb != RELAY or not isinstance(body, dict):
            raise errors.Unsupported(f"there is no verb {verb} here", code="UnknownVerb")
        host = str(body.get("host"))
        connection = self._ready.get(host)
        if connection is None:
            raise _absent(host)
        timeout, op = float(body.get("timeout", 60.0)), str(body.get("op", ""))
        return await connection.peer.call(str(body.get("verb")), body.get("body", {}), timeout=timeout, op=op)

    async def _serve_host(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller, hello: Body, version: int
    ) -> None:
        info = introduce(hello, self._registry.replica)
        if caller.role == "host" and info.name != caller.name:
            raise errors.Forbidden(f"the certificate is of host {caller.name}, the hello speaks for {info.name}")
        connection = Connection(caller.fingerprint)
        connection.peer = Peer(
            reader,
            writer,
            partial(self._serve, connection, Dispatcher(partial(self._find, info.name), self._pool)),
            partial(self._news, connection),
            silence=caller.silence,
            theirs=hello.get("silence"),
        )
        async with self._turn(info.name):
            generation = await self._claim(info, caller.fingerprint)
            connection.info = msgspec.structs.replace(info, generation=generation)
            connection.claimed_at = time.monotonic()
            self._replace(connection)
        try:
            words = {
                "generation": connection.info.generation, "replica": self._registry.replica, "time": clock.now(),
                "silence": caller.silence,
            }  # fmt: skip
            await greeting.say(writer, words, version)
            await connection.peer.run()
        finally:
            connection.peer.close()
            await self._leave(connection)

    async def _claim(self, info: HostInfo, fingerprint: str | None) -> int:
        """The generation of a new link; waits for another replica that still tells of the last one's end."""
        end = self._loop.asyncio.time() + PARTING
        claim = partial(self._registry.claim, info.name, fingerprint, info.version, info.capabilities)
        while True:
            try:
                return await self._ask(claim)
            except errors.NotReady as error:
                if error.code != "HostParting":
                    raise
                if self._loop.asyncio.time() > end:
                    return await self._ask(partial(claim, force=True))
            await asyncio.sleep(0.1)

    def _replace(self, connection: Connection) -> None:
        name = connection.info.name
        if connection.info.generation <= self._latest.get(name, 0) and name in self._current:
            raise errors.NotReady("a newer link of this host has taken over", code=NOT_CONNECTED)
        old = self._current.get(name)
        self._latest[name] = connection.info.generation
        self._current[name] = connection
        self._ready.pop(name, None)
        if old is not None:
            LOG.info("host %s has dialled again; its older link is cut", name)
            old.peer.close()
        self._lane(name)

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(self._pool)
        return self._lanes[name]

    def _find(self, host: str, verb: str) -> Verb | None:
        fn = self._offers.get(verb)
        return None if fn is None else partial(fn, host)

    async def _serve(self, connection: Connection, dispatcher: Dispatcher, verb: str, body: Any, op: str) -> Any:
        if not self._is_current(connection):
            raise errors.NotReady("a newer link of this host has taken over", code=NOT_CONNECTED)
        if verb == REPORT:
            await self._welcome(connection, body if isinstance(body, dict) else {})
            return {}
        if connection.info.name not in self._ready:
            raise errors.NotReady(f"{REPORT} must come first", code=NOT_CONNECTED)
        if verb == RENEW and self._admission is not None and connection.fingerprint is not None:
            return await self._ask(self._admission.renew, connection.info.name, body if isinstance(body, dict) else {})
        return await dispatcher.run(verb, body, op)

    async def _welcome(self, connection: Connection, report: Body) -> None:
        info = connection.info
        if not await self._ask(self._registry.reported, info.name, info.generation):
            connection.peer.close()
            raise errors.NotReady("a newer link of this host has taken over", code=NOT_CONNECTED)
        if not self._is_current(connection):
            return
        LOG.info("host %s has joined (link %d)", info.name, info.generation)
        self._ready[info.name] = connection
        self._elsewhere.pop(info.name, None)
        self._tell_waiters()
        for joined in self._joined:
            self._lanes[info.name].put(partial(self._if_latest, connection, partial(joined, info, report)))

    def _news(self, connection: Connection, name: str, body: Any) -> None:
        if not self._is_current(connection):
            return
        lane = self._lanes[connection.info.name]
        for fn in self._events.get(name, ()):
            handle = partial(fn, connection.info.name, body)
            if not lane.put(partial(self._if_latest, connection, handle)):
                LOG.warning("host %s tells more than can be handled; its link is cut", connection.info.name)
                connection.peer.close()
                return

    async def _leave(self, connection: Connection) -> None:
        info = connection.info
        if not self._is_current(connection):
            return
        del self._current[info.name]
        told = self._ready.pop(info.name, None) is not None
        if self._stopping.is_set():
            return
        if told:
            LOG.warning("host %s is gone (link %d)", info.name, info.generation)
            self._tell_waiters()
        async with self._turn(info.name):
            gone = await self._ask(partial(self._registry.leave, info.name, info.generation, tell=told))
        if gone and told:
            self._say_gone(info)

    def _say_gone(self, info: HostInfo) -> None:
        lane = self._lane(info.name)
        for gone in self._gone:
            lane.put(partial(gone, info))
        lane.put(partial(self._registry.parted, info.name))

    def _is_current(self, connection: Connection) -> bool:
        return self._current.get(connection.info.name) is connection

    def _if_latest(self, connection: Connection, work: Callable[[], None]) -> None:
        if not self._registry.sure():
            # This process was held up; another replica may have taken the host over meanwhile.
            self._look()
        if self._latest.get(connection.info.name) == connection.info.generation:
            work()

    def _tell_waiters(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One at a time per host: the registry hears of its links' ends and beginnings in their order."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            yield

    async def _ask(self, fn: Callable[..., T], *words: Any) -> T:
        return await self._loop.run(self._clerks, fn, *words)

    def _watch(self) -> None:
        trouble = ""
        while not self._stopping.wait(LOOK):
            try:
                self._look()
                trouble = ""
            except Exception as error:
                if not self._stopping.is_set() and str(error) != trouble:
                    trouble = str(error)
                    known = isinstance(error, errors.NotReady)
                    LOG.warning("the hosts of other replicas cannot be seen: %s", error, exc_info=not known)

    def _look(self) -> None:
        view = self._registry.look()
        if self._door is not None:
            self._door.keep_certified()
        self._loop.wait(self._heed(view))
        for row in self._orphaned(view):
            if self._registry.adopt(row):
                LOG.warning("host %s is gone with replica %s (link %d)", row.name, row.replica, row.generation)
                if row.reported_at is not None:
                    self._loop.wait(self._lost(row))
        if view.ended:
            LOG.warning("replicas have ended or begun anew: %s", ", ".join(view.ended))
            held = sorted(self._ready)
            for gone in self._replica_gone:
                gone(held)

    async def _heed(self, view: View) -> None:
        """Cut links that are no longer ours to have, and note who is joined to other replicas."""
        self._desk.judge(view.hosts, view.at)
        for name, connection in list(self._current.items()):
            if connection.claimed_at < view.at:
                self._judge(connection, view.hosts.get(name))
        lives, me = self._registry.lives, self._registry.replica
        elsewhere = {
            name: HostInfo.of(row)
            for name, row in view.hosts.items()
            if row.replica not in (None, me) and row.reported_at is not None and lives(str(row.replica))
        }
        if elsewhere != self._elsewhere:
            self._elsewhere = elsewhere
            self._tell_waiters()

    def _judge(self, connection: Connection, row: HostRow | None) -> None:
        name = connection.info.name
        if row is None or row.revoked:
            reason = f"host {name} has been {'removed' if row is None else 'revoked'}"
            LOG.warning("%s; its link is cut", reason)
            connection.peer.emit(names.REFUSED, {"reason": reason})
            connection.peer.close()
        elif row.generation > connection.info.generation:
            LOG.info("host %s has dialled replica %s; its older link is cut", name, row.replica)
            self._latest[name] = row.generation
            connection.peer.close()

    def _orphaned(self, view: View) -> list[HostRow]:
        """Hosts whose replica has been gone, or has not known them, for ORPHANED seconds."""
        found: dict[tuple[str, int], float] = {}
        for row in view.hosts.values():
            if row.replica is None or (row.replica != self._registry.replica and self._registry.lives(row.replica)):
                continue
            here = self._current.get(row.name)
            if row.replica == self._registry.replica and here is not None and here.info.generation >= row.generation:
                continue
            found[row.name, row.generation] = self._orphans.get((row.name, row.generation), view.at)
        self._orphans = found
        return [view.hosts[name] for (name, _), since in found.items() if view.at - since > ORPHANED]

    async def _lost(self, row: HostRow) -> None:
        self._say_gone(HostInfo.of(row))


def _ignore(_name: str, _body: Any) -> None:
    """A relay carries calls only."""


def _absent(host: str) -> errors.NotReady:
    return errors.NotReady(f"Host {host} is not connected.", code=NOT_CONNECTED)


def _off_the_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a host may not be called from the event loop: it would wait for itself")
