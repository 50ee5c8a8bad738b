# SPDX-License-Identifier: Apache-2.0
"""Volumes that a real server has open: everything that block storage does to them goes through its QEMU."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.block_storage.agent import disks
from cumulet.services.compute import agent as compute
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from cumulet.settings.volume_backups import VolumeBackups
from support.waiting import when_ready

MIB = 1 << 20
IDLE = bytes.fromhex("faf4ebfc").ljust(510, b"\0") + b"\x55\xaa"  # cli; hlt; again


class Machine:
    """A host with both services and one running server."""

    def __init__(self, folder: Path) -> None:
        self.volumes = folder / "block_storage" / "volumes"
        image = folder / "image"
        image.write_bytes(IDLE.ljust(MIB, b"\0"))
        contracts = Contracts()
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image_id: image))
        self._loop = Loop()
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=5.0),
            block_storage=BlockStorage(driver="file"),
            pci=Pci(),
            devices=Devices(),
            volume_backups=VolumeBackups(),
            address="127.0.0.1",
        )
        host = Host(
            name="lab", state=folder, run_dir=folder / "run", settings=settings, loop=self._loop, contracts=contracts,
            emit=lambda *_: None, call=lambda *_: None,
        )  # fmt: skip
        self._services: list[HostService] = [block_storage.create(host), compute.create(host)]
        self._verbs = {name: verb for service in self._services for name, verb in service.verbs.items()}
        for service in self._services:
            service.start()
        self.server = new_uuid()
        spec = {"id": self.server, "vcpus": 1, "ram": 32, "image_id": "image", "image_format": "raw"}
        self.ask("server.build", spec=spec)

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def attach(self, volume: str, generation: int = 0) -> None:
        disk = {"volume_id": volume, "device": "/dev/vdb", "generation": generation}
        self.ask("server.attach_volume", id=self.server, volume=disk)

    def close(self) -> None:
        self.ask("server.destroy", id=self.server)
        for service in self._services:
            service.stop()
        self._loop.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("m"))
    yield machine
    machine.close()


@pytest.fixture
def attached(machine: Machine, tmp_path: Path) -> str:
    """A volume with content, open in the running server."""
    volume = new_uuid()
    machine.ask("volume.create", id=volume, size=4 * MIB)
    piece = tmp_path / "piece"
    piece.write_bytes(b"held" * 128)
    path = machine.volumes / f"{volume}.qcow2"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -s {piece} 1M 512", path], check=True, capture_output=True)
    machine.attach(volume)
    return volume


def test_an_attached_volume_grows_in_its_server(machine: Machine, attached: str) -> None:
    assert machine.ask("volume.extend", id=attached, size=8 * MIB, attached=True) == {"size": 8 * MIB}
    assert machine.ask("volume.extend", id=attached, size=8 * MIB, attached=True) == {"size": 8 * MIB}


def test_a_snapshot_of_an_attached_volume_is_whole(machine: Machine, attached: str, tmp_path: Path) -> None:
    snapshot, volume = new_uuid(), new_uuid()
    machine.ask("volume.snapshot", id=snapshot, volume_id=attached, attached=True)
    machine.ask("volume.create", id=volume, size=4 * MIB, snapshot_id=snapshot)
    assert _content(machine, volume, tmp_path) == b"held" * 128


def test_a_backup_of_an_attached_volume_is_whole(machine: Machine, attached: str, tmp_path: Path) -> None:
    copy, volume = new_uuid(), new_uuid()
    stored = {"container": "c", "name": copy}
    machine.ask("volume.snapshot", id=copy, volume_id=attached, attached=True)
    assert machine.ask("backup.write", stored=stored, snapshot_id=copy, volume_id=attached, drop=True)["done"]
    machine.ask("backup.restore", id=volume, size=4 * MIB, stored=stored, operation="1", new=True)
    assert _content(machine, volume, tmp_path) == b"held" * 128


def test_a_clone_of_an_attached_volume_may_be_larger(machine: Machine, attached: str, tmp_path: Path) -> None:
    volume = new_uuid()
    assert machine.ask("volume.create", id=volume, size=8 * MIB, source_volume_id=attached) == {"size": 8 * MIB}
    assert _content(machine, volume, tmp_path) == b"held" * 128


def test_orders_for_an_older_attachment_are_refused(machine: Machine, attached: str) -> None:
    """The volume was detached and attached anew between the order and its arrival."""
    machine.ask("server.stop", id=machine.server, timeout=0.1)
    machine.ask("server.detach_volume", id=machine.server, volume_id=attached)
    machine.attach(attached, 2)
    machine.ask("server.start", id=machine.server)
    orders: list[tuple[str, dict[str, Any]]] = [
        ("volume.extend", {"id": attached, "size": 8 * MIB}),
        ("volume.snapshot", {"id": new_uuid(), "volume_id": attached}),
        ("volume.upload", {"id": attached, "image_id": new_uuid(), "format": "raw"}),
    ]
    for verb, words in orders:
        with pytest.raises(Conflict) as refused:
            machine.ask(verb, **words, attached=True, generation=1)
        assert refused.value.code == "StaleAttachment"
    clone = new_uuid()
    with pytest.raises(Conflict):
        machine.ask("volume.create", id=clone, size=4 * MIB, source_volume_id=attached, source_generation=1)
    assert machine.ask("volume.create", id=clone, size=4 * MIB, source_volume_id=attached, source_generation=2)
    for verb, words in orders[:2]:
        machine.ask(verb, **words, attached=True, generation=2)


def test_an_attached_volume_is_not_deleted(machine: Machine, attached: str) -> None:
    with pytest.raises(NotReady):
        machine.ask("volume.delete", id=attached)
    machine.ask("server.stop", id=machine.server, timeout=0.1)
    machine.ask("server.start", id=machine.server)
    with pytest.raises(NotReady):
        machine.ask("volume.delete", id=attached)


def test_a_stopped_server_has_nothing_open(machine: Machine, attached: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "OPENING", 1.0)
    machine.ask("server.stop", id=machine.server, timeout=0.1)
    try:
        snapshot = new_uuid()
        when_ready(lambda: machine.ask("volume.snapshot", id=snapshot, volume_id=attached, attached=True))
        when_ready(lambda: machine.ask("volume.extend", id=attached, size=16 * MIB, attached=True))
    finally:
        machine.ask("server.start", id=machine.server)


def test_snapshots_and_starts_of_the_server_do_not_meet(machine: Machine, attached: str) -> None:
    """A server that starts while its volume is copied waits for the copy, and the copy for the server."""
    machine.ask("server.stop", id=machine.server, timeout=0.1)

    def copy() -> None:
        for key in [new_uuid() for _ in range(3)]:
            when_ready(lambda key=key: machine.ask("volume.snapshot", id=key, volume_id=attached, attached=True))

    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(copy)
        machine.ask("server.start", id=machine.server)
    copying.result()


def _content(machine: Machine, volume: str, tmp_path: Path) -> bytes:
    raw = tmp_path / "raw"
    path = machine.volumes / f"{volume}.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    return raw.read_bytes()[MIB : MIB + 512]
