# SPDX-License-Identifier: Apache-2.0
"""Volumes that go to other back ends and hosts while a real guest writes to them, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from machines_lab import MIB, Machine

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.agent.moves import MovesOnHost
from cumulet.services.compute.agent.records import Record
from cumulet.services.compute.drivers.qemu.exchange import JOB
from cumulet.services.compute.types import PowerState
from cumulet.settings.block_storage import BlockStorage, FileVolumeBackend
from support.certificates import Authority
from support.syncs import openers
from support.waiting import until
from support.writing_guest import check, checker


class Moving:
    """A guest that writes without end to its volume, and what the control plane does to move that.

    It is on the host `near`; there is one more, and each has two back ends.
    """

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        kept = BlockStorage(backends=[FileVolumeBackend(name="shelf"), FileVolumeBackend(name="loft")])
        self.near = Machine("near", folder, authority, servers=True, kept=kept)
        self.far = Machine("far", folder, authority, servers=False, kept=kept)
        self.folder, self.volume, self.server = folder, new_uuid(), new_uuid()
        self.generation, self.machine, self.backend = 1, self.near, "shelf"
        self.mark, self.before = 1, 0  # of the guest's run, and how much was told before it
        (folder / "image").write_bytes(checker(self.mark).ljust(MIB, b"\0"))
        self.near.ask("volume.create", id=self.volume, size=4 * MIB, image_id="image", image_format="raw")
        disk = {"volume_id": self.volume, "device": "/dev/vda", "boot_index": 0, "generation": 1, "backend": "shelf"}
        self._disk = disk
        self.near.ask("server.build", spec={"id": self.server, "vcpus": 1, "ram": 32, "volumes": [disk]})
        self.goes_on()

    def target(self, machine: Machine, backend: str) -> dict[str, Any]:
        """A new disk, and how it is opened."""
        machine.ask("volume.create", id=self.volume, size=4 * MIB, backend=backend)
        words: dict[str, Any] = {"generation": self.generation + 1, "backend": backend}
        if machine is self.far:
            words["remote"] = machine.ask("volume.export", id=self.volume, client="near", **words)
        return {**self._disk, **words}

    def arrived(self, machine: Machine, backend: str) -> None:
        if self.machine is self.far:
            self.far.ask("volume.unexport", id=self.volume, generation=self.generation)
        self.machine.ask("volume.delete", id=self.volume, backend=self.backend)
        self.generation, self.machine, self.backend = self.generation + 1, machine, backend
        assert list(self.folder.rglob(f"{self.volume}.qcow2")) == [self.file()]
        assert len(openers(self.file())) == 1

    def move(self, machine: Machine, backend: str) -> None:
        volume = self.target(machine, backend)
        for _ in range(2):
            assert self.near.ask("server.move_volume", id=self.server, volume=volume) == {"done": True}
        self.arrived(machine, backend)

    def file(self, backend: str = "") -> Path:
        return self.file_of(self.machine, backend or self.backend)

    def file_of(self, machine: Machine, backend: str) -> Path:
        return machine.state / "block_storage" / "backends" / backend / "volumes" / f"{self.volume}.qcow2"

    def told(self) -> int:
        """How many of its writes the guest knows to be done."""
        output: bytes = self.near.ask("server.console", id=self.server)["output"]
        assert b"!" not in output
        return output.count(b".") * 16 - self.before

    def goes_on(self) -> None:
        before = self.told()
        until(lambda: self.told() > before)
        assert self.near.ask("server.power", id=self.server) == {"power": PowerState.RUNNING}

    def kill(self) -> None:
        """QEMU and the agent end at once."""
        self.near.leave()
        (path,) = self.near.state.rglob(f"{self.server}/qemu.pid")
        with detached.Process.of(path) as process:  # type: ignore[union-attr]
            process.kill()
        self.near.begin()

    def examine(self, path: Path) -> None:
        """All that the guest was told to be written is on the disk. Then it may start, for the next run."""
        raw = self.folder / "raw"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        check(raw.read_bytes(), self.mark, self.told())
        self.before, self.mark = self.told() + self.before, self.mark + 1
        piece = self.folder / "piece"
        piece.write_bytes(checker(self.mark))
        words = ["-c", "write -z 0 1M", "-c", f"write -s {piece} 0 512"]
        subprocess.run(["qemu-io", "-f", "qcow2", *words, path], check=True, capture_output=True)

    def close(self) -> None:
        self.near.ask("server.destroy", id=self.server)
        self.far.ask("volume.unexport", id=self.volume, generation=99)
        self.near.leave()
        self.far.leave()


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    made = Moving(tmp_path_factory.mktemp("m"))
    yield made
    made.close()


@pytest.mark.timeout(300)
def test_a_guest_writes_on_while_its_volume_goes_from_place_to_place(moving: Moving) -> None:
    near, far = moving.near, moving.far
    for machine, backend in ((near, "loft"), (far, "shelf"), (near, "shelf")):
        moving.move(machine, backend)
        moving.goes_on()
        if machine is far:
            far.ask("volume.create", id=moving.volume, size=4 * MIB, backend="loft")
            with pytest.raises(Conflict):  # the guest would come back to that one
                far.ask("volume.export", id=moving.volume, client="near", generation=9, backend="loft")
            far.ask("volume.delete", id=moving.volume, backend="loft")
            moving.goes_on()
    near.leave()
    near.begin()
    words = {"backend": "shelf", "attached": True, "generation": moving.generation}
    near.ask("volume.snapshot", id=new_uuid(), volume_id=moving.volume, **words)
    moving.goes_on()
    told = moving.told()
    near.ask("server.stop", id=moving.server, timeout=0)
    assert moving.told() >= told
    moving.examine(moving.file())
    near.ask("server.start", id=moving.server)
    moving.goes_on()


def test_one_that_is_held_stays_so(moving: Moving) -> None:
    moving.near.ask("server.pause", id=moving.server)
    moving.move(moving.near, "loft")
    assert moving.near.ask("server.power", id=moving.server) == {"power": PowerState.PAUSED}
    moving.near.ask("server.unpause", id=moving.server)
    moving.goes_on()


def test_what_cannot_be_moved_stays_as_it_is(moving: Moving) -> None:
    near, volume = moving.near, moving.target(moving.near, "shelf")
    path = moving.file("shelf")
    subprocess.run(["qemu-img", "resize", "-q", "--shrink", path, str(2 * MIB)], check=True)
    for words in ({}, {"encrypted": True}, {"generation": 1}, {"volume_id": new_uuid()}):
        with pytest.raises(Conflict):
            near.ask("server.move_volume", id=moving.server, volume={**volume, **words})
        moving.goes_on()
        assert (len(openers(path)), len(openers(moving.file()))) == (0, 1)
    near.ask("volume.delete", id=moving.volume, backend="shelf")
    assert near.ask("server.place_volume", id=moving.server, volume=volume) == {"done": False}


def test_a_guest_does_not_wait_for_the_host_that_its_volume_goes_to(
    moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, send = moving.near, moving.far, Monitor.send
    away, back = threading.Event(), threading.Event()
    volume = moving.target(far, "shelf")
    (exporter,) = openers(moving.file_of(far, "shelf"))

    async def freezing(monitor: Monitor, command: str, arguments: Any, **more: Any) -> object:
        if command == "blockdev-mirror":
            await send(monitor, command, {**arguments, "speed": 1})
            os.kill(exporter, signal.SIGSTOP)
            away.set()
            return None
        if command == "query-block-jobs" and back.is_set():
            back.clear()
            await send(monitor, "block-job-set-speed", {"device": JOB, "speed": 0})
        return await send(monitor, command, arguments, **more)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(Monitor, "send", freezing)
        moved = pool.submit(near.ask, "server.move_volume", id=moving.server, volume=volume)
        try:
            assert away.wait(60)
            for _ in range(3):
                seen = moving.told()
                until(lambda seen=seen: moving.told() > seen)  # type: ignore[misc]
            assert not moved.done()
        finally:
            os.kill(exporter, signal.SIGCONT)
            back.set()
        assert moved.result(60) == {"done": True}
    moving.arrived(far, "shelf")
    moving.goes_on()
    moving.move(near, "shelf")
    moving.goes_on()


class Death(Exception):
    """The agent is killed here."""


def _kill_behind(patch: pytest.MonkeyPatch, behind: str) -> None:
    """Let nothing be said to QEMU after a command, nor be written down after that, or by the `journal`."""
    dead, send, has = [False], Monitor.send, MovesOnHost._has

    async def dying(monitor: Monitor, command: str, arguments: Any, **more: Any) -> Any:
        if dead[0]:
            raise Death
        answer = await send(monitor, command, arguments, **more)
        dead[0] = command == behind
        if dead[0]:
            raise Death
        return answer

    def settled(_moves: MovesOnHost, record: Record) -> Record:
        if record.moving is not None:
            raise Death
        return record

    def written(moves: MovesOnHost, *words: Any) -> Record:
        dead[0] = behind == "journal"
        if dead[0]:
            raise Death
        return has(moves, *words)

    patch.setattr(Monitor, "send", dying)
    patch.setattr(MovesOnHost, "settled", settled)
    patch.setattr(MovesOnHost, "_has", written)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("behind", ["blockdev-mirror", "stop", "journal", "cont"])
def test_no_write_is_lost_whoever_is_killed(moving: Moving, monkeypatch: pytest.MonkeyPatch, behind: str) -> None:
    near = moving.near
    for qemu_too in (False, True):
        backend = "loft" if moving.backend == "shelf" else "shelf"
        volume = moving.target(near, backend)
        with monkeypatch.context() as patch:
            _kill_behind(patch, behind)
            with pytest.raises(Death):
                near.ask("server.move_volume", id=moving.server, volume=volume)
        if qemu_too:
            moving.kill()
        else:
            near.leave()
            near.begin()
        asked = {"volume_id": moving.volume, "generation": volume["generation"]}
        has = near.ask("server.settle_volume", id=moving.server, **asked)
        assert has["open"] != qemu_too
        if behind in ("stop", "block-job-complete", "journal") and qemu_too:
            # Nothing was on one disk that was not on the other.
            assert not has["done"]
        if qemu_too:
            moving.examine(moving.file(backend if has["done"] else ""))
            near.ask("server.start", id=moving.server)
        moving.goes_on()
        if has["done"]:
            moving.arrived(near, backend)
        else:
            moving.move(near, backend)
        moving.goes_on()
