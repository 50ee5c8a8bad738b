# SPDX-License-Identifier: Apache-2.0
"""Who has a volume's file open, by the kernel's word, and that what they wrote is on the disk before they say so."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machines_lab import MIB, Machine

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict, CumuletError, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.drivers.qemu import command_line
from support.certificates import Authority
from support.syncs import counted_syncs, openers
from support.waiting import until


class Lab:
    """`near` has the volumes; servers that open them are there or on the host `far`."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        self.near = Machine("host-a", folder, authority, servers=True)
        self.far = Machine("host-b", folder, authority, servers=True)

    def volume(self) -> str:
        made = new_uuid()
        self.near.ask("volume.create", id=made, size=MIB, image_id="image", image_format="raw")
        return made

    def file(self, volume: str) -> Path:
        return self.near.state / "block_storage" / "volumes" / f"{volume}.qcow2"

    def export(self, volume: str, generation: int, client: str = "host-b", **words: Any) -> Any:
        return self.near.ask("volume.export", id=volume, generation=generation, client=client, **words)

    def run(self, machine: Machine, volume: str, generation: int = 1, remote: Any = None) -> str:
        """A server that boots from the volume and writes to it."""
        server = new_uuid()
        words = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": generation}
        volumes = [words if remote is None else {**words, "remote": remote}]
        machine.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": volumes})
        return server

    def process(self, machine: Machine, server: str) -> int:
        with detached.Process.of(next(machine.state.rglob(f"{server}/*.pid"))) as running:  # type: ignore[union-attr]
            return running.pid

    def exporter(self, volume: str) -> int:
        place = self.near.state / "block_storage" / "exports" / volume / "export.pid"
        with detached.Process.of(place) as running:  # type: ignore[union-attr]
            return running.pid

    def dots(self, machine: Machine, server: str) -> int:
        output: bytes = machine.ask("server.console", id=server)["output"]
        return output.count(b".")

    def digest(self, volume: str) -> str:
        return hashlib.sha256(self.file(volume).read_bytes()).hexdigest()

    def is_free(self, volume: str) -> bool:
        """Nobody has the file, and QEMU's lock on it can be had."""
        words = ["qemu-io", "-f", "qcow2", "-c", "write -P 1 900k 512", self.file(volume)]
        return not openers(self.file(volume)) and subprocess.run(words, capture_output=True).returncode == 0

    def close(self) -> None:
        for machine in (self.far, self.near):
            for server in machine.ask("server.report")["servers"]:
                machine.ask("server.destroy", id=server)
        for volume in self.near.ask("volume.report")["exports"]:
            self.near.ask("volume.unexport", id=volume, generation=99)
            self.near.ask("volume.unexport", id=volume, generation=99)
        self.far.leave()
        self.near.leave()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("w"))
    yield made
    made.close()


ENDS = {
    "stopped": lambda lab, server: lab.near.ask("server.stop", id=server, timeout=0),
    "destroyed": lambda lab, server: lab.near.ask("server.destroy", id=server),
    "killed": lambda lab, server: os.kill(lab.process(lab.near, server), signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_server_that_ended_has_nothing_open(lab: Lab, end: str) -> None:
    volume = lab.volume()
    server = lab.run(lab.near, volume)
    assert openers(lab.file(volume)) == {lab.process(lab.near, server)}
    assert not lab.is_free(volume)
    ENDS[end](lab, server)
    until(lambda: lab.is_free(volume))
    lab.near.ask("server.destroy", id=server)


def test_no_second_server_opens_a_volume(lab: Lab) -> None:
    volume = lab.volume()
    server = lab.run(lab.near, volume)
    with pytest.raises(NotReady):
        lab.export(volume, 2)
    with pytest.raises(CumuletError):
        lab.run(lab.near, volume, 2)
    assert openers(lab.file(volume)) == {lab.process(lab.near, server)}
    lab.near.ask("server.destroy", id=server)
    remote = lab.export(volume, 3)
    assert openers(lab.file(volume)) == {lab.exporter(volume)}
    with pytest.raises(NotReady):
        lab.near.ask("volume.reimage", id=volume, image_id="image", image_format="raw", operation="1")
    with pytest.raises(NotReady):  # an attachment that is older than the export
        lab.run(lab.near, volume, 2)
    assert openers(lab.file(volume)) == {lab.exporter(volume)}
    assert lab.export(volume, 3) == remote
    lab.near.ask("volume.unexport", id=volume, generation=3)
    assert lab.is_free(volume)


def test_a_late_writer_of_a_volume_that_was_taken_from_it_is_refused(lab: Lab) -> None:
    """Its host was gone when the volume was detached by force: its server still runs there, and writes on."""
    volume = lab.volume()
    server = lab.run(lab.far, volume, 1, lab.export(volume, 1))
    until(lambda: lab.dots(lab.far, server) >= 2)
    lab.near.ask("volume.unexport", id=volume, generation=1)
    assert lab.is_free(volume)
    before, dots = lab.digest(volume), lab.dots(lab.far, server)
    taken = lab.export(volume, 2, "host-c")
    with pytest.raises(Conflict):
        lab.export(volume, 1)
    lab.near.leave()
    lab.near.begin()
    assert lab.export(volume, 2, "host-c") == taken
    lab.near.ask("volume.unexport", id=volume, generation=1)  # late too
    assert lab.near.ask("volume.report")["exports"][volume] == [2]
    assert lab.dots(lab.far, server) <= dots + 1
    lab.far.ask("server.destroy", id=server)
    lab.near.ask("volume.unexport", id=volume, generation=2)
    assert lab.digest(volume) == before
    assert lab.is_free(volume)


def test_servers_share_one_opener_until_the_last_is_gone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "OPEN_TIME", 2)
    volume = lab.volume()
    lab.export(volume, 1, "host-a", shared=True)
    remote = lab.export(volume, 2, "host-b", shared=True)
    servers = [
        (lab.near, lab.run(lab.near, volume, 1, remote)),
        (lab.far, lab.run(lab.far, volume, 2, remote)),
    ]
    assert openers(lab.file(volume)) == {lab.exporter(volume)}
    for generation, (machine, server) in enumerate(servers, 1):
        machine.ask("server.destroy", id=server)
        lab.near.ask("volume.unexport", id=volume, generation=generation)
        assert bool(openers(lab.file(volume))) is (generation == 1)
    assert lab.is_free(volume)


@pytest.mark.parametrize("way", ["local", "exported", "shared"])
def test_what_a_guest_was_told_to_be_written_is_on_the_disk(lab: Lab, way: str, tmp_path: Path) -> None:
    """The guest, which knows of no caches, has each of its writes brought there before the next one."""
    volume = lab.volume()
    machine = lab.near if way == "local" else lab.far
    remote = None if way == "local" else lab.export(volume, 1, shared=way == "shared")
    server = lab.run(machine, volume, 1, remote)
    pid = lab.process(machine, server) if way == "local" else lab.exporter(volume)
    machine.ask("server.pause", id=server)
    before = lab.dots(machine, server)
    with counted_syncs(pid, lab.file(volume), tmp_path / "log") as syncs:
        machine.ask("server.unpause", id=server)
        until(lambda: lab.dots(machine, server) >= before + 6)
        machine.ask("server.pause", id=server)
        acknowledged = (lab.dots(machine, server) - before - 1) * 16
        assert syncs() >= acknowledged
    machine.ask("server.destroy", id=server)
    lab.near.ask("volume.unexport", id=volume, generation=1)
