# SPDX-License-Identifier: Apache-2.0
"""Namespaces in which an ordinary user is root: of networks that it makes, of mounts, and of nothing else.

They are kept by a process of their own that does nothing, so that the networks in them, and the guests on these,
outlive the agent that made them: the next one enters the same. There, /run is a folder of its own with all that was in
it but `netns`, where network namespaces have their names.

See user_namespaces(7): who made a user namespace may enter it, from a process with one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from cumulet.kernel import run

KEEPER = "userland.pid"
PATIENCE = 10.0
_NAMES = Path("/run/netns")
_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
_IDLE = ("sleep", "infinity")
# A /run like the old one, but for the names of network namespaces. Then: say who it is, and become the command.
# Nothing is written down in /run/mount (-n), which is root's.
_SCRIPT = """
new=$(mktemp -d)
mount -n -t tmpfs -o mode=755 tmpfs "$new"
for one in /run/*; do
    name=${one##*/}
    if [ "$name" = netns ]; then continue
    elif [ -L "$one" ]; then cp -P "$one" "$new/"
    elif [ -d "$one" ]; then mkdir "$new/$name"; mount -n --rbind "$one" "$new/$name" || true
    elif [ -e "$one" ]; then : > "$new/$name"; mount -n --bind "$one" "$new/$name" || true
    fi
done
mkdir "$new/netns"
mount -n --move "$new" /run
rmdir "$new"
echo $$ > "$1"
shift
exec "$@"
"""
_NEW = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", _SCRIPT, "sh")
_libc = ctypes.CDLL(None, use_errno=True)
_entered = False


def enter(folder: Path) -> None:
    """Go into the namespaces that the keeper of `folder` holds, one that is started if need be.

    Before the process has a second thread. Raises OSError where the kernel does not let users have such namespaces.
    """
    keeper = found(folder) or _start(folder)
    held = [os.open(f"/proc/{keeper}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "mnt")]
    here = Path.cwd()
    try:
        for handle, kind in zip(held, (_NEW_USER, _NEW_MOUNTS), strict=True):
            _checked(_libc.setns(handle, kind), "enter the user namespace")
    finally:
        for handle in held:
            os.close(handle)
    os.chdir(here)
    global _entered
    _entered = True


def entered() -> bool:
    """Whether this process has gone into such namespaces."""
    return _entered


def found(folder: Path) -> int | None:
    """The process that keeps the namespaces of `folder`; None where none lives."""
    with contextlib.suppress(OSError, ValueError):
        keeper = int((folder / KEEPER).read_text())
        words = Path(f"/proc/{keeper}/cmdline").read_bytes().split(b"\0")[:2]
        if words == [word.encode() for word in _IDLE]:
            return keeper
    return None


def end(folder: Path) -> None:
    """Let the namespaces go, with all that is left in them; nothing happens where there are none."""
    keeper = found(folder)
    if keeper is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)
    (folder / KEEPER).unlink(missing_ok=True)


def within(keeper: int, network: str) -> list[str]:
    """The words before a command that run it in the namespaces, and in the network namespace of that name."""
    both = ["nsenter", "--target", str(keeper), "--user", "--mount", "--preserve-credentials"]
    return [*both, "nsenter", f"--net={_NAMES / network}"]


def aside() -> list[str]:
    """The words before a command that run it in such namespaces of its own, which end with it."""
    return [*_NEW, "/dev/null"]


def _start(folder: Path) -> int:
    """Start a keeper, which outlives everybody, and wait until it is ready."""
    file, log = folder / KEEPER, folder / "userland.log"
    process = run.spawn([*_NEW, file, *_IDLE], log=log)
    deadline = time.monotonic() + PATIENCE
    while found(folder) != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"no user namespace can be made: {words}")
        time.sleep(0.01)
    return process.pid


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
