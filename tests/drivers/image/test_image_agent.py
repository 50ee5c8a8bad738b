# SPDX-License-Identifier: Apache-2.0
"""The image service's host part against a control plane of a few lines."""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.link.host import Host
from cumulet.kernel.loop import Loop
from cumulet.services.image.agent import create
from cumulet.services.image.contract import HostImages

IMAGE = "5f6b3a0e-52a5-4a59-bd8f-0d8a3f0f6b1a"


class Control:
    """Answers the calls of the host part."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        self.said: dict[str, str] = {}
        self.pushed: dict[str, bytearray] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.fetches = 0

    def call(self, verb: str, body: dict[str, Any], timeout: float = 60.0) -> Any:
        image_id = body["id"]
        if verb == "image.write":
            content = self.pushed.setdefault(image_id, bytearray())
            content[body["offset"] : body["offset"] + len(body["data"])] = body["data"]
            return None
        if verb == "image.finish":
            self.finished[image_id] = body
            return None
        if image_id not in self.images:
            raise NotFound(f"No image found with ID {image_id}")
        content = self.images[image_id]
        if verb == "image.describe":
            self.fetches += 1
            time.sleep(0.05)
            return {"size": len(content), "sha512": self.said.get(image_id, hashlib.sha512(content).hexdigest())}
        return bytes(content[body["offset"] : body["offset"] + body["length"]])


class Machine:
    """A host with the image service alone."""

    def __init__(self, folder: Path, control: Control) -> None:
        self.state = folder / "agent"
        self.contracts = Contracts()
        self._loop = Loop()
        host = Host(
            name="host-1",
            state=self.state,
            run_dir=folder / "run",
            settings=None,
            loop=self._loop,
            contracts=self.contracts,
            emit=lambda event, body: None,
            call=control.call,
        )
        self.service = create(host)
        self.service.start()

    @property
    def images(self) -> HostImages:
        return self.contracts.use(HostImages)

    def forget(self, image_id: str) -> None:
        self.service.verbs["image.forget"]({"id": image_id})

    def close(self) -> None:
        self.service.stop()
        self._loop.close()


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def machine(tmp_path: Path, control: Control) -> Any:
    made = Machine(tmp_path, control)
    yield made
    made.close()


def overlay(path: Path, backing: Path) -> None:
    """A qcow2 header that names a backing file."""
    name = str(backing).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(">4sIQI", b"QFI\xfb", 3, 512, len(name)).ljust(512, b"\0") + name)


def test_an_image_is_fetched_once_whoever_asks(machine: Machine, control: Control) -> None:
    control.images[IMAGE] = b"x" * 100 + bytes(3 << 20) + b"y" * 1234
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(machine.images.base(IMAGE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 8
    assert len(set(paths)) == 1
    assert control.fetches == 1
    assert paths[0].read_bytes() == control.images[IMAGE]
    assert paths[0].stat().st_blocks * 512 < 3 << 20
    assert machine.service.report() == {"copies": {IMAGE: hashlib.sha512(control.images[IMAGE]).hexdigest()}}


def test_a_copy_that_is_not_whole_is_never_used(machine: Machine, control: Control) -> None:
    control.images[IMAGE] = b"data"
    control.said[IMAGE] = "0" * 128
    with pytest.raises(NotReady):
        machine.images.base(IMAGE)
    assert list((machine.state / "images").iterdir()) == []
    del control.said[IMAGE]
    assert machine.images.base(IMAGE).read_bytes() == b"data"


def test_an_image_without_data_is_not_found(machine: Machine) -> None:
    with pytest.raises(NotFound):
        machine.images.base(IMAGE)


def test_copies_outlive_the_agent_and_halves_do_not(tmp_path: Path, control: Control, machine: Machine) -> None:
    control.images[IMAGE] = b"data"
    path = machine.images.base(IMAGE)
    (path.parent / "other.new").write_bytes(b"half")
    (path.parent / "unknown").write_bytes(b"no record")
    again = Machine(tmp_path, control)
    try:
        assert [each.name for each in path.parent.iterdir()] == [IMAGE]
        assert again.images.base(IMAGE) == path
        assert control.fetches == 1
    finally:
        again.close()


def test_a_forgotten_image_stays_as_long_as_a_disk_stands_on_it(machine: Machine, control: Control) -> None:
    control.images[IMAGE] = b"data"
    path = machine.images.base(IMAGE)
    disk = machine.state / "compute" / "server" / "root.qcow2"
    overlay(disk, path)
    machine.forget(IMAGE)
    machine.forget(IMAGE)
    assert path.exists()
    assert machine.images.base(IMAGE) == path
    assert machine.service.report() == {"copies": {}}
    disk.unlink()
    machine.forget("another")
    assert not path.exists()
    del control.images[IMAGE]
    with pytest.raises(NotFound):
        machine.images.base(IMAGE)


def test_what_nothing_stands_on_goes_at_once_or_at_the_next_start(
    tmp_path: Path, machine: Machine, control: Control
) -> None:
    control.images[IMAGE] = b"data"
    path = machine.images.base(IMAGE)
    disk = machine.state / "compute" / "root.qcow2"
    overlay(disk, path)
    machine.forget(IMAGE)
    disk.unlink()
    Machine(tmp_path, control).close()
    assert not path.exists()
    path = machine.images.base(IMAGE)
    machine.forget(IMAGE)
    assert not path.exists()


def test_a_disk_becomes_an_image(machine: Machine, control: Control, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"a" * (1 << 20) + b"b" * 77)
    machine.images.push(IMAGE, disk)
    machine.images.push(IMAGE, disk)
    assert bytes(control.pushed[IMAGE]) == disk.read_bytes()
    assert control.finished[IMAGE] == {
        "id": IMAGE,
        "size": (1 << 20) + 77,
        "sha512": hashlib.sha512(disk.read_bytes()).hexdigest(),
    }
