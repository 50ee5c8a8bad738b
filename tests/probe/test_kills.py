# SPDX-License-Identifier: Apache-2.0
"""`kill -9` in the middle of slow work, on real QEMU, fabric and files.

Afterwards every resource is at its goal or in a clean ERROR, and nothing is left over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from keystoneauth1.exceptions import ConnectFailure

from support.invariants import host_leftovers, hypervisor_processes, violations
from support.real_cloud import RealCloud, until

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(600)]

CREATE = [
    "compute.boot.claim:before",
    "compute.boot.claim:after",
    "compute.boot.network:inside",
    "compute.boot.spawn:inside",
    "server.build:before",
    "server.build:after",
]
DELETE = [
    "compute.delete.destroy:inside",
    "compute.delete.release:inside",
    "server.destroy:before",
    "server.destroy:after",
]
ATTACH = ["compute.attach_volume.plug:before", "compute.attach_volume.plug:inside", "server.attach_volume:after"]


@pytest.fixture(scope="module")
def cloud():
    """One cloud for all kills; nothing of it may be left at its end."""
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    running = RealCloud(folder / "s")
    try:
        running.command("up")
        yield running
    finally:
        running.command("down")
    assert host_leftovers(running) == []
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def api(cloud):
    with cloud.connect() as connection:
        network = connection.network.create_network(name="kills")
        connection.network.create_subnet(network_id=network.id, ip_version=4, cidr="192.168.77.0/24", name="kills")
        yield connection
        until("the network's removal", lambda: connection.delete_network(network.id))


@pytest.fixture
def make_server(cloud, api):
    """Ask for a server; all are gone at the end, whatever became of them."""
    made = []

    def make(name):
        wanted = {
            "image_id": api.image.find_image("cumulet").id,
            "flavor_id": api.compute.find_flavor("m1.micro").id,
            "networks": [{"uuid": api.network.find_network("kills").id}],
        }
        with contextlib.suppress(ConnectFailure):  # whoever answers may be killed before
            api.compute.create_server(name=name, **wanted)
        server = until("the server", lambda: api.compute.find_server(name))
        made.append(server.id)
        return server

    yield make
    for server_id in made:
        until("the server's delete", lambda i=server_id: api.compute.delete_server(i) is None)
        until("the server's end", lambda i=server_id: is_gone(api.compute, "servers", i))
    assert at_rest(cloud) == []
    assert hypervisor_processes(cloud) == {}


def is_gone(service, kind, found_id):
    return found_id not in [item.id for item in getattr(service, kind)(details=False)]


def at_rest(cloud):
    """What is wrong once the cloud had time to come to rest."""
    found = ["not looked yet"]

    def look():
        found[:] = violations(cloud)
        return not found

    try:
        until("rest", look, 60)
    except AssertionError:
        return found
    return []


def settled(api, server_id):
    """The server once it is at rest, ACTIVE or ERROR."""

    def look():
        server = api.compute.get_server(server_id)
        return server if server.status in ("ACTIVE", "ERROR") and server.task_state is None else None

    return until("the server's rest", look)


@pytest.mark.parametrize("place", CREATE)
def test_a_kill_while_a_server_is_made(cloud, api, make_server, place):
    cloud.die_at(place)
    server = settled(api, make_server("made").id)
    assert cloud.died(), f"nobody came by {place}"
    assert server.status == "ACTIVE", server.fault
    assert at_rest(cloud) == [], cloud.last_words()
    assert hypervisor_processes(cloud) == {server.id: 1}


@pytest.mark.parametrize("place", DELETE)
def test_a_kill_while_a_server_is_deleted(cloud, api, make_server, place):
    server = settled(api, make_server("deleted").id)
    cloud.die_at(place)
    with contextlib.suppress(ConnectFailure):
        api.compute.delete_server(server.id)
    until("the server's end", lambda: is_gone(api.compute, "servers", server.id))
    assert cloud.died(), f"nobody came by {place}"
    assert at_rest(cloud) == [], cloud.last_words()
    assert hypervisor_processes(cloud) == {}


@pytest.mark.parametrize("place", ATTACH)
def test_a_kill_while_a_volume_is_attached(cloud, api, make_server, place):
    server = settled(api, make_server("attached").id)
    volume = api.create_volume(1, name="kills", wait=True, timeout=120)
    cloud.die_at(place)
    with contextlib.suppress(ConnectFailure):  # the work may be under way before its answer is
        api.compute.create_volume_attachment(server.id, volume_id=volume.id)
    reached = until("the volume's rest", lambda: resting(api, volume.id))
    assert cloud.died(), f"nobody came by {place}"
    assert reached == "in-use"
    assert at_rest(cloud) == [], cloud.last_words()
    api.compute.delete_volume_attachment(server.id, volume.id)
    until("the volume's release", lambda: api.block_storage.get_volume(volume.id).status == "available")
    api.delete_volume(volume.id, wait=True)


def resting(api, volume_id):
    status = api.block_storage.get_volume(volume_id).status
    return status if status in ("in-use", "available", "error") else None


def test_a_delete_in_the_middle_of_a_boot_wins(cloud, api, make_server):
    server = make_server("hasty")
    api.compute.delete_server(server.id)
    until("the server's end", lambda: is_gone(api.compute, "servers", server.id))
    assert at_rest(cloud) == [], cloud.last_words()


def test_a_dead_hypervisor_is_noticed_and_the_server_starts_again(cloud, api, make_server):
    server = settled(api, make_server("shot").id)
    qemu = hypervisor_pid(cloud, server.id)
    os.kill(qemu, signal.SIGKILL)
    until("the server's stop", lambda: api.compute.get_server(server.id).status == "SHUTOFF")
    api.compute.start_server(server.id)
    until("the server's start", lambda: api.compute.get_server(server.id).status == "ACTIVE")
    assert at_rest(cloud) == []


def hypervisor_pid(cloud, server_id):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().decode(errors="replace").split("\0")
        if "qemu" in words[0] and server_id in words:
            return int(path.parent.name)
    raise AssertionError(f"no QEMU of {server_id}")


@pytest.mark.parametrize("part", ["control", "agent", "data"])
def test_a_killed_part_comes_back_and_servers_run_on(cloud, api, make_server, part):
    server = settled(api, make_server("lasting").id)
    before = hypervisor_pid(cloud, server.id)
    old = cloud.pid(part)
    cloud.kill(part)
    until(f"the {part}'s return", lambda: cloud.pid(part) not in (None, old))
    assert settled(api, server.id).status == "ACTIVE"
    assert hypervisor_pid(cloud, server.id) == before
    assert at_rest(cloud) == []
