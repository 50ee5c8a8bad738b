# SPDX-License-Identifier: Apache-2.0
"""Backups of real files: told to others, counted, and taken over by another cloud that has the same store."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.blob.files import FileBlobs
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.ids import new_uuid
from cumulet.services.block_storage.logic import backup_progress
from cumulet.services.block_storage.store import backups as store
from cumulet.services.block_storage.store import volumes as volume_store
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

pytestmark = pytest.mark.timeout(300)
MIB = 1 << 20


class World:
    """A cloud with volumes in files whose backups are where `said` has them; its member and its admin."""

    def __init__(self, folder: Path, said: Mapping[str, str], *more: str) -> None:
        chosen = {"block_storage.driver": "file", **said}
        self.running = RunningCloud(folder, ["identity", "image", "block_storage", *more], settings=chosen)
        self.people = environment(self.running)
        self.http = self._client("MEMBER_TOKEN")
        self.admin = self._client("ADMIN_TOKEN")
        self.folder = self.running.settings.state / "agent" / "block_storage"

    def _client(self, who: str) -> httpx.Client:
        headers = {"x-auth-token": self.people[who], "openstack-api-version": "volume 3.71"}
        return httpx.Client(base_url=f"{self.running.control_url}/block-storage/v3", headers=headers, timeout=60)

    def close(self) -> None:
        self.http.close()
        self.admin.close()
        self.running.close()

    def volume(self) -> str:
        volume = str(self.http.post("/volumes", json={"volume": {"size": 1}}).json()["volume"]["id"])
        self.settled("volume", volume)
        return volume

    def backup(self, volume: str, **words: Any) -> str:
        answer = self.http.post("/backups", json={"backup": {"volume_id": volume, **words}})
        assert answer.status_code == 202, answer.text
        backup = str(answer.json()["backup"]["id"])
        self.settled("backup", backup)
        return backup

    def settled(self, noun: str, thing: str, status: str = "available", by: httpx.Client | None = None) -> Any:
        busy = ("creating", "restoring", "restoring-backup", "deleting", "backing-up")

        def look() -> Any:
            found = (by or self.http).get(f"/{noun}s/{thing}").json()[noun]
            return found if found["status"] not in busy else None

        found = until(look, 60)
        assert found["status"] == status, found
        return found

    def write(self, volume: str, offset: int, data: bytes) -> None:
        piece = self.folder / "piece"
        piece.write_bytes(data)
        words = ["qemu-io", "-f", "qcow2", "-c", f"write -s {piece} {offset} {len(data)}", self._path(volume)]
        subprocess.run(words, check=True, capture_output=True)

    def same(self, volume: str, other: Path) -> bool:
        words = ["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", self._path(volume), other]
        return subprocess.run(words, capture_output=True).returncode == 0

    def keep(self, volume: str, path: Path) -> Path:
        """What the volume holds now."""
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", self._path(volume), path], check=True)
        return path

    def _path(self, volume: str) -> Path:
        return self.folder / "volumes" / f"{volume}.qcow2"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "store"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("one"), {"volume_backups.folder": str(shared)})
    yield world
    world.close()


def test_another_cloud_takes_them_over(world: World, shared: Path, tmp_path: Path) -> None:
    volume = world.volume()
    world.write(volume, 3 * MIB, os.urandom(200_000))
    full = world.backup(volume)
    world.write(volume, 900 * MIB, os.urandom(1000))
    later = world.backup(volume, incremental=True)
    then = world.keep(volume, tmp_path / "then")
    world.write(volume, 0, b"since")
    records = [world.admin.get(f"/backups/{each}/export_record").json()["backup-record"] for each in (full, later)]
    other = World(tmp_path / "other", {"volume_backups.folder": str(shared)})
    try:
        for record, backup in zip(records, (full, later), strict=True):
            answer = other.admin.post("/backups/import_record", json={"backup-record": record})
            assert (answer.status_code, answer.json()["backup"]["id"]) == (201, backup)
            found = other.settled("backup", backup, by=other.admin)
            assert (found["size"], found["volume_id"]) == (1, volume)
        assert other.admin.get(f"/backups/{full}").json()["backup"]["has_dependent_backups"] is True
        answer = other.admin.post(f"/backups/{later}/restore", json={"restore": {"name": "taken over"}})
        made = answer.json()["restore"]["volume_id"]
        assert other.settled("volume", made, by=other.admin)["name"] == "taken over"
        assert other.same(made, then)
        # What has two names in one cloud stays for the other one.
        words = {**json.loads(base64.b64decode(records[1]["backup_url"])), "id": new_uuid(), "parent_id": None}
        record = {**records[1], "backup_url": base64.b64encode(json.dumps(words).encode()).decode()}
        other.admin.post("/backups/import_record", json={"backup-record": record})
        other.settled("backup", words["id"], by=other.admin)
        other.admin.delete(f"/backups/{words['id']}")
        until(lambda: other.admin.get(f"/backups/{words['id']}").status_code == 404)
    finally:
        other.close()
    answer = world.http.post(f"/backups/{later}/restore", json={"restore": {"volume_id": volume}})
    assert answer.status_code == 202
    world.settled("volume", volume)
    assert world.same(volume, then)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"service_metadata": "nothing"}, "There is no such backup in the store."),
        ({"service_metadata": "../../etc"}, "../../etc is not the name of a backup."),
        ({"container": None}, "is in no store."),
    ],
    ids=["not there", "no name", "nowhere"],
)
def test_what_is_not_in_the_store_is_not_taken_over(world: World, changed: dict[str, Any], reason: str) -> None:
    words = {
        "id": new_uuid(), "size": 1, "display_name": None, "display_description": None, "container": "c",
        "service_metadata": "x", "object_count": 1, **changed,
    }  # fmt: skip
    record = {"backup_service": "", "backup_url": base64.b64encode(json.dumps(words).encode()).decode()}
    assert world.admin.post("/backups/import_record", json={"backup-record": record}).status_code == 201
    found = world.settled("backup", words["id"], "error", by=world.admin)
    assert reason in found["fail_reason"]
    world.admin.delete(f"/backups/{words['id']}")
    until(lambda: world.admin.get(f"/backups/{words['id']}").status_code == 404)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "x"}, {"id": 5}, {"size": "1"}, {"size": -1}, {"size": 1 << 40}, {"container": "\0"}, {"metadata": [1]},
        {"metadata": {"a": 1}}, {"data_timestamp": "soon"}, {"data_timestamp": "0001-01-01T00:00:00+23:00"},
        {"volume_id": "x"}, {"display_name": "x" * 256},
    ],
    ids=lambda changed: f"{next(iter(changed))}={str(next(iter(changed.values())))[:12]}".replace("\0", "nul"),
)  # fmt: skip
def test_bad_records_are_refused(world: World, changed: dict[str, Any]) -> None:
    words = {"id": new_uuid(), "size": 1, **changed}
    record = {"backup_service": "", "backup_url": base64.b64encode(json.dumps(words).encode()).decode()}
    assert world.admin.post("/backups/import_record", json={"backup-record": record}).status_code == 400


def test_backups_are_counted(world: World) -> None:
    volume, project = world.volume(), world.people["PROJECT_ID"]
    path, before = f"/os-quota-sets/{project}", world.http.get("/limits").json()["limits"]["absolute"]
    backup = world.backup(volume)
    used = world.http.get("/limits").json()["limits"]["absolute"]
    for name in ("totalBackupsUsed", "totalBackupGigabytesUsed"):
        assert used[name] == before[name] + 1
    number = used["totalBackupsUsed"]
    refusals = {
        "backups": f"BackupLimitExceeded: Maximum number of backups allowed ({number}) exceeded",
        "backup_gigabytes": (
            "VolumeBackupSizeExceedsAvailableQuota: Requested backup exceeds allowed Backup gigabytes quota. Requested "
            f"1G, quota is {number}G and {number}G has been consumed."
        ),
    }
    for name, words in refusals.items():
        world.admin.put(path, json={"quota_set": {name: number}})
        answer = world.http.post("/backups", json={"backup": {"volume_id": volume}})
        assert (answer.status_code, answer.json()["overLimit"]["message"]) == (413, words)
        assert world.http.get(f"/volumes/{volume}").json()["volume"]["status"] == "available"
        assert world.admin.put(path, json={"quota_set": {name: number - 1}}).status_code == 400
        world.admin.delete(path)
    world.http.delete(f"/backups/{backup}")
    until(lambda: world.http.get("/limits").json()["limits"]["absolute"]["totalBackupsUsed"] == number - 1)


def test_a_full_store_leaves_nothing(world: World, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, put = world.volume(), FileBlobs.put
    world.write(volume, MIB, b"content" * 1000)

    def full(self: FileBlobs, name: str, content: bytes) -> None:
        if name.endswith("/manifest"):
            raise StorageFull("The store has no room.")
        put(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(FileBlobs, "put", full)
        words = {"backup": {"volume_id": volume, "container": "full"}}
        backup = world.http.post("/backups", json=words).json()["backup"]["id"]
        found = world.settled("backup", backup, "error")
    assert found["fail_reason"] == "The store has no room."
    assert list((shared / "full").iterdir()) == []
    assert world.http.get(f"/volumes/{volume}").json()["volume"]["status"] == "available"
    assert backup not in [path.stem for path in (world.folder / "snapshots").iterdir()]
    told = world.http.get(f"/messages?resource_uuid={backup}").json()["messages"]
    assert [each["event_id"] for each in told] == ["VOLUME_VOLUME_BACKUP_013_020"]
    world.http.delete(f"/backups/{backup}")


def test_a_disabled_service_makes_none(world: World) -> None:
    volume, host = world.volume(), world.running.settings.host
    words = {"host": host, "binary": "cinder-backup"}
    world.admin.put("/os-services/disable-log-reason", json={**words, "disabled_reason": "full"})
    listed = world.admin.get("/os-services?binary=cinder-backup").json()["services"]
    assert [(row["host"], row["status"], row["disabled_reason"]) for row in listed] == [(host, "disabled", "full")]
    backup = world.http.post("/backups", json={"backup": {"volume_id": volume}}).json()["backup"]["id"]
    world.settled("backup", backup, "error")
    assert world.http.delete(f"/backups/{backup}").status_code == 404
    world.admin.put("/os-services/enable", json=words)
    assert world.http.delete(f"/backups/{backup}").status_code == 202


def test_a_backups_life_is_told(world: World) -> None:
    heard: list[Event] = []
    world.running.control.cloud.outbox.subscribe("backup", heard.append)
    volume = world.volume()
    backup = world.backup(volume, name="told")
    world.http.post(f"/backups/{backup}/restore", json={"restore": {"volume_id": volume}})
    world.settled("volume", volume)
    world.admin.post(f"/backups/{backup}/action", json={"os-reset_status": {"status": "error"}})
    world.http.delete(f"/backups/{backup}")
    mine = until(
        lambda: [one for one in heard if one.payload["backup_id"] == backup and heard[-1].topic == "backup.delete.end"]
    )
    assert [one.topic.removeprefix("backup.") for one in mine] == [
        "create.start", "create.end", "restore.start", "restore.end", "reset_status.start", "reset_status.end",
        "delete.start", "delete.end",
    ]  # fmt: skip
    assert mine[1].payload["status"] == "available"
    assert mine[1].payload["display_name"] == "told"


def test_a_volume_that_was_let_go_of_meanwhile_is_free(world: World) -> None:
    """It was in use when its backup began, and its server is gone when that ends."""
    volume = world.volume()
    backup = world.backup(volume)
    db = world.running.control.cloud.db
    db.write(lambda tx: volume_store.change(tx, volume, status="backing-up", previous_status="in-use"))
    db.write(lambda tx: store.change(tx, backup, status="creating"))
    db.write(lambda tx: backup_progress.not_made(tx, backup, "why" * 200, "020", "req-1"))
    assert world.http.get(f"/volumes/{volume}").json()["volume"]["status"] == "available"
    found = world.http.get(f"/backups/{backup}").json()["backup"]
    assert (found["status"], len(found["fail_reason"])) == ("error", 255)
