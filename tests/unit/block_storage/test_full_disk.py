# SPDX-License-Identifier: Apache-2.0
"""What users see where a host's disk is full: an end at once with Cinder's status and message, and no quota lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.people import environment
from support.small_disk import small_disk
from support.waiting import until

ROOT = "/block-storage/v3"
IMAGES = "/image/v2/images"
GONE = "gone"


class Lab:
    """A cloud of one host with 16 MiB for all that block storage has, and a volume with 4 MiB of data."""

    def __init__(self, folder: Path, url: str) -> None:
        words = {
            "block_storage.driver": "file",
            "block_storage.scheduler_default_filters": ["AvailabilityZoneFilter"],
        }
        self.running = RunningCloud(folder, ("identity", "image", "block_storage"), url, words)
        headers = {"openstack-api-version": "volume 3.70"}
        people = environment(self.running)
        self.ask = Caller(self.running.settings.control.port, people["ADMIN_TOKEN"], headers)
        self.store = folder / "agent" / "block_storage"
        self.volume = self.make("volume", size=1)
        self.write(self.volume)
        self.snapshot = self.make("snapshot", volume_id=self.volume)
        self.backup = self.make("backup", volume_id=self.volume)

    def write(self, volume: str) -> None:
        path = self.store / "volumes" / f"{volume}.qcow2"
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 2M", path], check=True, capture_output=True)

    def make(self, kind: str, **words: Any) -> str:
        made = self.begin(kind, **words)
        assert self.ends(kind, made) == "available"
        return made

    def begin(self, kind: str, **words: Any) -> str:
        return str(self.ask("POST", f"{ROOT}/{kind}s", {kind: words})[kind]["id"])

    def act(self, volume: str, action: str, **words: Any) -> Any:
        status, said = self.ask.ask("POST", f"{ROOT}/volumes/{volume}/action", {action: words})
        assert status == 202, said
        return said

    def ends(self, kind: str, one: str) -> str:
        """What it is at last."""
        return until(lambda: self._at_rest(kind, one))  # type: ignore[no-any-return]

    def messages(self, one: str) -> list[str]:
        found = self.ask("GET", f"{ROOT}/messages?resource_uuid={one}")["messages"]
        return [each["user_message"] for each in found]

    def used(self) -> dict[str, int]:
        found = self.ask("GET", f"{ROOT}/limits")["limits"]["absolute"]
        return {name: value for name, value in found.items() if name.endswith("Used")}

    def remove(self, kind: str, one: str) -> None:
        self.ask("DELETE", f"{ROOT}/{kind}s/{one}")
        assert self.ends(kind, one) == GONE

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file())

    def _at_rest(self, kind: str, one: str) -> str | None:
        status, said = self.ask.ask("GET", f"{ROOT}/{kind}s/{one}")
        found = GONE if status == 404 else said[kind]["status"]
        return None if found.endswith(("ing", "-backup")) and not found.startswith("error_") else found


@pytest.fixture(scope="module")
def disk_and_lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("full")
    with small_disk(folder / "agent" / "block_storage", 16) as disk:
        made = Lab(folder, pytestconfig.stash[ENGINES].new_url(engine))
        yield disk, made
        made.running.close()


CREATE = "create volume from backend storage:Driver failed to create the volume."
BACK_UP = "create backup:Backup driver failed to create backup."
MADE: dict[str, tuple[str, Callable[[Lab], dict[str, Any]], str, str]] = {
    "blank": ("volume", lambda _lab: {"size": 1}, "error", CREATE),
    "clone": ("volume", lambda lab: {"size": 1, "source_volid": lab.volume}, "error", CREATE),
    "restored": ("volume", lambda lab: {"size": 1, "snapshot_id": lab.snapshot}, "error", CREATE),
    "snapshot": (
        "snapshot", lambda lab: {"volume_id": lab.volume, "force": True}, "error",
        "create snapshot:Snapshot failed to create.",
    ),
    "backup": ("backup", lambda lab: {"volume_id": lab.volume}, "error", BACK_UP),
}  # fmt: skip


@pytest.mark.parametrize("case", MADE)
def test_what_finds_no_room_ends_in_error_and_leaves_nothing(disk_and_lab: Any, case: str) -> None:
    disk, lab = disk_and_lab
    kind, words, status, message = MADE[case]
    files, used = lab.files(), lab.used()
    disk.fill()
    try:
        made = lab.begin(kind, **words(lab))
        assert lab.ends(kind, made) == status
    finally:
        disk.make_room()
    assert lab.messages(made) == [message]
    if kind == "backup":
        assert "room" in lab.ask("GET", f"{ROOT}/backups/{made}")["backup"]["fail_reason"]
    assert lab.ends("volume", lab.volume) == "available"
    until(lambda: lab.files() == files)
    lab.remove(kind, made)
    assert lab.used() == used
    lab.remove(kind, lab.make(kind, **words(lab)))


def test_a_volume_that_cannot_grow_keeps_its_size_and_its_content(disk_and_lab: Any) -> None:
    disk, lab = disk_and_lab
    volume = lab.make("volume", size=1)
    used = lab.used()
    disk.fill()
    try:
        lab.act(volume, "os-extend", new_size=900)
        assert lab.ends("volume", volume) == "error_extending"
    finally:
        disk.make_room()
    assert lab.ask("GET", f"{ROOT}/volumes/{volume}")["volume"]["size"] == 1
    assert lab.messages(volume) == ["extend volume:Volume Driver failed to extend volume."]
    assert lab.used() == used
    lab.remove("volume", volume)


def test_an_image_that_finds_no_room_is_gone_and_the_volume_as_before(disk_and_lab: Any) -> None:
    disk, lab = disk_and_lab
    files = lab.files()
    disk.fill()
    try:
        said = lab.act(lab.volume, "os-volume_upload_image", image_name="full", disk_format="raw")
        assert lab.ends("volume", lab.volume) == "available"
    finally:
        disk.make_room()
    image = said["os-volume_upload_image"]["image_id"]
    assert lab.ask.ask("GET", f"{IMAGES}/{image}")[0] == 404
    assert lab.messages(lab.volume) == ["copy volume to image:Failed to upload volume to image at backend."]
    assert lab.files() == files


def test_a_restore_that_finds_no_room_leaves_backup_and_content(disk_and_lab: Any) -> None:
    disk, lab = disk_and_lab
    volume = lab.make("volume", size=1)
    files, used = lab.files(), lab.used()
    disk.fill()
    try:
        lab.ask("POST", f"{ROOT}/backups/{lab.backup}/restore", {"restore": {"volume_id": volume}})
        assert lab.ends("volume", volume) == "error_restoring"
    finally:
        disk.make_room()
    assert lab.ends("backup", lab.backup) == "available"
    assert lab.messages(lab.backup) == ["restore backup:Backup driver failed to restore backup."]
    assert lab.used() == used
    until(lambda: lab.files() == files)
    lab.remove("volume", volume)
