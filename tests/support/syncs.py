# SPDX-License-Identifier: Apache-2.0
"""How often a process has the kernel bring a file to the disk, and who has it open."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.waiting import until


@contextmanager
def counted_syncs(pid: int, file: Path, log: Path) -> Iterator[Callable[[], int]]:
    """The calls of `fdatasync` and `fsync` that the process makes on the file from the beginning of the block on."""
    log.touch()
    words = ["strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fsync", "-e", "signal=none", "-o", log, "-p", str(pid)]
    tracer = subprocess.Popen(words)
    try:
        until(lambda: "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text())
        yield lambda: log.read_text().count(f"<{file}>")
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def openers(file: Path) -> set[int]:
    """The numbers of the processes that have it open now, but for this one."""
    try:
        wanted = file.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for handle in (folder / "fd").iterdir():
                with suppress(OSError):
                    seen = handle.stat()
                    if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                        found.add(int(folder.name))
    return found - {os.getpid()}
