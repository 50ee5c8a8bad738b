# SPDX-License-Identifier: Apache-2.0
"""Backup of a cloud at work on real QEMU, fabric and files, restored into an empty directory and started there."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.invariants import host_leftovers
from support.real_cloud import RealCloud, until

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(900)]

VOLUMES = "agent/block_storage/volumes"
MARK = b"written by the guest's owner before the backup".ljust(512, b".")


def test_servers_volumes_and_images_come_back():
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    first = RealCloud(folder / "s")
    try:
        first.command("up")
        with first.connect() as api:
            server, volume, image = fill(first, api)
            digest = api.image.get_image(image).hash_value
            token = api.auth_token
            first.command("backup", str(folder / "backup"))
            assert api.compute.get_server(server).status == "ACTIVE"
    finally:
        first.command("down")
    assert host_leftovers(first) == []
    expected = content(first.settings.state / VOLUMES / f"{volume}.qcow2")
    again = RealCloud(folder / "t")
    again.use({name: value for name, value in first.flags.items() if name != "state"})
    try:
        again.command("restore", str(folder / "backup"))
        assert content(again.settings.state / VOLUMES / f"{volume}.qcow2") == expected
        again.command("up")
        with again.connect() as api:
            check(again, api, server, image, digest)
            headers = {"x-auth-token": token, "x-subject-token": token}
            assert api.session.get(f"{again.settings.control_url}/identity/v3/auth/tokens", headers=headers).ok
            api.delete_server(server, wait=True, timeout=300)
            api.delete_volume(volume, wait=True, timeout=300)
    finally:
        again.command("down")
    assert host_leftovers(again) == []
    shutil.rmtree(folder)


def fill(cloud, api):
    """A server that has booted, with an attached volume whose content is known, and an image of its own."""
    network = api.network.create_network(name="n")
    api.network.create_subnet(network_id=network.id, ip_version=4, cidr="192.168.78.0/24", name="n")
    source = cloud.settings.state.parent / "data.raw"
    source.write_bytes(MARK.ljust(1 << 20, b"\0"))
    image = api.create_image("data", filename=str(source), disk_format="raw", container_format="bare", wait=True)
    volume = api.create_volume(1, image=image.id, name="v", wait=True, timeout=300)
    server = api.create_server(
        "vm", image="cumulet", flavor="m1.micro", network=network.id, wait=True, timeout=300, auto_ip=False
    )
    api.attach_volume(server, volume, wait=True, timeout=300)
    until("the guest to speak", lambda: b"login" in console(api, server.id))
    return server.id, volume.id, image.id


def check(cloud, api, server, image, digest):
    """The server was started from its journal: it is ACTIVE with its volume, and its guest booted a second time."""
    until("the server to be back", lambda: api.compute.get_server(server).status == "ACTIVE")
    attached = api.compute.get_server(server).attached_volumes
    assert len(attached) == 1
    log = cloud.settings.state / "agent" / "compute" / "servers" / server / "console.log"
    until("the guest to boot again", lambda: log.read_bytes().count(b"login") >= 2)
    target = cloud.settings.state.parent / "downloaded"
    with target.open("wb") as sink:
        api.image.download_image(image, output=sink)
    assert hashlib.sha512(target.read_bytes()).hexdigest() == digest


def console(api, server):
    return (api.compute.get_server_console_output(server).get("output") or "").encode()


def content(path):
    raw = path.parent.parent.parent.parent / "content.raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    try:
        found = raw.read_bytes()
        assert found.startswith(MARK)
        return hashlib.sha256(found).hexdigest()
    finally:
        raw.unlink()
