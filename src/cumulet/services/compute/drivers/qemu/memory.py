# SPDX-License-Identifier: Apache-2.0
"""A suspended server's memory: QEMU writes it to a file, as if it went to another host, and reads it back.

As long as the file is there, it is the truth: it gets its name when it is whole, before the process is ended, and
loses it before the guest goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cumulet.kernel.qmp import Event, Monitor, QmpError

FILE = "memory.state"
ARGUMENTS = ["-incoming", "defer"]
BANDWIDTH = 1 << 40  # bytes a second: as fast as the disk takes it
TIMEOUT = 900.0  # seconds that the transfer may take
_FD = "memory"
_ENDS = ("completed", "failed", "cancelled")


def is_kept(folder: Path) -> bool:
    return (folder / FILE).exists()


def drop(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


def keep(folder: Path, save_to: Callable[[int], None]) -> None:
    """Have `save_to(file descriptor)` write the file; it is there as a whole or not at all."""
    draft = folder / f"{FILE}.new"
    target = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        save_to(target)
        os.fsync(target)
        draft.rename(folder / FILE)
    finally:
        os.close(target)
        draft.unlink(missing_ok=True)


@contextmanager
def kept(folder: Path) -> Iterator[int]:
    """A file descriptor from which the memory can be read."""
    source = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield source
    finally:
        os.close(source)


async def save(monitor: Monitor, target: int) -> None:
    """Hold the guest and write its memory; a guest whose memory cannot be written goes on."""
    await _end_transfer(monitor)
    # A guest whose memory went out whole, into a file that never got its name, has to take its disks back first.
    await monitor.execute("cont")
    await monitor.execute("stop")
    await _tell_of_transfers(monitor)
    await monitor.send("migrate-set-parameters", {"max-bandwidth": BANDWIDTH})
    await monitor.execute("getfd", send_fd=target, fdname=_FD)
    await monitor.execute("migrate", uri=f"fd:{_FD}")
    ended = await monitor.wait(_is_end, TIMEOUT)
    if ended["data"]["status"] != "completed":
        reason = (await monitor.execute("query-migrate")).get("error-desc", "no reason given")
        await monitor.execute("cont")
        raise QmpError("GenericError", f"the memory cannot be kept: {reason}")


async def load(monitor: Monitor, source: int) -> None:
    """Read the memory into a QEMU that was started with ARGUMENTS; the guest is held in the end."""
    await _tell_of_transfers(monitor)
    await monitor.execute("getfd", send_fd=source, fdname=_FD)
    await monitor.execute("migrate-incoming", uri=f"fd:{_FD}")
    ended = await monitor.wait(_is_end, TIMEOUT)
    if ended["data"]["status"] != "completed":
        raise QmpError("GenericError", "the memory that was kept cannot be read")


async def _tell_of_transfers(monitor: Monitor) -> None:
    await monitor.send("migrate-set-capabilities", {"capabilities": [{"capability": "events", "state": True}]})


async def _end_transfer(monitor: Monitor) -> None:
    """End what an agent began that was killed meanwhile."""
    if (await monitor.execute("query-migrate")).get("status") in ("setup", "active"):
        await monitor.execute("migrate_cancel")
        await monitor.wait(_is_end, TIMEOUT)


def _is_end(event: Event) -> bool:
    return bool(event["event"] == "MIGRATION" and event["data"]["status"] in _ENDS)
