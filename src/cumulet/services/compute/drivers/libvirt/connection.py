# SPDX-License-Identifier: Apache-2.0
"""The connection to libvirt's daemon, opened with the first question and anew after the daemon was away; what it tells.

The daemon may be restarted while its domains run on. What ended meanwhile is for the driver to find (`reconnected`).
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.compute.drivers.libvirt import library
from cumulet.services.compute.drivers.libvirt.library import LibvirtError, call

GUEST, KILLED = "guest", "killed"
KEEP_ALIVE = (5, 6)  # seconds between two questions whether the daemon is there, and how many it may miss


class Heard(NamedTuple):
    """Something told of a server: it `ended` (why), a device was `removed` (its alias), a `job` ended (how).

    `block` is the state that the copy of one disk came to.
    """

    kind: str
    what: Any


class Connection:
    """One connection; any thread may use it.

    `ended(server_id, reason)` is called, on a thread of its own, for each domain that ends, whoever asked for it.
    `reconnected()` is called likewise after a connection was lost and made anew.
    """

    def __init__(self, uri: str, ended: Callable[[str, str], None], reconnected: Callable[[], None]) -> None:
        self.uri = uri
        self._ended = ended
        self._reconnected = reconnected
        self._guard = threading.Lock()
        self._handle: int | None = None
        self._was_lost = False
        self._by_guest: set[str] = set()
        self._listeners: dict[str, list[queue.SimpleQueue[Heard]]] = {}
        self._number = next(_NUMBERS)

    def call(self, name: str, *arguments: Any) -> Any:
        """A function of the library on this connection.

        Raises NotReady where the daemon does not answer, LibvirtError for everything else.
        """
        handle = self._open()
        try:
            return call(name, handle, *arguments)
        except LibvirtError as error:
            raise self.judged(error) from error

    def kind(self) -> str:
        """What hypervisor it is, in libvirt's words (`QEMU`, `Xen`)."""
        found: bytes = self.call("virConnectGetType")
        return found.decode()

    def judged(self, error: LibvirtError) -> LibvirtError | NotReady:
        """The error, or NotReady where it means that the connection is gone."""
        with self._guard:
            if self._handle is not None and call("virConnectIsAlive", self._handle) == 1:
                return error
            self._drop()
        return NotReady(f"libvirt's daemon does not answer: {error}", code="HypervisorFailed")

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """What libvirt refuses inside becomes Conflict."""
        try:
            yield
        except LibvirtError as error:
            raise Conflict(f"libvirt refused: {error}", code="HypervisorFailed") from error

    @contextmanager
    def listening(self, server_id: str) -> Iterator[queue.SimpleQueue[Heard]]:
        """What is told of the server from now on."""
        heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        with self._guard:
            self._listeners.setdefault(server_id, []).append(heard)
        try:
            yield heard
        finally:
            with self._guard:
                self._listeners[server_id].remove(heard)
                if not self._listeners[server_id]:
                    del self._listeners[server_id]

    def close(self) -> None:
        with self._guard:
            self._drop()
            self._was_lost = False

    def _open(self) -> int:
        with self._guard:
            if self._handle is not None and call("virConnectIsAlive", self._handle) == 1:
                return self._handle
            self._drop()
            library.run_events()
            try:
                handle: int = call("virConnectOpen", self.uri.encode())
            except LibvirtError as error:
                raise NotReady(f"libvirt's daemon does not answer: {error}", code="HypervisorFailed") from error
            call("virConnectSetKeepAlive", handle, *KEEP_ALIVE)
            _OPEN[self._number] = self
            for event, callback in _CALLBACKS.items():
                call("virConnectDomainEventRegisterAny", handle, None, event, callback, self._number, None)
            self._handle = handle
            if self._was_lost:
                self._was_lost = False
                threading.Thread(target=self._reconnected, name="libvirt-reconnected", daemon=True).start()
            return handle

    def _drop(self) -> None:
        if self._handle is not None:
            handle, self._handle, self._was_lost = self._handle, None, True
            _OPEN.pop(self._number, None)
            call("virConnectClose", handle)

    def hear_lifecycle(self, server_id: str, event: int, detail: int) -> None:
        if event == library.LIFECYCLE_SHUTDOWN and detail == library.SHUTDOWN_BY_GUEST:
            self._by_guest.add(server_id)
        if event == library.LIFECYCLE_STOPPED:
            reason = GUEST if server_id in self._by_guest else KILLED
            self._by_guest.discard(server_id)
            self.hear(server_id, Heard("ended", reason))
            threading.Thread(target=self._ended, args=(server_id, reason), name="server-ended", daemon=True).start()

    def hear(self, server_id: str, heard: Heard) -> None:
        with self._guard:
            for listener in self._listeners.get(server_id, ()):
                listener.put(heard)


# Connections by the number that the library hands back with each event. It may do so a moment after a connection was
# closed, so that what it calls lives as long as this process.
_NUMBERS = itertools.count(1)
_OPEN: dict[int, Connection] = {}


def _on_lifecycle(_handle: int, domain: int, event: int, detail: int, number: int) -> int:
    if (connection := _OPEN.get(number)) is not None:
        connection.hear_lifecycle(library.uuid_of(domain), event, detail)
    return 0


def _on_removed(_handle: int, domain: int, alias: bytes, number: int) -> None:
    if (connection := _OPEN.get(number)) is not None:
        connection.hear(library.uuid_of(domain), Heard("removed", alias.decode()))


def _on_block_job(_handle: int, domain: int, disk: bytes, _kind: int, status: int, number: int) -> None:
    if (connection := _OPEN.get(number)) is not None:
        connection.hear(library.uuid_of(domain), Heard("block", (disk.decode(), status)))


def _on_job(_handle: int, domain: int, parameters: int, count: int, number: int) -> None:
    if (connection := _OPEN.get(number)) is not None:
        connection.hear(library.uuid_of(domain), Heard("job", library.typed_parameters(parameters, count)))


_CALLBACKS = {
    library.EVENT_LIFECYCLE: library.LifecycleCallback(_on_lifecycle),
    library.EVENT_DEVICE_REMOVED: library.DeviceCallback(_on_removed),
    library.EVENT_BLOCK_JOB_2: library.BlockJobCallback(_on_block_job),
    library.EVENT_JOB_COMPLETED: library.JobCallback(_on_job),
}
