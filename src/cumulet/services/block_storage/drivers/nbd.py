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
import os
import shutil
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.loop import Loop
from cumulet.kernel.qmp import Monitor, QmpError, QmpGoneError, listen
from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.drivers.base import Ended

PROGRAM = "qemu-storage-daemon"
PORTS = range(10809, 11833)  # from NBD's own port on, below the range that outgoing connections take theirs from
START_TIME = 20.0  # seconds until a daemon must answer
COPY_TIME = 3600.0
CLIENTS = 128  # connections: one a server; one that comes again may be faster than the end of its old one
PID_FILE, LOG_FILE, SOCKET, RECORD = "export.pid", "export.log", "control.sock", "export.json"
EXPORT, NODE, COPY_NODE, JOB = "export", "disk", "copy-target", "copy"

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
        self._watched: dict[str, int] = {}
        self._guard = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        with self._guard:
            place = self._place(volume_id)
            if self._runs(volume_id):
                have = json.loads((place / RECORD).read_text())
                if (have.get("clients"), have["path"]) == (list(clients), str(source.path)) and port in (
                    0,
                    have["port"],
                ):
                    self._watch(volume_id)
                    return int(have["port"])
                self.stop(volume_id)
            place.mkdir(mode=0o700, exist_ok=True)
            chosen = self._start(volume_id, place, source, clients, port)
            self._watch(volume_id)
            return chosen

    def stop(self, volume_id: str) -> None:
        with self._guard:
            self._forget(volume_id)
            place = self._place(volume_id)
            running = detached.Process.of(place / PID_FILE)
            if running is not None:
                with running:
                    running.kill()
            shutil.rmtree(place, ignore_errors=True)

    def exports(self) -> list[str]:
        return sorted(detached.find(self._folder))

    def resize(self, volume_id: str, size: int) -> None:
        async def work(monitor: Monitor) -> None:
            # A disk cannot be resized under its export. Who has it open comes again, as after a break.
            if await monitor.execute("query-block-exports"):
                await monitor.execute("block-export-del", id=EXPORT, mode="hard")
                await monitor.wait(lambda event: event["event"] == "BLOCK_EXPORT_DELETED", START_TIME)
            try:
                await monitor.execute("block_resize", node_name=NODE, size=size)
            finally:
                await monitor.send("block-export-add", _export(volume_id))

        self._control(volume_id, work)

    def copy(self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"]) -> None:
        node = {"node-name": COPY_NODE, "driver": target_format, "file": {"driver": "file", "filename": str(target)}}

        async def work(monitor: Monitor) -> None:
            await monitor.send("blockdev-add", node)
            try:
                await monitor.execute("blockdev-backup", job_id=JOB, device=NODE, target=COPY_NODE, sync="full")
                ended = await monitor.wait(_is_end_of_copy, COPY_TIME)
                if ended["event"] == "BLOCK_JOB_CANCELLED" or "error" in ended["data"]:
                    raise QmpError("GenericError", ended["data"].get("error", "the copy was cancelled"))
            finally:
                await monitor.execute("blockdev-del", node_name=COPY_NODE)

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

    def _runs(self, volume_id: str) -> bool:
        running = detached.Process.of(self._place(volume_id) / PID_FILE)
        if running is None:
            return False
        running.close()
        return True

    def _start(self, volume_id: str, place: Path, source: DiskSource, clients: Sequence[str], port: int) -> int:
        """Start the daemon at the port, or at the first one that is free."""
        for candidate in (port,) if port else PORTS:
            if not port and not self._is_free(candidate):
                continue
            record = {"clients": list(clients), "path": str(source.path), "port": candidate}
            (place / RECORD).write_text(json.dumps(record))
            with listen(place / SOCKET) as monitor:
                argv = self._command_line(volume_id, place, source, clients, candidate, monitor.fileno())
                detached.launch(argv, place / LOG_FILE, [monitor.fileno()])
            if self._answers(volume_id):
                return candidate
            words = detached.last_words(place / LOG_FILE)
            if "ddress already in use" not in words:
                raise _refusal(words)
        raise NotReady("No port is free for the export of the volume.")

    def _command_line(
        self, volume_id: str, place: Path, source: DiskSource, clients: Sequence[str], port: int, monitor: int
    ) -> list[str]:
        folder = _escape(str(self._credentials()))
        disk = {"driver": "file", "filename": str(source.path)}
        server = {"type": "inet", "host": self._address, "port": str(port)}
        admitted = [{"match": f"CN={client}", "policy": "allow", "format": "exact"} for client in clients]
        return [
            PROGRAM,
            # Hosts' certificates are for clients, so QEMU would not serve with one; peers are verified all the same.
            *("--object", f"tls-creds-x509,id=tls,endpoint=server,verify-peer=on,sanity-check=off,dir={folder}"),
            *("--object", json.dumps({"qom-type": "authz-list", "id": "clients", "policy": "deny", "rules": admitted})),
            *("--blockdev", json.dumps({"driver": source.format, "node-name": NODE, "discard": "unmap", "file": disk})),
            "--nbd-server",
            json.dumps({"addr": server, "tls-creds": "tls", "tls-authz": "clients", "max-connections": CLIENTS}),
            *("--export", json.dumps(_export(volume_id))),
            *("--chardev", f"socket,id=control,fd={monitor},server=on,wait=off"),
            *("--monitor", "chardev=control"),
            *("--pidfile", str(place / PID_FILE)),
        ]

    def _is_free(self, port: int) -> bool:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._address, port))
            except OSError:
                return False
        return True

    def _answers(self, volume_id: str) -> bool:
        """Whether the daemon that was just started is at work; False where it has ended."""
        deadline = time.monotonic() + START_TIME
        while time.monotonic() < deadline:
            try:
                self._control(volume_id, _ask_exports)
            except NotReady:
                if not self._runs(volume_id):
                    return False
                time.sleep(0.02)
            else:
                return True
        return False

    def _control(self, volume_id: str, job: Callable[[Monitor], Awaitable[T]]) -> T:
        """Have a conversation with the volume's daemon."""

        async def converse() -> T:
            async with await Monitor.connect(self._place(volume_id) / SOCKET) as monitor:
                return await job(monitor)

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
                handle = self._watched[volume_id] = os.pidfd_open(pid)
                self._loop.asyncio.call_soon_threadsafe(
                    self._loop.asyncio.add_reader, handle, self._notice, volume_id, handle
                )
                return
        self._tell(volume_id)

    def _forget(self, volume_id: str) -> None:
        handle = self._watched.pop(volume_id, None)
        if handle is not None:
            self._loop.asyncio.call_soon_threadsafe(self._drop, handle)

    def _drop(self, handle: int) -> None:
        self._loop.asyncio.remove_reader(handle)
        os.close(handle)

    def _notice(self, volume_id: str, handle: int) -> None:
        """On the loop: a daemon that is watched has ended."""
        self._loop.asyncio.remove_reader(handle)
        self._tell(volume_id, handle)

    def _tell(self, volume_id: str, handle: int | None = None) -> None:
        def tell() -> None:
            with self._guard:
                wanted = handle is None or self._watched.get(volume_id) == handle
                if handle is not None and wanted:
                    del self._watched[volume_id]
                    os.close(handle)
            if wanted:
                self._ended(volume_id)

        threading.Thread(target=tell, name="export-ended", daemon=True).start()


def _export(volume_id: str) -> dict[str, Any]:
    words = {"type": "nbd", "id": EXPORT, "node-name": NODE, "name": volume_id}
    return {**words, "writable": True, "writethrough": True}


async def _ask_exports(monitor: Monitor) -> Any:
    return await monitor.execute("query-block-exports")


def _is_end_of_copy(event: dict[str, Any]) -> bool:
    return event["event"] in ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED") and event["data"]["device"] == JOB


def _refusal(words: str) -> Conflict | NotReady:
    if "lock" in words:
        return NotReady("The disk is open somewhere else.")
    return Conflict(f"The volume cannot be exported: {words[-300:]}", code="ExportFailed")


def _escape(value: str) -> str:
    """QEMU reads a doubled comma as one that is part of the value."""
    return value.replace(",", ",,")
