# SPDX-License-Identifier: Apache-2.0
"""Imports in a running cloud: from the web, through plug-ins, taken away meanwhile, beyond their limits, forgotten."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from image_user import ImageUser, peak_memory

from cumulet.kernel import clock
from cumulet.kernel.saga import Sagas
from cumulet.services.image.drivers.file import FileStore
from cumulet.services.image.logic import abandoned, importing, imports, limits, staging, tasks
from cumulet.services.image.logic.bytes import STAGE, draft
from cumulet.services.image.store import images as rows
from cumulet.services.image.store import tasks as task_rows
from cumulet.services.image.types import IMPORT_LOCK, ImageStatus, Task
from support.cloud import RunningCloud
from support.waiting import until
from support.web import Page, WebServer, serve

MIB = 1 << 20


class Importer(ImageUser):
    """A user who imports."""

    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__(cloud)
        self.cloud = cloud.data.cloud

    def begin(self, image_id: str, uri: str, **more: Any) -> httpx.Response:
        method = {"name": "web-download", "uri": uri}
        return self.http.post(f"/images/{image_id}/import", json={"method": method, **more})

    def fetch(self, image_id: str, uri: str) -> dict[str, Any]:
        """Import from an address; the task as it ended."""
        assert self.begin(image_id, uri).status_code == 202
        return self.ended(image_id)

    def ended(self, image_id: str) -> dict[str, Any]:
        until(lambda: not self.cloud.sagas.unfinished(self.cloud.db, image_id))
        found = task_rows.of_image(self.cloud.db, image_id, clock.utcnow())
        shown: dict[str, Any] = msgspec.structs.asdict(found[-1])
        return shown

    def staged(self, image_id: str) -> list[str]:
        return [name for name in staging.area(self.cloud).drafts() if image_id in name]


@pytest.fixture
def user(cloud: RunningCloud) -> Iterator[Importer]:
    made = Importer(cloud)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with serve() as made:
        yield made


@pytest.fixture
def plugged(user: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud whose operator has all plug-ins at imports."""
    chosen = msgspec.structs.replace(
        user.cloud.settings.image_import,
        plugins=("image_decompression", "image_conversion", "inject_image_metadata"),
        output_format="qcow2",
        inject=("injected:yes",),
    )
    monkeypatch.setattr(user.cloud, "settings", msgspec.structs.replace(user.cloud.settings, image_import=chosen))


def test_data_go_through_the_plugins_in_their_order(user: Importer, web: WebServer, plugged: None) -> None:
    web.pages["/disk.gz"] = Page(gzip.compress(bytes(MIB)))
    image_id = user.create(kind="odd")
    assert user.fetch(image_id, f"{web.url}/disk.gz")["status"] == "success"
    shown = user.show(image_id)
    assert (shown["status"], shown["disk_format"], shown["virtual_size"]) == ("active", "qcow2", MIB)
    assert (shown["injected"], shown["kind"], "os_glance_import_task" in shown) == ("yes", "odd", False)
    assert user.content(image_id)[:4] == b"QFI\xfb"
    assert shown["size"] == len(user.content(image_id))
    assert user.staged(image_id) == []


def test_a_store_on_the_same_disk_takes_over_the_staged_file(user: Importer, web: WebServer) -> None:
    gate = threading.Event()
    web.pages["/held"] = Page(b"x" * MIB, gate=gate)
    image_id = user.create()
    assert user.begin(image_id, f"{web.url}/held").status_code == 202
    until(lambda: bool(user.staged(image_id)))
    staged = staging.area(user.cloud).draft_path(draft(STAGE, image_id)).stat().st_ino
    gate.set()
    assert user.ended(image_id)["status"] == "success"
    kept = user.cloud.settings.state / "images" / image_id
    assert (kept.stat().st_ino, kept.stat().st_nlink, user.content(image_id)) == (staged, 1, b"x" * MIB)


def test_what_a_plugin_refuses_leaves_the_image_as_it_was(user: Importer, web: WebServer, plugged: None) -> None:
    web.pages["/no.qcow2"] = Page(gzip.compress(b"no qcow2"))
    image_id = user.create(disk_format="qcow2")
    task = user.fetch(image_id, f"{web.url}/no.qcow2")
    assert (task["status"], task["result"]) == ("failure", None)
    assert "does not match" in task["message"]
    shown = user.show(image_id)
    assert (shown["status"], shown["size"], shown["disk_format"]) == ("queued", None, "qcow2")
    assert "injected" not in shown
    assert user.staged(image_id) == []


def test_what_was_changed_is_given_back_where_a_store_fails(
    user: Importer, web: WebServer, plugged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object) -> None:
        raise limits.TooLarge("there is no room")

    monkeypatch.setattr(FileStore, "publish", full)
    web.pages["/disk"] = Page(bytes(MIB))
    image_id = user.create(injected="before")
    assert user.fetch(image_id, f"{web.url}/disk")["message"] == "there is no room"
    shown = user.show(image_id)
    assert (shown["status"], shown["disk_format"], shown["injected"]) == ("queued", "raw", "before")
    assert shown["os_glance_failed_import"] == "local"


def test_no_more_is_fetched_than_an_image_may_have(
    user: Importer, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = msgspec.structs.replace(user.cloud.settings.image_use, image_size_cap=1000)
    monkeypatch.setattr(user.cloud, "settings", msgspec.structs.replace(user.cloud.settings, image_use=chosen))
    for length, asked in ((None, "told"), (-1, "untold")):
        web.pages[f"/{asked}"] = Page(b"x" * 1001, length=length)
        image_id = user.create()
        task = user.fetch(image_id, f"{web.url}/{asked}")
        assert (task["status"], task["message"]) == ("failure", "The provided image is too large.")
        assert user.staged(image_id) == []


def test_a_large_import_takes_little_memory(user: Importer, web: WebServer) -> None:
    web.pages["/small"], web.pages["/big"] = Page(b"x" * MIB), Page(bytes(range(256)) * (96 * MIB // 256))
    assert user.fetch(user.create(), f"{web.url}/small")["status"] == "success"  # what is loaded at the first use
    image_id = user.create()
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    assert user.fetch(image_id, f"{web.url}/big")["status"] == "success"
    assert peak_memory() - before < 48 * MIB
    assert user.show(image_id)["size"] == 96 * MIB


def test_a_redirect_out_of_bounds_fails_the_task(user: Importer, web: WebServer) -> None:
    web.pages["/away"] = Page(status=302, headers={"Location": "http://169.254.169.254/latest"})
    image_id = user.create()
    task = user.fetch(image_id, f"{web.url}/away")
    assert (task["status"], "not allowed" in task["message"]) == ("failure", True)
    assert user.show(image_id)["status"] == "queued"


def test_an_image_that_goes_while_it_is_imported(
    user: Importer, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LOOK", 0.0)
    gate = threading.Event()
    web.pages["/slow"] = Page(b"x" * MIB, gate=gate)
    image_id = user.create()
    assert user.begin(image_id, f"{web.url}/slow").status_code == 202
    until(lambda: bool(user.staged(image_id)))
    shown = user.show(image_id)
    assert (shown["status"], shown["os_glance_importing_to_stores"]) == ("importing", "local")
    again = user.begin(image_id, f"{web.url}/slow")
    assert (again.status_code, "Image needs to be in 'queued' state" in again.text) == (409, True)
    assert user.http.delete(f"/images/{image_id}").status_code == 204
    gate.set()
    task = user.ended(image_id)
    assert (task["status"], task["message"]) == ("failure", "The image is gone.")
    until(lambda: user.staged(image_id) == [])


def test_an_import_goes_on_after_its_process_has_ended(
    user: Importer, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.pages["/later"] = Page(b"x" * 1000)
    image_id = user.create()
    with monkeypatch.context() as ending:
        ending.setattr(Sagas, "stopping", True)
        assert user.begin(image_id, f"{web.url}/later").status_code == 202
        until(lambda: any(saga.attempts for saga in user.cloud.sagas.unfinished(user.cloud.db, image_id)))
    assert user.ended(image_id)["status"] == "success"
    assert user.content(image_id) == b"x" * 1000


def test_progress_is_told_now_and_then(user: Importer, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    tell = tasks.tell
    monkeypatch.setattr(tasks, "tell", lambda tx, task_id, words: (told.append(words), tell(tx, task_id, words)))
    monkeypatch.setattr(importing, "TELL", 0.0)
    monkeypatch.setattr(FileStore, "adopt", lambda *_words: False)  # as if it were on another disk
    web.pages["/large"] = Page(b"x" * 3 * MIB)
    image_id = user.create()
    assert user.fetch(image_id, f"{web.url}/large")["status"] == "success"
    assert "Fetched 3 MiB" in told
    assert "Copied 2 MiB" in told


def of(user: Importer, **changes: Any) -> Task:
    """A task as somebody once began it."""
    ctx = importing.Context(user_id="u", project_id=user.people["PROJECT_ID"])

    def write(tx: Any) -> Task:
        made = tasks.start(user.cloud, tx, ctx, tasks.IMPORT, {}, "an image")
        task_rows.change(tx, made.id, changes)
        return made

    return user.cloud.db.write(write)


def test_a_lock_is_taken_from_a_task_of_which_nothing_is_heard(user: Importer) -> None:
    now, db = clock.utcnow(), user.cloud.db
    for status, age, fresh in (
        ("processing", timedelta(minutes=59), True),
        ("processing", timedelta(minutes=61), False),
        ("pending", timedelta(minutes=61), True),
        ("pending", timedelta(minutes=121), False),
        ("failure", timedelta(minutes=61), False),
    ):
        assert imports._is_fresh(db, of(user, status=status, updated_at=now - age).id) is fresh
    assert imports._is_fresh(db, "forgotten") is False


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=2)])
def test_a_held_image_is_imported_again_once_its_lock_is_old(user: Importer, age: timedelta) -> None:
    holder = of(user, status="processing", updated_at=clock.utcnow() - age)
    image_id, db = user.create(), user.cloud.db
    headers = {"Content-Type": "application/octet-stream"}
    assert user.http.put(f"/images/{image_id}/stage", content=b"data", headers=headers).status_code == 204
    db.write(lambda tx: rows.set_properties(tx, image_id, {IMPORT_LOCK: holder.id}))
    answer = user.http.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    before = task_rows.find(db, holder.id)
    assert before is not None
    if age:
        assert answer.status_code == 202
        assert (before.status, before.message) == ("failure", "Expired lock preempted")
        assert user.ended(image_id)["status"] == "success"
    else:
        assert (answer.status_code, "Image has active task" in answer.text) == (409, True)
        assert before.status == "processing"
        assert user.http.delete(f"/images/{image_id}").status_code == 204


def test_a_source_that_has_no_data_yet(user: Importer) -> None:
    source, image_id = user.create(), user.create()
    method = {"name": "glance-download", "glance_region": "RegionOne", "glance_image_id": source}
    assert user.http.post(f"/images/{image_id}/import", json={"method": method}).status_code == 202
    task = user.ended(image_id)
    assert task["message"] == "Source image status should be active instead of queued"
    assert user.cloud.vault.get(importing.token_name(task["id"])) is None


def test_tasks_are_forgotten_in_time(user: Importer, cloud: RunningCloud) -> None:
    old, new = (
        of(user, status="success", expires_at=clock.utcnow() + when) for when in (timedelta(-1), timedelta(hours=1))
    )
    found = tasks.find_all(user.cloud, {"image_id": "an image"}, descending=True, marker=None, limit=100)
    assert old.id not in [each.id for each in found]
    assert new.id in [each.id for each in found]
    abandoned.put_right(cloud.control.cloud)
    assert task_rows.find(user.cloud.db, old.id) is None


def test_a_staging_that_died_is_queued_again(
    user: Importer, cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = user.create()
    user.cloud.db.write(lambda tx: rows.change(tx, image_id, {"status": ImageStatus.UPLOADING}))
    answer = user.http.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    assert (answer.status_code, "needs to be staged" in answer.text) == (409, True)
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(cloud.control.cloud)
    assert user.show(image_id)["status"] == "queued"
