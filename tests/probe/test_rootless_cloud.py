# SPDX-License-Identifier: Apache-2.0
"""A whole cloud whose networks are in namespaces of the user's: the machine's own network is never touched."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.kernel import userland
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import with_prefix
from support.real_cloud import RealCloud, until

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    found = RealCloud(tmp_path_factory.mktemp("rootless") / "s")
    found.use({"network.rootless": "yes", "network.egress": "false"})
    try:
        yield found
    finally:
        found.command("down")


def on_the_machine(cloud: RealCloud) -> set[str]:
    """Devices and network namespaces of this cloud that the machine itself sees."""
    mark = names.suffix(cloud.settings.state / "agent")
    devices = {name for _, name in socket.if_nameindex() if name == names.host_cable(mark)}
    return devices | {space.name for space in with_prefix(names.fabric(mark))}


def test_servers_are_reached_from_where_the_cloud_is(cloud: RealCloud):
    cloud.command("up")
    keeper = userland.found(cloud.settings.run)
    assert keeper is not None
    assert _namespace(cloud.pid("agent")) == _namespace(keeper) != _namespace(os.getpid())
    assert "A server answered: Linux" in cloud.command("verify")
    gateway = cloud.flags["network.external_gateway"]
    assert gateway in cloud.command("shell", "--", "ip", "-4", "address")
    assert on_the_machine(cloud) == set()
    first = cloud.pid("agent")
    cloud.kill("agent")
    until("the agent came back", lambda: cloud.pid("agent") not in (None, first))
    until("it went in where the first one was", lambda: _namespace(cloud.pid("agent")) == _namespace(keeper), 30)
    assert "A server answered: Linux" in cloud.command("verify")
    assert on_the_machine(cloud) == set()
    cloud.command("down")
    assert userland.found(cloud.settings.run) is None
    until("the keeper's end", lambda: not _words(keeper), 10)


def _namespace(process: int) -> str:
    return Path(f"/proc/{process}/ns/user").readlink().name


def _words(process: int) -> bytes:
    """Its command line; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
