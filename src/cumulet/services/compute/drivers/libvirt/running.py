# SPDX-License-Identifier: Apache-2.0
"""One domain that runs: what can be asked of it and done to it, each by one call to libvirt."""

from __future__ import annotations

import ctypes
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cumulet.services.compute.drivers.base import DiskCounters
from cumulet.services.compute.drivers.libvirt import library
from cumulet.services.compute.drivers.libvirt.connection import Connection
from cumulet.services.compute.drivers.libvirt.library import LibvirtError, call
from cumulet.services.compute.drivers.libvirt.words import Element, read
from cumulet.services.compute.types import PowerState

_POWERS = {
    library.STATE_PAUSED: PowerState.PAUSED,
    library.STATE_SHUTDOWN: PowerState.SHUTDOWN,
    library.STATE_SHUTOFF: PowerState.SHUTDOWN,
    library.STATE_CRASHED: PowerState.CRASHED,
}
_MOST_MEMORY_STATS = 16
# The library's words for a domain that is not there, or that ended while it was asked.
_GONE = (library.ERR_NO_DOMAIN, library.ERR_OPERATION_INVALID)


class RunningDomain:
    """A domain, for as long as the `with` of `find` or `start` lasts. Calls raise LibvirtError, or NotReady."""

    def __init__(self, connection: Connection, handle: int) -> None:
        self._connection = connection
        self._handle = handle

    def call(self, name: str, *arguments: Any) -> Any:
        try:
            return call(name, self._handle, *arguments)
        except LibvirtError as error:
            raise self._connection.judged(error) from error

    def power(self) -> PowerState:
        return _POWERS.get(self._state()[0], PowerState.RUNNING)

    def is_stalled(self) -> bool:
        """Whether it is held since a disk has no room for what it writes."""
        return self._state() == (library.STATE_PAUSED, library.PAUSED_IO_ERROR)

    def pause(self) -> None:
        if self.power() != PowerState.PAUSED:
            self.call("virDomainSuspend")

    def go_on(self) -> None:
        if self.power() == PowerState.PAUSED:
            self.call("virDomainResume")

    def press_power_button(self) -> None:
        """A paused guest could not hear it, so it is let go first."""
        self.go_on()
        self.call("virDomainShutdownFlags", library.DOMAIN_SHUTDOWN_ACPI)

    def end(self) -> None:
        """Take the power away; nothing happens where it ended meanwhile."""
        try:
            self.call("virDomainDestroyFlags", 0)
        except LibvirtError as error:
            if error.code not in _GONE:
                raise

    def save(self, path: Path) -> None:
        """Write the memory to a file and end the domain; one whose memory cannot be written runs on."""
        self.call("virDomainSaveFlags", str(path).encode(), None, library.DOMAIN_SAVE_PAUSED)

    def interrupt(self) -> None:
        self.call("virDomainInjectNMI", 0)

    def description(self) -> Element:
        """The domain as it is now, whatever was plugged in or out."""
        return read(library.take_text(self.call("virDomainGetXMLDesc", 0)))

    def plug(self, device: str) -> None:
        self.call("virDomainAttachDeviceFlags", device.encode(), library.DOMAIN_AFFECT_LIVE)

    def ask_to_unplug(self, alias: str) -> bool:
        """Ask the guest to let go of a device; False where there is none of this name."""
        try:
            self.call("virDomainDetachDeviceAlias", alias.encode(), library.DOMAIN_AFFECT_LIVE)
        except LibvirtError as error:
            if error.code != library.ERR_DEVICE_MISSING:
                raise
            return False
        return True

    def resize_disk(self, target: str, size: int) -> None:
        self.call("virDomainBlockResize", target.encode(), size, library.DOMAIN_BLOCK_RESIZE_BYTES)

    def disk_size(self, target: str) -> int:
        """In bytes, as the guest sees it."""
        info = library.BlockInfo()
        self.call("virDomainGetBlockInfo", target.encode(), ctypes.byref(info), 0)
        return int(info.capacity)

    def begin_block_copy(self, target: str, copy: str) -> None:
        """Keep a file that is there alike with a disk, until `end_block_job`; READY is told when they are."""
        flags = library.DOMAIN_BLOCK_COPY_REUSE_EXT
        self.call("virDomainBlockCopy", target.encode(), copy.encode(), None, 0, flags)

    def end_block_job(self, target: str, *, pivot: bool = False) -> None:
        """Leave the copy of a disk alone, or with `pivot` go on with it in the disk's place. Nothing without a copy."""
        info = library.BlockJobInfo()
        if self.call("virDomainGetBlockJobInfo", target.encode(), ctypes.byref(info), 0) == 1:
            flags = library.DOMAIN_BLOCK_JOB_ABORT_PIVOT if pivot else 0
            self.call("virDomainBlockJobAbort", target.encode(), flags)

    def begin_backup(self, wanted: str) -> None:
        self.call("virDomainBackupBegin", wanted.encode(), None, library.DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)

    def abort_job(self) -> None:
        self.call("virDomainAbortJob")

    def open_graphics(self, index: int) -> socket.socket:
        """A new stream to the display of this place in the domain's list."""
        handle = self.call("virDomainOpenGraphicsFD", index, library.DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
        return socket.socket(fileno=handle)

    def set_password(self, user: str, password: str) -> None:
        self.call("virDomainSetUserPassword", user.encode(), password.encode(), 0)

    def freeze(self) -> None:
        self.call("virDomainFSFreeze", None, 0, 0)

    def thaw(self) -> None:
        self.call("virDomainFSThaw", None, 0, 0)

    def ask_monitor(self, command: str, **arguments: Any) -> Any:
        """What QEMU's own monitor answers, for what libvirt has no words of its own for."""
        words = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
        space = ctypes.c_void_p()
        self.call("virDomainQemuMonitorCommand", words.encode(), ctypes.byref(space), 0)
        answer = json.loads(library.take_text(space.value or 0))
        if "error" in answer:
            raise LibvirtError(library.ERR_INTERNAL, str(answer["error"].get("desc", "")))
        return answer["return"]

    def _state(self) -> tuple[int, int]:
        """libvirt's numbers of its state and of the reason."""
        state, reason = ctypes.c_int(), ctypes.c_int()
        self.call("virDomainGetState", ctypes.byref(state), ctypes.byref(reason), 0)
        return state.value, reason.value

    def memory(self) -> tuple[int, int]:
        """KiB that the guest has, and that its process takes."""
        info = library.DomainInfo()
        self.call("virDomainGetInfo", ctypes.byref(info))
        stats = (library.MemoryStat * _MOST_MEMORY_STATS)()
        count = self.call("virDomainMemoryStats", stats, _MOST_MEMORY_STATS, 0)
        found = {stats[index].tag: stats[index].value for index in range(count)}
        return info.memory, found.get(library.DOMAIN_MEMORY_STAT_RSS, 0)

    def cpu_times(self) -> list[int]:
        """Nanoseconds of each processor."""
        info = library.DomainInfo()
        self.call("virDomainGetInfo", ctypes.byref(info))
        spent = (library.VcpuInfo * info.vcpus)()
        count = self.call("virDomainGetVcpus", spent, info.vcpus, None, 0)
        return [spent[index].cpu_time for index in range(count)]

    def counters(self, target: str) -> DiskCounters:
        stats = library.BlockStats()
        self.call("virDomainBlockStats", target.encode(), ctypes.byref(stats), ctypes.sizeof(stats))
        return DiskCounters(
            read_bytes=max(stats.read_bytes, 0),
            read_requests=max(stats.read_requests, 0),
            write_bytes=max(stats.write_bytes, 0),
            write_requests=max(stats.write_requests, 0),
            errors=max(stats.errors, 0),
        )


@contextmanager
def find(connection: Connection, server_id: str) -> Iterator[RunningDomain | None]:
    """The server's domain; None where it does not run. Domains of others are never looked at."""
    handle = None
    try:
        handle = connection.call("virDomainLookupByUUIDString", server_id.encode())
    except LibvirtError as error:
        if error.code != library.ERR_NO_DOMAIN:
            raise
    if handle is None:
        yield None
        return
    with _held(connection, handle) as domain:
        yield domain


@contextmanager
def start(connection: Connection, xml: str) -> Iterator[RunningDomain]:
    """A new domain, which is gone with its end and is held at its first instruction."""
    with _held(connection, connection.call("virDomainCreateXML", xml.encode(), library.DOMAIN_START_PAUSED)) as domain:
        yield domain


def restore(connection: Connection, path: Path) -> None:
    """A domain as it was when its memory was saved, held."""
    connection.call("virDomainRestoreFlags", str(path).encode(), None, library.DOMAIN_SAVE_PAUSED)


@contextmanager
def _held(connection: Connection, handle: int) -> Iterator[RunningDomain]:
    try:
        yield RunningDomain(connection, handle)
    finally:
        call("virDomainFree", handle)
