# SPDX-License-Identifier: Apache-2.0
"""A real server on one host that boots from a volume of another one, and goes on writing to it through every break."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel import detached
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.compute import agent as compute
from cumulet.services.compute.drivers.qemu import command_line
from cumulet.services.image.contract import HostImages
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from support.certificates import Authority
from support.waiting import until

MIB = 1 << 20
SECTOR, WRITES = 512, 1024
# writing_guest.S, assembled.
WRITER = (
    bytes.fromhex(
        "31c08ed88ed0bc007c8816717c66c706747c0000000066ff06747c66a1747c66a3008066a3807cbe787c8a16717cb80043cd13722966a174"
        "7ca80f7505b02ee8230066813e747c0004000072c9be6a7cac84c07405e80d00ebf6faf4ebfcb021e80200ebc2baf803eec3646f6e650d0a"
        "0000669000000000100001000080"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)


class Machine:
    """A host with volumes and, where asked for, servers."""

    def __init__(self, name: str, folder: Path, authority: Authority, *, servers: bool) -> None:
        self.name, self.state, self._servers = name, folder / name, servers
        self.state.mkdir()
        self._authority = authority
        self._image = folder / "image"
        self._image.write_bytes(WRITER)
        self.begin()

    def begin(self) -> None:
        """An agent starts, the first or one that comes after it."""
        contracts = Contracts()
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image_id: self._image))
        self._loop = Loop()
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=5.0),
            block_storage=SimpleNamespace(driver="file"),
            pci=Pci(),
            devices=Devices(),
            address="127.0.0.1",
        )
        host = Host(
            name=self.name, state=self.state, run_dir=self.state / "run", settings=settings, loop=self._loop,
            contracts=contracts, emit=lambda *_: None, call=self._answer,
        )  # fmt: skip
        self._services: list[HostService] = [block_storage.create(host)]
        if self._servers:
            self._services.append(compute.create(host))
        self._verbs = {name: verb for service in self._services for name, verb in service.verbs.items()}
        for service in self._services:
            service.start()

    def _answer(self, verb: str, body: dict[str, str]) -> dict[str, str]:
        """The control plane, which knows one call."""
        assert verb == "volume.certificate"
        return {"certificate": self._authority.sign(self.name, body["request"]), "authority": self._authority.pem}

    def leave(self) -> None:
        for service in reversed(self._services):
            service.stop()
        self._loop.close()

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def kill_export(self, volume: str) -> None:
        place = self.state / "block_storage" / "exports" / volume / "export.pid"
        with detached.Process.of(place) as process:  # type: ignore[union-attr]
            process.kill()

    def content(self, volume: str, folder: Path) -> bytes:
        raw = folder / "raw"
        path = self.state / "block_storage" / "volumes" / f"{volume}.qcow2"
        subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        return raw.read_bytes()


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
    found = [struct.unpack_from("<I", content, number * SECTOR)[0] for number in range(1, WRITES + 1)]
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
