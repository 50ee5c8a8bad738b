# SPDX-License-Identifier: Apache-2.0
"""Images in a bucket of a real S3 server, and in the cloud's own object store: filled, imported, copied and removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.kernel.context import Context
from cumulet.services.image.agent.cache import ImagesOnHost
from cumulet.services.image.contract import ImageContract, NewImage
from cumulet.services.image.logic import abandoned, locations
from support.waiting import until
from unit.image.image_worlds import OCTETS, InBucket, InContainer, World

BYTES = secrets.token_bytes((10 << 20) + 1000)


def large(world: World) -> bytes:
    """Two parts and some."""
    return BYTES[: 2 * world.part + 1000]


@pytest.fixture(scope="module", params=[InBucket, InContainer], ids=["s3", "swift"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = request.param(tmp_path_factory.mktemp("images"))
    yield made
    made.close()


def test_images_go_to_the_store_and_come_from_it(world: World) -> None:
    content = large(world)
    few, many = world.image(b"some bytes"), world.image(content)
    assert {world.show(each)["stores"] for each in (few, many)} == {world.name}
    assert {each for each in world.objects() if not each.startswith("segments/")} == {few, many}
    assert world.http.get(f"/images/{few}/file").content == b"some bytes"
    assert world.http.get(f"/images/{many}/file").content == content
    ranged = {"Range": f"bytes={world.part - 5}-{world.part + 4}"}
    assert world.http.get(f"/images/{many}/file", headers=ranged).content == content[world.part - 5 : world.part + 5]
    locations.copy(world.cloud, many, "local")
    assert world.show(many)["stores"] == f"{world.name},local"
    assert not world.stranger_may_read(few)
    for each in (few, many):
        assert world.http.delete(f"/images/{each}").status_code == 204
    assert world.objects() == set()


def test_what_administrators_are_told_of_the_store(world: World) -> None:
    admin = {"X-Auth-Token": world.people["ADMIN_TOKEN"]}
    told = world.http.get("/info/stores/detail", headers=admin).json()["stores"]
    if world.name == "objects":
        of_swift = {"container": "glance", "large_object_size": 1, "large_object_chunk_size": 1}
        assert [each["properties"] for each in told if each["type"] == "swift"] == [of_swift]
    assert [each["type"] for each in told if each["id"] == world.name] == ["swift" if world.name == "objects" else "s3"]


def test_data_that_are_not_what_they_should_be_leave_nothing(world: World) -> None:
    image_id = world.image(disk_format="qcow2")
    answer = world.http.put(f"/images/{image_id}/file", content=large(world), headers=OCTETS)
    assert answer.status_code == 415
    assert world.show(image_id)["status"] == "queued"
    assert world.objects() == set()
    assert world.store.drafts() == {}


def test_imports_and_hosts_fill_the_store(world: World, tmp_path: Path) -> None:
    image_id = world.image()
    assert world.http.put(f"/images/{image_id}/stage", content=large(world), headers=OCTETS).status_code == 204
    answer = world.http.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    assert answer.status_code == 202
    until(lambda: world.show(image_id)["status"] == "active", every=0.1)
    assert world.http.get(f"/images/{image_id}/file").content == large(world)
    disk = tmp_path / "disk"
    disk.write_bytes(BYTES[: world.part + 7])
    member = Context(project_id=world.people["PROJECT_ID"], roles=frozenset({"member", "reader"}))
    offered = world.running.control.cloud.contracts.use(ImageContract)
    new = NewImage(name="snapshot", disk_format="raw")
    made = world.running.control.cloud.db.write(lambda tx: offered.create(tx, member, new))
    with world.running.one_more_host("host-2", tmp_path / "host") as agent:
        host = agent._parts["image"]
        assert isinstance(host, ImagesOnHost)
        host.push(made, disk)
        assert world.show(made)["stores"] == world.name
        assert host.base(made).read_bytes() == disk.read_bytes()
    assert {each for each in world.objects() if not each.startswith("segments/")} == {image_id, made}
    for each in (image_id, made):
        world.http.delete(f"/images/{each}")
    assert world.objects() == set()


def test_an_upload_that_breaks_off_or_dies_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[bytes]:
        yield large(world)
        until(lambda: world.store.drafts(), every=0.1)
        raise OSError("cut")

    image_id = world.image()
    with pytest.raises(OSError, match="cut"):
        world.http.put(f"/images/{image_id}/file", content=broken(), headers=OCTETS)
    until(lambda: world.store.drafts() == {}, every=0.1)
    until(lambda: world.show(image_id)["status"] == "queued", every=0.1)
    # What a process leaves that dies is known to the server alone.
    world.opened_anew().write(f"upload.{image_id}.dead", 0, large(world))
    assert world.store.drafts().keys() == {f"upload.{image_id}.dead"}
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(world.running.control.cloud)
    assert world.store.drafts() == {}
    assert world.objects() == set()
