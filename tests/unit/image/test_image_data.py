# SPDX-License-Identifier: Apache-2.0
"""Bytes of images in a running cloud: large ones, broken-off ones, those that hosts copy and bring."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from image_user import ImageUser, peak_memory

from cumulet.agent import Agent
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Conflict, Gone, Invalid, NotFound, NotReady
from cumulet.services.image.agent.cache import ImagesOnHost
from cumulet.services.image.contract import ImageContract, NewImage
from cumulet.services.image.logic import abandoned, copies, staging, stores
from cumulet.services.image.logic.bytes import PUSH, STAGE, draft
from cumulet.services.image.store import images as rows
from cumulet.services.image.types import ImageStatus
from support.cloud import RunningCloud
from support.hostile_images import ATTACKS
from support.waiting import until

MIB = 1 << 20
LOST = "00000000-0000-0000-0000-00000000dead"


@pytest.fixture
def client(cloud: RunningCloud) -> Iterator[ImageUser]:
    made = ImageUser(cloud)
    yield made
    made.http.close()


@pytest.fixture
def host(cloud: RunningCloud, tmp_path: Path) -> Iterator[ImagesOnHost]:
    """The image service on one more host of the running cloud."""
    with cloud.one_more_host("host-of-images", tmp_path) as agent:
        part = agent._parts["image"]
        assert isinstance(part, ImagesOnHost)
        yield part


def contract(cloud: RunningCloud) -> ImageContract:
    return cloud.control.cloud.contracts.use(ImageContract)  # type: ignore[type-abstract]


def test_a_large_image_takes_little_memory(client: ImageUser) -> None:
    piece = bytes(range(256)) * 4096
    image_id = client.create()
    client.upload(image_id, iter([piece] * 8))  # whatever is loaded at the first use is loaded now
    image_id = client.create()
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    assert client.upload(image_id, (piece for _ in range(192))).status_code == 204
    digest = hashlib.sha512()
    with client.http.stream("GET", f"/images/{image_id}/file") as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    assert peak_memory() - before < 64 * MIB
    assert client.show(image_id)["size"] == 192 * MIB
    assert client.show(image_id)["os_hash_value"] == digest.hexdigest()


@pytest.mark.parametrize(("declared", "status"), [(0, 204), (-1, 400), (1, 400)])
def test_a_size_that_is_declared_holds_for_all_pieces(client: ImageUser, declared: int, status: int) -> None:
    content = b"x" * (3 * MIB)
    answer = client.upload(client.create(), content, **{"X-OpenStack-Image-Size": str(len(content) + declared)})
    assert answer.status_code == status, answer.text


def test_zeros_take_no_room(client: ImageUser, cloud: RunningCloud) -> None:
    image_id = client.create()
    assert client.upload(image_id, (bytes(MIB) for _ in range(16))).status_code == 204
    assert (cloud.settings.state / "images" / image_id).stat().st_blocks * 512 < MIB
    assert client.http.get(f"/images/{image_id}/file").content == bytes(16 * MIB)


def test_an_upload_that_breaks_off_leaves_a_queued_image(client: ImageUser, cloud: RunningCloud) -> None:
    image_id = client.create()

    def broken() -> Iterator[bytes]:
        yield b"x" * 2 * MIB
        client.wait_for(image_id, "saving")
        raise OSError("the line is cut")

    with pytest.raises(OSError, match="cut"):
        client.upload(image_id, broken())
    client.wait_for(image_id, "queued")
    assert not [name for name in stores.default(cloud.data.cloud).writable.drafts() if image_id in name]
    assert client.upload(image_id, b"whole").status_code == 204
    assert client.show(image_id)["status"] == "active"


def test_an_image_that_goes_while_it_is_filled(client: ImageUser, cloud: RunningCloud) -> None:
    image_id = client.create()

    def slow() -> Iterator[bytes]:
        yield b"x" * MIB
        client.wait_for(image_id, "saving")
        assert client.http.delete(f"/images/{image_id}").status_code == 204
        yield b"y" * MIB

    answer = client.upload(image_id, slow())
    assert answer.status_code == 410
    assert "could not be found after upload" in answer.json()["message"]
    kept = stores.default(cloud.data.cloud).writable
    assert image_id not in kept.published()
    assert not [name for name in kept.drafts() if image_id in name]


def test_only_one_of_two_uploads_succeeds(client: ImageUser) -> None:
    image_id = client.create()
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(client.upload(image_id, b"x" * MIB).status_code))] * 1
    threads += [threading.Thread(target=lambda: answers.append(client.upload(image_id, b"y" * MIB).status_code))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [204, 409]


def test_limits_of_one_image(client: ImageUser) -> None:
    answer = client.http.post("/images", json={f"word{number}": "x" for number in range(129)})
    assert answer.status_code == 413
    assert "Attempted: 129, Maximum: 128" in answer.text
    assert client.http.post("/images", json={"tags": [str(number) for number in range(129)]}).status_code == 413
    assert client.http.post("/images", json={"x" * 256: "long"}).status_code == 400
    image_id = client.create(tags=[str(number) for number in range(128)])
    assert client.http.put(f"/images/{image_id}/tags/one-more").status_code == 413
    for number in range(128):
        assert client.http.post(f"/images/{image_id}/members", json={"member": f"m{number}"}).status_code == 200
    answer = client.http.post(f"/images/{image_id}/members", json={"member": "one more"})
    assert answer.status_code == 413
    assert f"Image member limit exceeded for image {image_id}" in answer.text


def test_what_crashes_leave_is_put_right(
    client: ImageUser, cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = cloud.control.cloud
    kept = stores.default(control).writable
    dead, staged, whole = client.create(), client.create(), client.create()
    headers = {"Content-Type": "application/octet-stream"}
    assert client.http.put(f"/images/{staged}/stage", content=b"waits", headers=headers).status_code == 204
    assert client.upload(whole, b"whole").status_code == 204
    control.db.write(lambda tx: rows.change(tx, dead, {"status": ImageStatus.SAVING}))
    kept.write(draft(PUSH, dead), 0, b"half")
    staging.area(control).write(draft(STAGE, "00000000-0000-0000-0000-000000000000"), 0, b"of nobody")
    kept.write("lost", 0, b"lost")
    kept.publish("lost", LOST, 4)
    kept.write("note", 0, b"of the operator")
    kept.publish("note", "note", 15)
    abandoned.put_right(control)
    assert client.show(dead)["status"] == "saving"
    assert LOST in kept.published()
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(control)
    assert client.show(dead)["status"] == "queued"
    assert list(kept.drafts()) == []
    assert draft(STAGE, staged) in staging.area(control).drafts()
    assert draft(STAGE, "00000000-0000-0000-0000-000000000000") not in staging.area(control).drafts()
    assert LOST not in kept.published()
    assert "note" in kept.published()
    kept.delete("note")
    assert client.http.get(f"/images/{whole}/file").content == b"whole"
    answer = client.http.post(f"/images/{staged}/import", json={"method": {"name": "glance-direct"}})
    assert answer.status_code == 202
    client.wait_for(staged, "active")


def test_a_host_copies_an_image_and_forgets_it(client: ImageUser, host: ImagesOnHost) -> None:
    content = b"x" * MIB + bytes(2 * MIB) + b"end"
    image_id = client.create()
    with pytest.raises(NotFound):
        host.base(image_id)
    assert client.upload(image_id, content).status_code == 204
    path = host.base(image_id)
    assert path.read_bytes() == content
    assert client.http.delete(f"/images/{image_id}").status_code == 204
    until(lambda: not path.exists())
    with pytest.raises(NotFound):
        host.base(image_id)


def test_a_host_whose_link_is_not_seen_yet_forgets_as_well(
    client: ImageUser, cloud: RunningCloud, host: ImagesOnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has just dialled another replica, of which this one hears with its next look."""
    image_id = client.create()
    client.upload(image_id, b"data")
    path = host.base(image_id)
    monkeypatch.setattr(cloud.control.hosts, "connected", list)
    client.http.delete(f"/images/{image_id}")
    until(lambda: not path.exists())


def test_what_a_host_was_not_told_in_time_it_hears_later(
    client: ImageUser, cloud: RunningCloud, host: ImagesOnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = client.create()
    client.upload(image_id, b"data")
    path = host.base(image_id)
    missed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(copies, "forget", lambda cloud, host, image_id: missed.append(image_id))
        client.http.delete(f"/images/{image_id}")
        until(lambda: image_id in missed)
    assert path.exists()
    copies.tidy(cloud.control.cloud)
    assert not path.exists()


def test_a_host_fetches_an_image_ahead(client: ImageUser, cloud: RunningCloud, host: ImagesOnHost) -> None:
    image_id = client.create()
    offered = contract(cloud)
    with pytest.raises(NotFound):
        offered.prefetch("host-of-images", image_id)
    assert client.upload(image_id, b"data").status_code == 204
    offered.prefetch("host-of-images", image_id)
    assert image_id in host.report()["copies"]
    with pytest.raises(NotReady):
        offered.prefetch("host-that-is-none", image_id)
    copies.tidy(cloud.control.cloud)
    assert image_id in host.report()["copies"]


def test_a_host_refuses_what_came_in_a_container(client: ImageUser, host: ImagesOnHost) -> None:
    image_id = client.create(disk_format="qcow2", container_format="ova")
    assert client.upload(image_id, ATTACKS[0].content).status_code == 204
    with pytest.raises(Conflict, match="is unacceptable: it names a backing file"):
        host.base(image_id)


def test_a_host_that_was_away_forgets_at_its_return(client: ImageUser, cloud: RunningCloud, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(cloud.settings, state=tmp_path, host="host-that-goes")
    image_id = client.create()
    client.upload(image_id, b"data")
    agent = Agent(settings)
    agent.start()
    part = agent._parts["image"]
    assert isinstance(part, ImagesOnHost)
    until(lambda: any(each.name == "host-that-goes" for each in cloud.control.hosts.connected()))
    path = part.base(image_id)
    agent.stop()
    client.http.delete(f"/images/{image_id}")
    agent = Agent(settings)
    agent.start()
    try:
        until(lambda: not path.exists())
    finally:
        agent.stop()


def member(client: ImageUser) -> Context:
    return Context(project_id=client.people["PROJECT_ID"], roles=frozenset({"member", "reader"}))


def test_a_disk_of_a_host_becomes_an_image(
    client: ImageUser, cloud: RunningCloud, host: ImagesOnHost, tmp_path: Path
) -> None:
    offered, db = contract(cloud), cloud.control.db
    new = NewImage(name="snapshot", disk_format="raw", properties={"os_type": "linux"})
    offered.check_create(member(client), new)
    image_id = db.write(lambda tx: offered.create(tx, member(client), new))
    disk = tmp_path / "disk"
    disk.write_bytes(b"x" * MIB + b"end")
    host.push(image_id, disk)
    shown = client.show(image_id)
    assert (shown["status"], shown["size"], shown["os_type"]) == ("active", MIB + 3, "linux")
    assert client.http.get(f"/images/{image_id}/file").content == disk.read_bytes()
    assert offered.read(image_id, MIB, 10) == b"end"
    db.write(lambda tx: offered.delete(tx, image_id))
    db.write(lambda tx: offered.delete(tx, image_id))
    assert offered.find(db, image_id) is None
    with pytest.raises(NotFound):
        offered.read(image_id, 0, 1)
    with pytest.raises(Gone):
        host.push(image_id, disk)


def test_what_a_host_brings_is_held_against_its_format(
    client: ImageUser, cloud: RunningCloud, host: ImagesOnHost, tmp_path: Path
) -> None:
    offered, db = contract(cloud), cloud.control.db
    image_id = db.write(lambda tx: offered.create(tx, member(client), NewImage(name="x", disk_format="qcow2")))
    disk = tmp_path / "disk"
    disk.write_bytes(b"no qcow2")
    with pytest.raises(Invalid):
        host.push(image_id, disk)
    assert client.show(image_id)["status"] == "queued"


def test_services_read_and_write_through_the_contract(client: ImageUser, cloud: RunningCloud) -> None:
    offered, db = contract(cloud), cloud.control.db
    ctx = member(client)
    image_id = db.write(lambda tx: offered.create(tx, ctx, NewImage(name="x", disk_format="raw", tags=("t",))))
    offered.store_stream(image_id, iter([b"ab", b"cd"]))
    with pytest.raises(Conflict):
        offered.store_stream(image_id, iter([b"again"]))
    db.write(lambda tx: offered.set_properties(tx, image_id, {"one": "1", "two": "2"}))
    db.write(lambda tx: offered.set_properties(tx, image_id, {"one": None, "two": "3"}))
    found = offered.get(db, ctx, image_id)
    assert (found.status, found.size, found.virtual_size) == ("active", 4, 4)
    assert (found.properties, found.tags, found.owner) == ({"two": "3"}, ["t"], ctx.project_id)
    with pytest.raises(NotFound):
        offered.get(db, Context(project_id="other", roles=frozenset({"member", "reader"})), image_id)
