# SPDX-License-Identifier: Apache-2.0
"""The image service's host part against a control plane of a few lines."""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.link.host import Host
from cumulet.kernel.loop import Loop
from cumulet.services.image.agent import create, shelf
from cumulet.services.image.contract import HostImages
from cumulet.settings.image import ImageCopies
from support.hostile_images import ATTACKS, HONEST
from support.waiting import until

IMAGE = "5f6b3a0e-52a5-4a59-bd8f-0d8a3f0f6b1a"
OTHER = "c0a2e3cf-7d5a-4b8d-9a43-6f0e3b1d2c4f"
THIRD = "f4d1a0b2-3c58-4e6f-8a17-2b9c5d7e1f03"


class Control:
    """Answers the calls of the host part."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        self.said: dict[str, str] = {}
        self.formats: dict[str, str] = {}
        self.pushed: dict[str, bytearray] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.fetches = 0
        self.answers = threading.Event()
        self.answers.set()

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
            self.answers.wait(20)
            about = {"size": len(content), "sha512": self.said.get(image_id, hashlib.sha512(content).hexdigest())}
            return about | ({"disk_format": self.formats[image_id]} if image_id in self.formats else {})
        return bytes(content[body["offset"] : body["offset"] + body["length"]])


class Machine:
    """A host with the image service alone."""

    def __init__(self, folder: Path, control: Control, limits: ImageCopies | None = None) -> None:
        self.state = folder / "agent"
        self.contracts = Contracts()
        self._loop = Loop()
        host = Host(
            name="host-1",
            state=self.state,
            run_dir=folder / "run",
            settings=None if limits is None else SimpleNamespace(image_copies=limits),
            loop=self._loop,
            contracts=self.contracts,
            emit=lambda event, body: None,
            call=control.call,
        )
        self.journal = host.journal("image.copies")
        self.service = create(host)
        self.service.start()

    @property
    def images(self) -> HostImages:
        return self.contracts.use(HostImages)

    def forget(self, image_id: str) -> None:
        self.service.verbs["image.forget"]({"id": image_id})

    def tidy(self) -> None:
        self.service.verbs["image.tidy"]({})

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


def test_a_copy_that_is_being_made_is_reported(machine: Machine, control: Control) -> None:
    """A link that begins meanwhile must be able to tell that the image is gone."""
    control.images[IMAGE] = b"data"
    control.answers.clear()
    with ThreadPoolExecutor() as pool:
        path = pool.submit(machine.images.base, IMAGE)
        until(lambda: control.fetches == 1)
        assert machine.service.report() == {"copies": {IMAGE: ""}}
        forgotten = pool.submit(machine.forget, IMAGE)
        control.answers.set()
        path.result(20)
        forgotten.result(20)
    assert machine.service.report() == {"copies": {}}
    assert not path.result().exists()


def test_copies_outlive_the_agent_and_halves_do_not(tmp_path: Path, control: Control, machine: Machine) -> None:
    control.images[IMAGE] = b"data"
    path = machine.images.base(IMAGE)
    (path.parent / "other.new").write_bytes(b"half")
    (path.parent / "unknown").write_bytes(b"no record")
    again = Machine(tmp_path, control)
    try:
        assert list(path.parent.iterdir()) == [path]
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


def test_images_with_the_same_bytes_share_a_copy(tmp_path: Path, machine: Machine, control: Control) -> None:
    control.images[IMAGE] = control.images[OTHER] = b"the same"
    path = machine.images.base(IMAGE)
    del control.images[IMAGE]
    control.images[OTHER] = b"the same"
    assert machine.images.base(OTHER) == path
    machine.forget(IMAGE)
    assert path.exists()
    again = Machine(tmp_path, control)
    try:
        assert again.images.base(OTHER) == path
        assert path.read_bytes() == b"the same"
        again.forget(OTHER)
        assert not path.exists()
    finally:
        again.close()


def test_a_copy_of_the_release_before_is_used_on(machine: Machine, control: Control) -> None:
    """It bears the image's id."""
    content = b"data"
    control.images[IMAGE] = content
    path = machine.state / "images" / IMAGE
    path.write_bytes(content)
    sha512 = hashlib.sha512(content).hexdigest()
    machine.journal.put(IMAGE, {"size": len(content), "sha512": sha512, "unwanted": False})
    assert machine.images.base(IMAGE) == path
    assert control.fetches == 0
    assert machine.service.report() == {"copies": {IMAGE: sha512}}
    machine.forget(IMAGE)
    assert not path.exists()


def test_a_copy_is_there_before_it_is_needed(machine: Machine, control: Control) -> None:
    control.images[IMAGE] = b"data"
    machine.service.verbs["image.prefetch"]({"id": IMAGE})
    assert machine.images.base(IMAGE).read_bytes() == b"data"
    assert control.fetches == 1


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_host_opens_no_hostile_image(machine: Machine, control: Control, attack: Any) -> None:
    """Whatever container it came in: the control plane does not look into those."""
    control.images[IMAGE] = attack.content
    for declared in attack.declared:
        control.formats[IMAGE] = declared
        with pytest.raises(Conflict, match="is unacceptable"):
            machine.images.base(IMAGE)
        assert list((machine.state / "images").iterdir()) == []


def test_a_host_judges_by_the_format_that_each_image_declares(machine: Machine, control: Control) -> None:
    content = dict(HONEST)["qcow2"]
    control.images[IMAGE] = control.images[OTHER] = control.images[THIRD] = content
    control.formats |= {IMAGE: "raw", OTHER: "vmdk", THIRD: "qcow2"}
    path = machine.images.base(IMAGE)
    with pytest.raises(Conflict, match="does not match"):
        machine.images.base(OTHER)
    assert machine.images.base(THIRD) == path


def aged(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let time pass, as far as copies of images are concerned."""
    now = time.time() + seconds
    monkeypatch.setattr(shelf.time, "time", lambda: now)


def test_what_is_not_used_for_long_goes(tmp_path: Path, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, control, ImageCopies(age=7200.0))
    control.images |= {IMAGE: b"used", OTHER: b"unused"}
    used, unused = machine.images.base(IMAGE), machine.images.base(OTHER)
    disk = machine.state / "compute" / "root.qcow2"
    overlay(disk, used)
    aged(monkeypatch, 7000)
    machine.tidy()
    assert unused.exists()
    aged(monkeypatch, 400)
    machine.tidy()
    assert not unused.exists()
    assert used.exists()
    disk.unlink()
    machine.tidy()  # the disk was there a moment ago
    assert used.exists()
    aged(monkeypatch, 9000)
    machine.tidy()
    assert not used.exists()
    assert machine.images.base(OTHER).read_bytes() == b"unused"
    machine.close()


def test_of_too_many_copies_the_least_lately_used_go(
    tmp_path: Path, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, control, ImageCopies(size=3 << 20, age=0.0))
    control.images |= {each: bytes([number]) * (2 << 20) for number, each in enumerate((IMAGE, OTHER, THIRD), 1)}
    first = machine.images.base(IMAGE)
    overlay(machine.state / "compute" / "root.qcow2", first)
    aged(monkeypatch, 4000)
    second = machine.images.base(OTHER)
    assert second.exists()  # a disk is being made on it, perhaps
    aged(monkeypatch, 4000)
    third = machine.images.base(THIRD)
    assert [first.exists(), second.exists(), third.exists()] == [True, False, True]
    assert sorted(machine.service.report()["copies"]) == sorted([IMAGE, THIRD])
    machine.close()
