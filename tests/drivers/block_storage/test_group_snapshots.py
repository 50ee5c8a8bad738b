# SPDX-License-Identifier: Apache-2.0
"""Volumes of a group that real servers write to: their snapshots are of one moment, whoever has them open."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.compute import agent as compute
from cumulet.services.compute.types import PowerState
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from support.certificates import Authority
from support.waiting import until

MIB = 1 << 20
# counting_guest.S, assembled.
COUNTER = (
    bytes.fromhex(
        "31c08ed88ed0bc007c66c70600800000000066ff060080b281e80700b282e80200ebefbe307cb8004352cd135a72f4c3100001000080"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)


class Machine:
    """A host with volumes and servers, which may have their volumes through exports too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority()
        image = folder / "image"
        image.write_bytes(COUNTER.ljust(MIB, b"\0"))
        contracts = Contracts()
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image_id: image))
        self._loop = Loop()
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=5.0),
            block_storage=BlockStorage(),
            pci=Pci(),
            devices=Devices(),
            address="127.0.0.1",
        )
        host = Host(
            name="lab", state=folder, run_dir=folder / "run", settings=settings, loop=self._loop, contracts=contracts,
            emit=lambda *_: None, call=self._answer,
        )  # fmt: skip
        self._services: list[HostService] = [block_storage.create(host), compute.create(host)]
        self._verbs = {name: verb for service in self._services for name, verb in service.verbs.items()}
        for service in self._services:
            service.start()

    def _answer(self, verb: str, body: dict[str, str]) -> dict[str, str]:
        """The control plane, which knows one call."""
        assert verb == "volume.certificate"
        return {"certificate": self._authority.sign("lab", body["request"]), "authority": self._authority.pem}

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def volume(self) -> str:
        key = new_uuid()
        self.ask("volume.create", id=key, size=MIB)
        return key

    def server(self, *volumes: str, exported: bool = False) -> str:
        """One that counts on its second and third disks."""
        disks = []
        for number, key in enumerate(volumes, 1):
            # The firmware looks for those alone that it might boot from.
            disk: dict[str, Any] = {"volume_id": key, "device": f"/dev/vd{'abc'[number]}", "boot_index": number}
            disk["generation"] = 1
            if exported:
                disk["remote"] = self.ask("volume.export", id=key, generation=1, client="lab")
            disks.append(disk)
        key = new_uuid()
        spec = {"id": key, "vcpus": 1, "ram": 32, "image_id": "image", "image_format": "raw", "volumes": disks}
        self.ask("server.build", spec=spec)
        return key

    def power(self, server: str) -> PowerState:
        return PowerState(self.ask("server.report")["servers"][server])

    def take(self, *volumes: str, generation: int = 1) -> dict[str, str]:
        """Snapshots of all, by volume."""
        taken = {volume: new_uuid() for volume in volumes}
        specs = [
            {"id": key, "volume_id": volume, "attached": True, "generation": generation}
            for volume, key in taken.items()
        ]
        self.ask("volume.snapshot_group", snapshots=specs)
        return taken

    def number(self, snapshot: str) -> int:
        """What was counted to."""
        raw, path = self._folder / "raw", self._folder / "block_storage" / "snapshots" / f"{snapshot}.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        return int(struct.unpack("<I", raw.read_bytes()[:4])[0])

    def counted(self, volume: str) -> int:
        return self.number(self.take(volume)[volume])

    def close(self) -> None:
        for server in self.ask("server.report")["servers"]:
            self.ask("server.destroy", id=server)
        for volume in self.ask("volume.report")["exports"]:
            self.ask("volume.unexport", id=volume, generation=99)
        for service in self._services:
            service.stop()
        self._loop.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("g"))
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def counting(machine: Machine) -> tuple[str, str, str]:
    """A server at work, and the volumes that it writes each number to: one after the other."""
    first, second = machine.volume(), machine.volume()
    server = machine.server(first, second)
    until(lambda: machine.counted(second) > 0)
    return server, first, second


def test_volumes_of_one_server_are_copied_as_of_one_moment(machine: Machine, counting: tuple[str, str, str]) -> None:
    _, first, second = counting
    reached = 0
    for _ in range(4):
        taken = machine.take(second, first)
        numbers = machine.number(taken[first]), machine.number(taken[second])
        assert numbers[0] - numbers[1] in (0, 1)
        assert numbers[0] >= reached
        reached = numbers[0]


def test_all_who_have_volumes_open_hold_still(machine: Machine, counting: tuple[str, str, str]) -> None:
    """Another server, one that has its volume through an export, and a volume that nobody has open."""
    server, first, second = counting
    other, exported, closed = machine.volume(), machine.volume(), machine.volume()
    servers = [server, machine.server(other), machine.server(exported, exported=True)]
    until(lambda: machine.counted(other) > 0)
    until(lambda: machine.counted(exported) > 0)
    volumes = (first, other, exported, second, closed)
    for _ in range(2):
        taken = machine.take(*volumes)
        assert machine.number(taken[first]) - machine.number(taken[second]) in (0, 1)
    assert [machine.power(each) for each in servers] == [PowerState.RUNNING] * 3
    reached = machine.number(taken[first])
    until(lambda: machine.counted(first) > reached)
    assert machine.ask("volume.report")["exports"] == {exported: [1]}


def test_where_one_cannot_nobody_is_held(machine: Machine, counting: tuple[str, str, str]) -> None:
    """The order is for attachments that are over."""
    server, first, second = counting
    other = machine.volume()
    servers = [server, machine.server(other)]
    until(lambda: machine.counted(other) > 0)
    before = machine.ask("volume.report")["snapshots"]
    with pytest.raises(Conflict) as refused:
        machine.take(first, second, other, generation=2)
    assert refused.value.code == "StaleAttachment"
    assert machine.ask("volume.report")["snapshots"] == before
    assert [machine.power(each) for each in servers] == [PowerState.RUNNING] * 2


def test_who_died_while_a_server_stood_still_lets_it_go_on(machine: Machine, counting: tuple[str, str, str]) -> None:
    """Nobody asked for the pause that a killed agent has left behind."""
    server, first, _ = counting
    compute_part: Any = machine._services[1]
    compute_part._hypervisor.pause(server)
    assert machine.power(server) == PowerState.PAUSED
    for record in compute_part._records.all().values():
        compute_part._restore(record)
    assert machine.power(server) == PowerState.RUNNING
    reached = machine.counted(first)
    until(lambda: machine.counted(first) > reached)
