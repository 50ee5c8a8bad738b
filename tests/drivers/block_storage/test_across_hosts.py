# SPDX-License-Identifier: Apache-2.0
"""A real server on one host that boots from a volume of another one, and goes on writing to it through every break."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines_lab import CONTAINER, MIB, Machine

from cumulet.kernel import detached, memory_file
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.drivers.qemu import command_line
from cumulet.settings.block_storage import BlockStorage, IscsiVolumeBackend
from support.certificates import Authority
from support.waiting import until
from support.writing_guest import SECTOR, WRITER, WRITES

HEADER = 2 * MIB


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    authority = Authority()
    near = Machine("host-a", tmp_path, authority, servers=False)
    far = Machine("host-b", tmp_path, authority, servers=True)
    yield near, far
    for server in far.ask("server.report")["servers"]:
        far.ask("server.destroy", id=server)
    for volume in near.ask("volume.report")["exports"]:
        near.ask("volume.unexport", id=volume, generation=99)
    far.leave()
    near.leave()


@pytest.mark.timeout(300)
def test_a_server_writes_on_through_kills_and_restarts(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    near, far = machines
    volume, server, snapshot = new_uuid(), new_uuid(), new_uuid()
    near.ask("volume.create", id=volume, size=4 * MIB, image_id="image", image_format="raw")
    remote = near.ask("volume.export", id=volume, generation=1, client="host-b")
    disk = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": 1, "remote": remote}
    far.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": [disk]})

    def told() -> str:
        output: bytes = far.ask("server.console", id=server)["output"]
        return output.decode(errors="replace")

    for dots in (3, 10):
        until(lambda dots=dots: told().count(".") >= dots)
        near.kill_export(volume)
    until(lambda: told().count(".") >= 14)
    near.leave()
    before = told().count(".")
    until(lambda: told().count(".") > before)
    near.begin()
    near.ask("volume.snapshot", id=snapshot, volume_id=volume, attached=True)
    near.ask("volume.extend", id=volume, size=8 * MIB, attached=True)
    assert far.ask("server.resize_disk", id=server, volume_id=volume, size=8 * MIB) == {"done": True}
    with pytest.raises(Conflict):
        near.ask("volume.export", id=volume, generation=0, client="host-c")
    until(lambda: "done" in told())
    assert "!" not in told()
    content = near.content(volume, tmp_path)
    assert len(content) == 8 * MIB
    assert near.numbers(volume) == list(range(1, WRITES + 1))


@pytest.mark.timeout(300)
def test_what_a_server_writes_to_another_host_may_be_ciphertext(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """It boots from an encrypted volume, whose host is told no key but for the making."""
    near, far = machines
    volume, server = new_uuid(), new_uuid()
    near.ask("volume.create", id=volume, size=8 * MIB, image_id="image", image_format="raw", container=CONTAINER)
    remote = near.ask("volume.export", id=volume, generation=1, client="host-b")
    disk = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": 1, "remote": remote}
    volumes = [{**disk, "encrypted": True, "attachment_id": "its"}]
    far.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": volumes})
    until(lambda: b"." in far.ask("server.console", id=server)["output"])
    near.ask("volume.extend", id=volume, size=16 * MIB, attached=True)
    assert far.ask("server.resize_disk", id=server, volume_id=volume, size=16 * MIB) == {"done": True}
    until(lambda: b"done" in far.ask("server.console", id=server)["output"])
    far.ask("server.stop", id=server, timeout=0)
    near.ask("volume.unexport", id=volume, generation=1)
    content = near.content(volume, tmp_path)
    assert len(content) == 16 * MIB
    assert content.startswith(b"LUKS")
    assert WRITER[:64] not in content
    path = near.state / "block_storage" / "volumes" / f"{volume}.qcow2"
    with memory_file.holding(CONTAINER["passphrase"].encode()) as key:
        source = f"driver=luks,key-secret=key,file.driver=qcow2,file.file.driver=file,file.file.filename={path}"
        words = ["--object", f"secret,id=key,file={memory_file.path_of(key)}", "--image-opts", source]
        argv = ["qemu-img", "convert", "-O", "raw", *words, str(tmp_path / "plain")]
        subprocess.run(argv, check=True, pass_fds=[key])
    plain = (tmp_path / "plain").read_bytes()
    assert len(plain) == 16 * MIB - HEADER
    found = [struct.unpack_from("<I", plain, number * SECTOR)[0] for number in range(1, WRITES + 1)]
    assert found == list(range(1, WRITES + 1))


def test_a_plugged_volume_of_another_host_goes_when_it_is_told(machines: tuple[Machine, Machine]) -> None:
    near, far = machines
    server, volume = new_uuid(), new_uuid()
    near.ask("volume.create", id=volume, size=MIB)
    remote = near.ask("volume.export", id=volume, generation=1, client="host-b")
    far.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "image_id": "image", "image_format": "raw"})
    disk = {"volume_id": volume, "device": "/dev/vdb", "generation": 1, "remote": remote}
    for _ in range(2):
        far.ask("server.attach_volume", id=server, volume=disk)
    assert len(far.ask("server.diagnostics", id=server)["disks"]) == 2
    far.ask("server.stop", id=server, timeout=0)
    far.ask("server.start", id=server)
    assert len(far.ask("server.diagnostics", id=server)["disks"]) == 2
    again = near.ask("volume.export", id=volume, generation=1, client="host-b")
    assert again == remote


def test_a_server_of_a_wrong_host_does_not_start(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = machines
    monkeypatch.setattr(command_line, "OPEN_TIME", 1)
    server, volume = new_uuid(), new_uuid()
    near.ask("volume.create", id=volume, size=MIB)
    remote = near.ask("volume.export", id=volume, generation=1, client="host-c")
    disk = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": 1, "remote": remote}
    with pytest.raises(Conflict):
        far.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": [disk]})


@pytest.mark.timeout(300)
def test_a_server_of_the_same_host_writes_over_iscsi_through_kills_of_the_daemon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = BlockStorage(backends=(IscsiVolumeBackend(name="iscsi", port=port),))
    host = Machine("host-a", tmp_path, Authority(), servers=True, kept=kept)
    volume, server, snapshot = new_uuid(), new_uuid(), new_uuid()
    host.ask("volume.create", id=volume, size=4 * MIB, image_id="image", image_format="raw")
    remote = host.ask("volume.export", id=volume, generation=1, client="host-a", protocol="iscsi")
    secret = remote.pop("secret")
    host.learn(volume, secret)
    disk = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": 1, "remote": remote}

    def told() -> str:
        output: bytes = host.ask("server.console", id=server)["output"]
        return output.decode(errors="replace")

    try:
        host.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": [disk]})
        daemon = host.state / "block_storage" / "targets" / "iscsi" / "tgtd.pid"
        for dots in (3, 7):
            until(lambda dots=dots: told().count(".") >= dots)
            with detached.Process.of(daemon) as process:  # type: ignore[union-attr]
                process.kill()
        until(lambda: told().count(".") >= 10)
        host.ask("volume.snapshot", id=snapshot, volume_id=volume, attached=True)
        with pytest.raises(Conflict):
            host.ask("volume.extend", id=volume, size=8 * MIB, attached=True)
        with pytest.raises(Conflict):
            host.ask("volume.export", id=volume, generation=0, client="host-c", protocol="iscsi")
        until(lambda: "done" in told())
        assert "!" not in told()
        content = (host.state / "block_storage" / "backends" / "iscsi" / "volumes" / f"{volume}.raw").read_bytes()
        found = [struct.unpack_from("<I", content, number * SECTOR)[0] for number in range(1, WRITES + 1)]
        assert found == list(range(1, WRITES + 1))
        shown = [path for path in host.state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert all(path.stat().st_mode & 0o77 == 0 for path in shown)
        assert {path.parent.name for path in shown} == {volume}
    finally:
        host.ask("server.destroy", id=server)
        host.ask("volume.unexport", id=volume, generation=99)
        host.leave()
    assert not detached.Process.of(daemon)
