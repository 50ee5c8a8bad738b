# SPDX-License-Identifier: Apache-2.0
"""A whole cloud of a user without any rights, whose networks are in namespaces: the machine's own is never touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cumulet import settings
from cumulet.cli import guest
from cumulet.kernel import userland
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import with_prefix
from support.ordinary import UID, Ordinary
from support.real_cloud import RealCloud, free_port, until

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture
def user() -> Iterator[Ordinary]:
    found = Ordinary()
    yield found
    found.close()


@pytest.fixture
def cloud(user: Ordinary) -> Iterator[RealCloud]:
    image = user.home / "guest.qcow2"
    guest.build(settings.load(environ=os.environ), image, print)
    found = RealCloud(user.home / "s", user.prefix)
    found.use({"network.egress": "false", "image.guest": str(image)})
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
    assert {Path(f"/proc/{cloud.pid(part)}").stat().st_uid for part in ("control", "agent", "data")} == {UID}
    assert "A server answered: Linux" in cloud.command("verify")
    gateway = cloud.flags["network.external_gateway"]
    assert gateway in cloud.command("shell", "--", "cat", "/proc/net/fib_trie")
    assert on_the_machine(cloud) == set()
    way = f"127.0.0.1:{free_port()}"
    cloud.command("ingress", "add", way, f"{gateway}:8080")
    with serving(cloud, gateway):
        until("what comes in gets there", lambda: fetched(way) == "from inside", 10)
    first = cloud.pid("agent")
    cloud.kill("agent")
    until("the agent came back", lambda: cloud.pid("agent") not in (None, first))
    until("it went in where the first one was", lambda: _namespace(cloud.pid("agent")) == _namespace(keeper), 30)
    assert "A server answered: Linux" in cloud.command("verify")
    assert on_the_machine(cloud) == set()
    with serving(cloud, gateway):
        until("it still does after the agent's restart", lambda: fetched(way) == "from inside", 10)
    cloud.command("down")
    assert userland.found(cloud.settings.run) is None
    until("the keeper's end", lambda: not _words(keeper), 10)


@contextmanager
def serving(cloud: RealCloud, address: str) -> Iterator[None]:
    """A web server where the cloud meets the machine."""
    folder = cloud.settings.state.parent / "web"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text("from inside")
    server = [sys.executable, "-m", "http.server", "8080", "--bind", address, "--directory", str(folder)]
    with subprocess.Popen(cloud.argv("shell", "--", *server), stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def fetched(address: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _namespace(process: int) -> str:
    return Path(f"/proc/{process}/ns/user").readlink().name


def _words(process: int) -> bytes:
    """Its command line; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
