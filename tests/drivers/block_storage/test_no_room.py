# SPDX-License-Identifier: Apache-2.0
"""A full disk: each verb says so and leaves what was there; servers are held, and go on where there is room again."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machines_lab import MIB, Machine

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.types import NO_ROOM
from cumulet.services.compute.agent.servers import ServersOnHost
from cumulet.services.compute.types import PowerState
from support.certificates import Authority
from support.small_disk import SmallDisk, small_disk
from support.waiting import until

SIZE = 4 * MIB
TIB = 1 << 40


class Lab:
    """A back end on a small disk with the volume `v`, full of data, its snapshot `s`, and a blank volume `w`."""

    def __init__(self, disk: SmallDisk, folder: Path) -> None:
        self.disk, self.folder = disk, folder
        self.backend = FileBackend(disk.path / "store")
        self.elsewhere = FileBackend(folder / "elsewhere")
        self.image = folder / "image"
        self.image.write_bytes(b"i" * SIZE)
        self.backend.create_from_image("v", SIZE, self.image, "raw")
        self.backend.snapshot("s", "v")
        self.backend.create_blank("w", SIZE)
        self.elsewhere.create_from_image("e", SIZE, self.image, "raw")

    def seen(self) -> dict[str, str]:
        """The files and their content."""
        found = [path for path in sorted((self.disk.path / "store").rglob("*")) if path.is_file()]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with small_disk(tmp_path / "disk", 32) as disk:
        yield Lab(disk, tmp_path)


VERBS: dict[str, Callable[[Lab], None]] = {
    "create_blank": lambda lab: lab.backend.create_blank("x", SIZE),
    "create_from_image": lambda lab: lab.backend.create_from_image("x", SIZE, lab.image, "raw"),
    "create_from_snapshot": lambda lab: lab.backend.create_from_snapshot("x", SIZE, "s"),
    "clone": lambda lab: lab.backend.clone("x", SIZE, "v"),
    "extend": lambda lab: lab.backend.extend("w", 2 * TIB),
    "snapshot": lambda lab: lab.backend.snapshot("x", "v"),
    "snapshot_together": lambda lab: lab.backend.snapshot_together({"x": "v", "y": "w"}),
    "revert": lambda lab: lab.backend.revert("v", "s"),
    "reimage": lambda lab: lab.backend.reimage("w", lab.image, "raw"),
    "receive": lambda lab: lab.backend.receive("x", SIZE, lab.elsewhere.source("e")),
}


# For some a little room is enough.
CASES = [(verb, left) for verb in VERBS for left in (0, MIB) if not left or verb not in ("create_blank", "extend")]


@pytest.mark.parametrize(("verb", "left"), CASES)
def test_a_verb_without_room_changes_nothing_and_works_later(lab: Lab, verb: str, left: int) -> None:
    lab.disk.fill(left)
    before = lab.seen()
    for _ in range(2):
        with pytest.raises(StorageFull) as refused:
            VERBS[verb](lab)
        assert refused.value.code == NO_ROOM
        assert lab.seen() == before
    lab.disk.make_room()
    VERBS[verb](lab)
    for path in (lab.disk.path / "store").rglob("*.qcow2"):
        subprocess.run(["qemu-img", "check", "-q", path], check=True)


def test_an_export_without_room_leaves_the_volume(lab: Lab) -> None:
    target = lab.disk.path / "export"
    lab.disk.fill(MIB)
    before = lab.seen()
    with pytest.raises(StorageFull):
        lab.backend.export("v", target, "raw")
    assert lab.seen() == before


@pytest.fixture(params=["local", "exported"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SmallDisk, Machine, Machine]]:
    """A small disk, the host that has its volumes on it, and the one with servers."""
    authority = Authority()
    with small_disk(tmp_path / "host-a" / "block_storage", 8) as disk:
        near = Machine("host-a", tmp_path, authority, servers=request.param == "local")
        far = near if request.param == "local" else Machine("host-b", tmp_path, authority, servers=True)
        yield disk, near, far
        for server in far.ask("server.report")["servers"]:
            far.ask("server.destroy", id=server)
        for volume in near.ask("volume.report")["exports"]:
            near.ask("volume.unexport", id=volume, generation=99)
        for each in {near, far}:
            each.leave()


def test_a_guest_whose_disk_is_full_is_held_until_there_is_room(
    machines: tuple[SmallDisk, Machine, Machine],
) -> None:
    disk, near, far = machines
    volume, server, snapshot = new_uuid(), new_uuid(), new_uuid()
    near.ask("volume.create", id=volume, size=MIB, image_id="image", image_format="raw")
    words = {"volume_id": volume, "device": "/dev/vda", "boot_index": 0, "generation": 1}
    if far is not near:
        words["remote"] = near.ask("volume.export", id=volume, generation=1, client="host-b")
    disk.fill()
    far.ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": [words]})
    agent = far.compute
    assert isinstance(agent, ServersOnHost)

    def power() -> int:
        return int(far.ask("server.report")["servers"][server])

    until(lambda: power() == PowerState.PAUSED)
    with pytest.raises((StorageFull, Conflict)):
        near.ask("volume.snapshot", id=snapshot, volume_id=volume, attached=True)
    assert near.ask("volume.report")["snapshots"] == []
    for _ in range(2):  # it is told, then it tries again, and there is no room yet
        agent.look_for_room()
        until(lambda: power() == PowerState.PAUSED)
    assert far.told == [("server.power", {"id": server})]
    disk.make_room()

    def said() -> str:
        agent.look_for_room()
        output: bytes = far.ask("server.console", id=server)["output"]
        return output.decode(errors="replace")

    until(lambda: "done" in said())
    agent.look_for_room()
    assert "!" not in said()
    assert power() == PowerState.RUNNING
    assert far.told == [("server.power", {"id": server})] * 2
    near.ask("volume.snapshot", id=snapshot, volume_id=volume, attached=True)
    assert near.numbers(volume) == list(range(1, 1025))
