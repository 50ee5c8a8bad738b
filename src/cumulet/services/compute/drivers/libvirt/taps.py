# SPDX-License-Identifier: Apache-2.0
"""Taps for a daemon in another network namespace: libvirt opens a tap by its name, in its own namespace alone.

While a domain is started or gets an interface, held or without a driver for it, the tap is lent: it stays there though
nobody has it open, is moved to the daemon's namespace, which it enters switched off and outside of any bridge, and
moved back with its bridge, size and switch as they were. QEMU's descriptor of it is good wherever it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from cumulet.kernel.errors import NotReady

T = TypeVar("T")

SOCKETS = (Path("/run/libvirt/libvirt-sock"), Path("/run/libvirt/virtqemud-sock"))
_CLONE_NEWNET = 0x40000000
_UP = 1
# linux/if_tun.h
_TUNGETIFF, _TUNSETPERSIST, _TUNGETDEVNETNS = 0x800454D2, 0x400454CB, 0x54E3
_CREDENTIALS = struct.Struct("iII")  # of a socket's other side: process, user, group


def daemon_namespace(uri: str) -> int:
    """A descriptor of the network namespace in which the daemon behind a connection's address lives.

    Raises NotReady where nobody listens there.
    """
    named = parse_qs(urlsplit(uri).query).get("socket", [])
    for path in [Path(each) for each in named] or SOCKETS:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            try:
                stream.connect(str(path))
            except OSError:
                continue
            process, _, _ = _CREDENTIALS.unpack(
                stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            return os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    raise NotReady("libvirt's daemon does not listen on this host", code="HypervisorFailed")


@contextmanager
def lent(tap: int, daemon: int) -> Iterator[str]:
    """The name under which the daemon can open the tap with this descriptor, which is closed.

    The device is where it was in the end; it lives on when it is closed, until it is removed.
    """
    name = fcntl.ioctl(tap, _TUNGETIFF, bytes(40))[:16].rstrip(b"\0").decode()
    home = fcntl.ioctl(tap, _TUNGETDEVNETNS)
    try:
        fcntl.ioctl(tap, _TUNSETPERSIST, 1)
        if _same(home, daemon):
            os.close(tap)
            yield name
            return
        found = inside(home, lambda: _look(name))
        inside(home, lambda: _move(name, daemon))
        os.close(tap)
        try:
            yield name
        finally:
            inside(daemon, lambda: _move(name, home))
            inside(home, lambda: _settle(name, *found))
    finally:
        os.close(home)


def _same(one: int, other: int) -> bool:
    return os.fstat(one).st_ino == os.fstat(other).st_ino


def _look(name: str) -> tuple[int, int, bool]:
    """A device's bridge (its index, 0 for none), its MTU and whether it is on."""
    from pyroute2 import IPRoute

    with IPRoute() as route:
        found = route.link("get", ifname=name)[0]
        return found.get_attr("IFLA_MASTER") or 0, found.get_attr("IFLA_MTU"), bool(found["flags"] & _UP)


def _move(name: str, target: int) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        route.link("set", index=socket.if_nametoindex(name), net_ns_fd=target)


def _settle(name: str, bridge: int, mtu: int, is_up: bool) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        index = socket.if_nametoindex(name)
        words = {"master": bridge} if bridge else {}
        route.link("set", index=index, mtu=mtu, state="up" if is_up else "down", **words)


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Do `work` in a network namespace, on a thread that ends with it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "enter a network namespace")
            results.append(work())
        except BaseException as error:  # it is raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body, name="lend-tap", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
