# SPDX-License-Identifier: Apache-2.0
"""QEMU processes: starting one, finding those of this state folder, waiting for an end, ending them.

A process is held by its pid file descriptor, so that a number that was given to another process since is never hit.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cumulet.kernel import run
from cumulet.services.compute.drivers.qemu.command_line import PID_FILE

LOG_FILE = "qemu.log"
END_TIMEOUT = 10.0  # seconds that a killed process may need to let go of its disks


class Process:
    """One running QEMU."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The QEMU whose pid file lies in `folder`, None where it does not run."""
        pid = find(folder.parent).get(folder.name)
        if pid is None:
            return None
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if not _is_ours(pid, folder):
            os.close(handle)
            return None
        return cls(pid, handle)

    def wait(self, timeout: float) -> bool:
        """Whether it ended within `timeout` seconds."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def kill(self) -> None:
        """End it now and wait until it is gone."""
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.wait(END_TIMEOUT)

    def close(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def launch(argv: Sequence[str], folder: Path, fds: Sequence[int]) -> None:
    """Start a QEMU that outlives this process; its words go to the log file in `folder`."""
    log = folder / LOG_FILE
    log.write_bytes(b"")
    child = run.spawn(argv, log=log, cwd=folder, pass_fds=fds)
    # While this process lives it has to collect the exit status of its children.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()


def last_words(folder: Path) -> str:
    """What a QEMU said before it ended."""
    try:
        return (folder / LOG_FILE).read_text(errors="replace")[-1000:].strip()
    except FileNotFoundError:
        return ""


def find(root: Path) -> dict[str, int]:
    """All QEMUs whose pid file lies in a folder below `root`: the folder's name, and the process's number."""
    found: dict[str, int] = {}
    prefix = f"{root}/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        path = _pid_file(int(entry.name))
        if path is not None and path.startswith(prefix):
            found[Path(path).parent.name] = int(entry.name)
    return found


def _is_ours(pid: int, folder: Path) -> bool:
    return _pid_file(pid) == str(folder / PID_FILE)


def _pid_file(pid: int) -> str | None:
    """The value of `-pidfile` of a process that is a QEMU; None for others and for the dead."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if not words[0].endswith(b"qemu-system-x86_64") or b"-pidfile" not in words:
        return None
    return os.fsdecode(words[words.index(b"-pidfile") + 1])
