# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: made, entered and removed.

Who works in a namespace does so on a thread that is made for it, goes in and ends there: no thread of the process ever
has to find its way back, and no netlink socket can come from the wrong side.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """The network namespace `name`, kept alive by a mount under /run/netns as `ip netns` does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = FOLDER / name

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"

    def exists(self) -> bool:
        """Whether it stands; the mere file of a namespace that a reboot took away does not count."""
        return self.path.exists() and self.path.stat().st_dev != FOLDER.stat().st_dev

    def create(self) -> bool:
        """Make it, its loopback still down. False where it existed. Raises OSError (EPERM) without the right to."""
        if self.exists():
            return False
        _prepare_folder()
        self.path.touch(mode=0o444)
        in_thread(self._unshare, f"make {self.name}")
        return True

    def delete(self) -> None:
        """Remove it and, unless a process still lives inside, all its devices; nothing happens where there is none."""
        _libc.umount2(bytes(self.path), _MNT_DETACH)
        self.path.unlink(missing_ok=True)

    def visit(self, work: Callable[[], T]) -> T:
        """Run `work` inside and return what it returns, or raise what it raises. Sockets made there stay inside."""

        def inside() -> T:
            self.enter()
            return work()

        return in_thread(inside, self.name)

    def enter(self) -> None:
        """Move the calling thread inside, for good, and what it starts from now on."""
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_libc.setns(handle, _CLONE_NEWNET), f"enter {self.name}")
        finally:
            os.close(handle)

    def _unshare(self) -> None:
        _checked(_libc.unshare(_CLONE_NEWNET), f"make {self.name}")
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        _checked(_libc.mount(source.encode(), bytes(self.path), None, _MS_BIND, None), f"mount {self.name}")


def with_prefix(prefix: str) -> list[Namespace]:
    """All namespaces whose names begin with `prefix`."""
    return [Namespace(path.name) for path in sorted(FOLDER.glob(f"{prefix}*"))]


def in_thread(work: Callable[[], T], name: str) -> T:
    """Run `work` on a new thread, wait for it, hand back its result or its exception."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # it is raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def apart(work: Callable[[], T]) -> T:
    """Run `work` in a new network namespace without a name, which goes when it has ended."""

    def inside() -> T:
        _checked(_libc.unshare(_CLONE_NEWNET), "make a namespace")
        return work()

    return in_thread(inside, "apart")


def _prepare_folder() -> None:
    """Make /run/netns a mount of its own that is shared, so that namespaces removed here are gone everywhere."""
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = bytes(FOLDER)
    if _libc.mount(None, target, None, _MS_SHARED | _MS_REC, None) != 0:  # it is no mount yet
        _checked(_libc.mount(target, target, None, _MS_BIND | _MS_REC, None), "mount /run/netns")
        _checked(_libc.mount(None, target, None, _MS_SHARED | _MS_REC, None), "share /run/netns")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
