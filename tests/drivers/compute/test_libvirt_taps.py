# SPDX-License-Identifier: Apache-2.0
"""Taps that are lent to a daemon in another network namespace come back as they were."""

from __future__ import annotations

import os
import socket

import pytest
from compute_lab import in_namespace, make_tap
from pyroute2 import IPRoute

from cumulet.kernel.errors import NotReady
from cumulet.services.compute.drivers.libvirt import taps

pytestmark = pytest.mark.root


def plugged_tap(name: str) -> int:
    """A tap on a bridge, switched on, in the calling thread's namespace."""
    tap = make_tap(name)
    with IPRoute() as route:
        route.link("add", ifname="bridge", kind="bridge")
        bridge = socket.if_nametoindex("bridge")
        route.link("set", index=socket.if_nametoindex(name), mtu=1442, master=bridge, state="up")
    return tap


def seen(namespace: int, name: str) -> tuple[int, int, bool] | None:
    """The device's bridge, its MTU and whether it is on; None where it is not in the namespace."""

    def look() -> tuple[int, int, bool] | None:
        with IPRoute() as route:
            for found in route.get_links():
                if found.get_attr("IFLA_IFNAME") == name:
                    return found.get_attr("IFLA_MASTER") or 0, found.get_attr("IFLA_MTU"), bool(found["flags"] & 1)
        return None

    return taps.inside(namespace, look)


def here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


@pytest.fixture
def home():
    """A namespace with a tap on a bridge: a descriptor of it, and one of the tap."""
    namespace, tap = in_namespace(lambda: (here(), plugged_tap("lent0")))
    yield namespace, tap
    os.close(namespace)


@pytest.fixture
def daemon():
    namespace = in_namespace(here)
    yield namespace
    os.close(namespace)


def test_a_lent_tap_is_back_on_its_bridge(home, daemon):
    namespace, tap = home
    before = seen(namespace, "lent0")
    assert before[1:] == (1442, True)
    with taps.lent(tap, daemon) as name:
        assert seen(namespace, name) is None
        assert seen(daemon, name) == (0, 1442, False)
        # Who opens it there has it wherever it goes.
        other = taps.inside(daemon, lambda: make_tap(name))
    assert seen(daemon, "lent0") is None
    assert seen(namespace, "lent0") == before
    os.close(other)


def test_a_start_that_fails_leaves_the_tap_in_its_place(home, daemon):
    namespace, tap = home
    before = seen(namespace, "lent0")
    with pytest.raises(RuntimeError), taps.lent(tap, daemon):
        raise RuntimeError
    assert seen(namespace, "lent0") == before


def test_a_daemon_in_the_same_namespace_needs_nothing(home):
    namespace, tap = home
    before = seen(namespace, "lent0")
    with taps.lent(tap, namespace) as name:
        assert seen(namespace, name) == before


def test_the_daemons_namespace(libvirtd):
    found = taps.daemon_namespace(libvirtd.uri)
    mine = here()
    assert os.fstat(found).st_ino != os.fstat(mine).st_ino
    os.close(found)
    os.close(mine)
    with pytest.raises(NotReady):
        taps.daemon_namespace("qemu+unix:///system?socket=/nowhere")
