# SPDX-License-Identifier: Apache-2.0
"""Exports by QEMU's storage daemon: one process a volume, NBD under TLS, open to its clients' certificates.

The daemon is the volume's one opener. It completes a write only when that is on the disk: the client holds what was not
answered and sends it again, so that a daemon that is killed costs a pause and nothing else. (A write that was answered
out of the daemon's memory would be lost, and the client would never know.)

LIMITATIONS: each write waits for the disk; a daemon goes on with the certificate that it was started with.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.loop import Loop
from cumulet.kernel.moment import Moment
from cumulet.kernel.qmp import Monitor, QmpError, QmpGoneError, listen
from cumulet.services.block_storage.contract import DiskSource, NetworkDisk
from cumulet.services.block_storage.drivers.base import IS_LOCKED, Door, Ended
from cumulet.services.block_storage.drivers.nodes import node, objects
from cumulet.services.block_storage.drivers.watch import Watch

LOG = logging.getLogger(__name__)

PROGRAM = "qemu-storage-daemon"
PORTS = range(10809, 11833)  # from NBD's own port on, below the range that outgoing connections take theirs from
START_TIME = 20.0  # seconds until a daemon must answer
GREETING_TIME = 5.0  # seconds until one that is at work must have greeted, or is started anew
PAUSE = 0.01  # seconds
UNSEEN = 10  # pauses in which nothing is seen of a daemon that was just started, until it is said to have ended
ANSWER_TIME = 30.0  # seconds until one that has answered must do so again
COPY_TIME = 3600.0
CLIENTS = 128  # connections: one a server; one that comes again may be faster than the end of its old one
PID_FILE, LOG_FILE, SOCKET, RECORD = "export.pid", "export.log", "control.sock", "export.json"
EXPORT, NODE, COPY_NODE, JOB = "export", "disk", "copy-target", "copy"
COPIED_NODE = "copied"  # stands above the disk while it is copied, and sees what is written meanwhile

T = TypeVar("T")


class NbdExporter:
    """`Exporter` on `address`, with a folder for each daemon in `folder`.

    `credentials()` is the folder with this host's certificate; it raises what stands in the way of having one.
    """

    def __init__(self, folder: Path, loop: Loop, address: str, credentials: Callable[[], Path], ended: Ended) -> None:
        self._folder = folder.resolve()
        self._loop = loop
        self._address = address
        self._credentials = credentials
        self._ended = ended
        self._watched: dict[str, Watch] = {}
        self._guard = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ports = dict(_recorded(self._folder))  # by volume: also of daemons that are dead, but come back

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        with self._guard:
            place = self._place(volume_id)
            if self._runs(volume_id):
                have = json.loads((place / RECORD).read_text())
                same = (have.get("clients"), have["path"]) == (list(clients), _path(source))
                if same and port in (0, have["port"]):
                    if self._is_well(volume_id):
                        self._watch(volume_id)
                        return int(have["port"])
                    port = int(have["port"])
                self.stop(volume_id)
            place.mkdir(mode=0o700, exist_ok=True)
            chosen = self._start(volume_id, place, source, clients, port)
            self._watch(volume_id)
            return chosen

    def door(self, volume_id: str, client: str) -> Door:
        return Door(export=volume_id)

    def stop(self, volume_id: str, *, for_good: bool = True) -> None:
        with self._guard:
            self._forget(volume_id)
            self._end(volume_id)
            shutil.rmtree(self._place(volume_id), ignore_errors=True)
            self._ports.pop(volume_id, None)

    def exports(self) -> list[str]:
        return sorted(detached.find(self._folder))

    def resize(self, volume_id: str, size: int) -> None:
        async def work(monitor: Monitor) -> None:
            if await _size_of(monitor, NODE) == size:
                await _see_exported(monitor, volume_id)
                return
            # A disk cannot be resized under its export. Who has it open comes again, as after a break.
            await _withdraw(monitor)
            try:
                await monitor.execute("block_resize", node_name=NODE, size=size)
            finally:
                await monitor.send("block-export-add", _export(volume_id))

        self._control(volume_id, work)

    def copy(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], moment: Moment | None = None
    ) -> None:
        block = {"node-name": COPY_NODE, "driver": target_format, "file": {"driver": "file", "filename": str(target)}}

        async def work(monitor: Monitor) -> None:
            await _end_copy(monitor)
            await monitor.send("blockdev-add", block)
            try:
                async with _withdrawn(monitor, volume_id, moment):
                    await monitor.send("blockdev-backup", _backup())
                ended = await monitor.wait(_is_end_of_copy, COPY_TIME)
                if ended["event"] == "BLOCK_JOB_CANCELLED" or "error" in ended["data"]:
                    raise QmpError("GenericError", ended["data"].get("error", "the copy was cancelled"))
            finally:
                await _end_copy(monitor)

        self._control(volume_id, work)

    def close(self) -> None:
        with self._guard:
            for volume_id in list(self._watched):
                self._forget(volume_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _place(self, volume_id: str) -> Path:
        if "/" in volume_id or volume_id.startswith("."):
            raise NotFound(f"{volume_id} is not the name of a volume.")
        return self._folder / volume_id

    def _end(self, volume_id: str) -> None:
        running = detached.Process.of(self._place(volume_id) / PID_FILE)
        if running is not None:
            with running:
                running.kill()

    def _runs(self, volume_id: str) -> bool:
        running = detached.Process.of(self._place(volume_id) / PID_FILE)
        if running is None:
            return False
        running.close()
        return True

    def _is_well(self, volume_id: str) -> bool:
        """See that the running daemon exports its volume; False for one that does not answer.

        QEMU 7.2 does nothing else while a client that connects is silent in the middle of its handshake.
        """
        try:
            self._control(volume_id, _see_exported if volume_id in self._watched else _take_up, volume_id)
        except NotReady as error:
            LOG.warning("%s It is started anew.", error.message)
            return False
        return True

    def _start(self, volume_id: str, place: Path, source: DiskSource, clients: Sequence[str], port: int) -> int:
        """Start the daemon at the port, or at one that is free."""
        for last in (False, False, True):
            chosen = self._launch(volume_id, place, source, clients, port)
            if self._answers(volume_id, START_TIME if last else GREETING_TIME):
                return chosen
            if last or not self._runs(volume_id):
                break
            LOG.warning("The export of volume %s is silent. It is started anew.", volume_id)
            self._end(volume_id)
        raise _refusal(detached.last_words(place / LOG_FILE))

    def _launch(self, volume_id: str, place: Path, source: DiskSource, clients: Sequence[str], port: int) -> int:
        with self._listen(volume_id, port) as door, listen(place / SOCKET) as monitor:
            chosen = self._ports[volume_id] = int(door.getsockname()[1])
            record = {"clients": list(clients), "path": _path(source), "port": chosen}
            (place / RECORD).write_text(json.dumps(record))
            (place / PID_FILE).unlink(missing_ok=True)
            handles = [door.fileno(), monitor.fileno()]
            detached.launch(self._command_line(volume_id, place, source, clients, *handles), place / LOG_FILE, handles)
        return chosen

    def _listen(self, volume_id: str, port: int) -> socket.socket:
        """What the daemon takes connections from, which inherit that they wait for nothing.

        QEMU 7.2 does not ask for that itself, and sends what was read apart from its header: each small read would wait
        until its client acknowledges the header, which takes 40 ms.
        """
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        kept = {number for each, number in self._ports.items() if each != volume_id}
        # Where each begins somewhere else, few look for the port of one that is dead for a moment.
        first = zlib.crc32(volume_id.encode()) % len(PORTS)
        free = (each for each in (*PORTS[first:], *PORTS[:first]) if each not in kept)
        for candidate in (port,) if port else free:
            with contextlib.suppress(OSError):
                door = socket.create_server((self._address, candidate), family=family, backlog=CLIENTS)
                door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return door
        raise NotReady("No port is free for the export of the volume.")

    def _command_line(
        self, volume_id: str, place: Path, source: DiskSource, clients: Sequence[str], door: int, monitor: int
    ) -> list[str]:
        folder = _escape(str(self._credentials()))
        server = {"type": "fd", "str": str(door)}
        admitted = [{"match": f"CN={client}", "policy": "allow", "format": "exact"} for client in clients]
        return [
            PROGRAM,
            # Hosts' certificates are for clients, so QEMU would not serve with one; peers are verified all the same.
            *("--object", f"tls-creds-x509,id=tls,endpoint=server,verify-peer=on,sanity-check=off,dir={folder}"),
            *("--object", json.dumps({"qom-type": "authz-list", "id": "clients", "policy": "deny", "rules": admitted})),
            *(word for each in objects(source) for word in ("--object", json.dumps(each))),
            *("--blockdev", json.dumps({"node-name": NODE, "discard": "unmap", **node(source)})),
            "--nbd-server",
            json.dumps({"addr": server, "tls-creds": "tls", "tls-authz": "clients", "max-connections": CLIENTS}),
            *("--export", json.dumps(_export(volume_id))),
            *("--chardev", f"socket,id=control,fd={monitor},server=on,wait=off"),
            *("--monitor", "chardev=control"),
            *("--pidfile", str(place / PID_FILE)),
        ]

    def _answers(self, volume_id: str, patience: float) -> bool:
        """Whether the daemon that was just started is at work; False where it has ended, or is silent for so long.

        It is not spoken to before it has written its number: a client that comes while QEMU 7.2 sets up its monitor is
        sometimes never greeted, nor is any after it.
        """
        written, unseen = self._place(volume_id) / PID_FILE, 0
        deadline = time.monotonic() + START_TIME
        while not written.exists():
            # Between its birth and its first instruction a process has no arguments by which it is known.
            unseen = 0 if self._runs(volume_id) else unseen + 1
            if unseen > UNSEEN or time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
        time.sleep(PAUSE)
        return self._greets(volume_id, patience)

    def _greets(self, volume_id: str, patience: float) -> bool:
        try:
            self._control(volume_id, _ask_exports, patience=patience)
        except NotReady:
            return False
        return True

    def _control(
        self, volume_id: str, job: Callable[..., Awaitable[T]], *arguments: Any, patience: float | None = None
    ) -> T:
        """Have a conversation with the volume's daemon, which greets within `patience` seconds."""

        async def converse() -> T:
            async with await Monitor.connect(self._place(volume_id) / SOCKET, patience or ANSWER_TIME) as monitor:
                return await job(monitor, *arguments)

        try:
            return self._loop.wait(converse())
        except (QmpGoneError, TimeoutError, FileNotFoundError) as error:
            raise NotReady(f"The export of volume {volume_id} does not answer.") from error
        except QmpError as error:
            raise Conflict(f"The export of volume {volume_id} refused: {error}", code="ExportFailed") from error

    def _watch(self, volume_id: str) -> None:
        if volume_id in self._watched:
            return
        pid = detached.find(self._folder).get(volume_id)
        with contextlib.suppress(ProcessLookupError):
            if pid is not None:
                self._watched[volume_id] = Watch(self._loop, pid, partial(self._gone, volume_id))
                return
        threading.Thread(target=self._ended, args=(volume_id,), name="export-ended", daemon=True).start()

    def _forget(self, volume_id: str) -> None:
        watch = self._watched.pop(volume_id, None)
        if watch is not None:
            watch.stop()

    def _gone(self, volume_id: str, watch: Watch) -> None:
        """A daemon has ended by itself."""
        with self._guard:
            if self._watched.get(volume_id) is not watch:
                return
            del self._watched[volume_id]
        self._ended(volume_id)


def _recorded(folder: Path) -> Iterator[tuple[str, int]]:
    """The ports of the exports there, by volume."""
    for path in folder.glob(f"*/{RECORD}"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            yield path.parent.name, int(json.loads(path.read_text())["port"])


def _path(source: DiskSource) -> str:
    """By what an export is known to be of this disk."""
    return source.name if isinstance(source, NetworkDisk) else str(source.path)


def _export(volume_id: str, block: str = NODE) -> dict[str, Any]:
    words = {"type": "nbd", "id": EXPORT, "node-name": block, "name": volume_id}
    return {**words, "writable": True, "writethrough": True}


def _backup() -> dict[str, Any]:
    words = {"job-id": JOB, "device": NODE, "target": COPY_NODE, "sync": "full"}
    return {**words, "filter-node-name": COPIED_NODE}


async def _withdraw(monitor: Monitor) -> None:
    """Take the volume from its clients, who wait with what they want to write until it is there again."""
    if await monitor.execute("query-block-exports"):
        await monitor.execute("block-export-del", id=EXPORT, mode="hard")
        await monitor.wait(lambda event: event["event"] == "BLOCK_EXPORT_DELETED", START_TIME)


async def _take_up(monitor: Monitor, volume_id: str) -> None:
    """A daemon of an agent that died: for what that had copied nobody waits any more."""
    await _end_copy(monitor)
    await _see_exported(monitor, volume_id)


async def _see_exported(monitor: Monitor, volume_id: str) -> None:
    """Bring back an export that somebody who died meanwhile had withdrawn."""
    if not await monitor.execute("query-block-exports"):
        if await _has_node(monitor, COPIED_NODE):
            with contextlib.suppress(QmpError):  # the copy may have ended just now
                await monitor.send("block-export-add", _export(volume_id, COPIED_NODE))
                return
        await monitor.send("block-export-add", _export(volume_id))


@asynccontextmanager
async def _withdrawn(monitor: Monitor, volume_id: str, moment: Moment | None) -> AsyncIterator[None]:
    """Keep the clients away from the moment on until all have begun."""
    if moment is None:
        yield
        return
    await moment.async_ready()
    try:
        await _withdraw(monitor)
        await moment.async_still()
        yield
        await moment.async_begun()
    finally:
        await _see_exported(monitor, volume_id)


async def _ask_exports(monitor: Monitor) -> Any:
    return await monitor.execute("query-block-exports")


async def _end_copy(monitor: Monitor) -> None:
    """Close the copy's target; before, end a copy that somebody who died meanwhile had under way."""
    for job in await monitor.execute("query-block-jobs"):
        await monitor.execute("block-job-cancel", device=job["device"], force=True)
        await monitor.wait(_is_end_of_copy, START_TIME)
    if await _has_node(monitor, COPY_NODE):
        await monitor.execute("blockdev-del", node_name=COPY_NODE)


async def _size_of(monitor: Monitor, name: str) -> int:
    """In bytes, as clients see it."""
    found = await monitor.execute("query-named-block-nodes")
    return next(int(entry["image"]["virtual-size"]) for entry in found if entry["node-name"] == name)


async def _has_node(monitor: Monitor, name: str) -> bool:
    return any(entry["node-name"] == name for entry in await monitor.execute("query-named-block-nodes"))


def _is_end_of_copy(event: dict[str, Any]) -> bool:
    return event["event"] in ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED") and event["data"]["device"] == JOB


def _refusal(words: str) -> Conflict | NotReady:
    if IS_LOCKED in words:
        return NotReady("The disk is open somewhere else.")
    if not words:  # it was killed, or it is slow: it is found, or started anew, next time
        return NotReady("The export of the volume does not answer yet.")
    return Conflict(f"The volume cannot be exported: {words[-300:]}", code="ExportFailed")


def _escape(value: str) -> str:
    """QEMU reads a doubled comma as one that is part of the value."""
    return value.replace(",", ",,")
