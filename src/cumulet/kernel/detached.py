# SPDX-License-Identifier: Apache-2.0
"""Programs that outlive the agent: starting one, finding those of a folder, waiting for an end, ending them.

Such a program is known by its own `-pidfile` argument (or `--pidfile`, `--pid-file`, `--pid file=`), a path that no
other program has. It is held by its pid file descriptor, so that a number that was given to another process since is
never hit.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Self

from cumulet.kernel import run

_OPTIONS = (b"-pidfile", b"--pidfile", b"--pid", b"--pid-file")
END_TIMEOUT = 10.0  # seconds that a killed process may need to let go of its disks


class Process:
    """One running program."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    @classmethod
    def of(cls, pid_file: Path) -> Self | None:
        """The program with this pid file, None where it does not run."""
        pid = next((pid for pid, path in _all() if path == str(pid_file)), None)
        if pid is None:
            return None
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if _pid_file(pid) != str(pid_file):
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


def launch(argv: Sequence[str], log: Path, fds: Sequence[int] = (), env: Mapping[str, str] | None = None) -> None:
    """Start a program that outlives this process, in the folder of `log`, which holds its words alone."""
    log.write_bytes(b"")
    child = run.spawn(argv, log=log, cwd=log.parent, env=env, pass_fds=fds)
    # While this process lives it has to collect the exit status of its children.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()


def last_words(log: Path) -> str:
    """What a program said before it ended."""
    try:
        return log.read_text(errors="replace")[-1000:].strip()
    except FileNotFoundError:
        return ""


def find(root: Path) -> dict[str, int]:
    """All programs whose pid file lies in a folder below `root`: the folder's name, and the process's number."""
    prefix = f"{root}/"
    return {Path(path).parent.name: pid for pid, path in _all() if path.startswith(prefix)}


def end_writers(folder: Path, suffix: str = "") -> None:
    """End programs that an agent which died has left at work on files below `folder` whose names end in `suffix`.

    No other programs may know of such files.
    """
    wanted, end = os.fsencode(folder.resolve()) + b"/", os.fsencode(suffix)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _names(int(entry.name), wanted, end):
            with suppress(ProcessLookupError), Process(int(entry.name), os.pidfd_open(int(entry.name))) as found:
                if _names(found.pid, wanted, end):
                    found.kill()


def _names(pid: int, folder: bytes, suffix: bytes) -> bool:
    return pid != os.getpid() and any(folder in word and word.endswith(suffix) for word in _words(pid))


def _words(pid: int) -> list[bytes]:
    """A process's arguments; none for the dead."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _all() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (path := _pid_file(int(entry.name))) is not None:
            yield int(entry.name), path


def _pid_file(pid: int) -> str | None:
    """The value of a process's `-pidfile`; None for those without and for the dead."""
    found = (os.fsdecode(path) for word, path in pairwise(_words(pid)) if word in _OPTIONS)
    return next((path.removeprefix("file=") for path in found), None)
