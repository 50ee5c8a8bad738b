# SPDX-License-Identifier: Apache-2.0
"""A cloud whose images are in a bucket of a real S3 server: filled, imported, brought by hosts, copied and removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet.kernel.context import Context
from cumulet.services.image.agent.cache import ImagesOnHost
from cumulet.services.image.contract import ImageContract, NewImage
from cumulet.services.image.logic import abandoned, locations, stores
from support.cloud import RunningCloud
from support.people import environment
from support.s3_server import ACCESS_KEY, S3Server
from support.waiting import until

PART = 5 << 20
LARGE = secrets.token_bytes(2 * PART + 1000)
OCTETS = {"Content-Type": "application/octet-stream"}


class World:
    def __init__(self, folder: Path) -> None:
        self.server = S3Server()
        bucket = {
            "id": "bucket", "type": "s3", "endpoint": self.server.endpoint, "bucket": self.server.bucket,
            "prefix": "cloud/", "access_key": ACCESS_KEY, "secret_key_file": str(self.server.secret_key_file),
            "part_size": PART,
        }  # fmt: skip
        chosen: dict[str, Any] = {"image.stores": [bucket, {"id": "local", "type": "file"}]}
        self.running = RunningCloud(folder, ["identity", "image"], settings=chosen)
        self.people = environment(self.running)
        self.cloud = self.running.data.cloud
        self.http = httpx.Client(
            base_url=f"{self.running.data_url}/image/v2",
            headers={"X-Auth-Token": self.people["MEMBER_TOKEN"]},
            timeout=60,
        )

    def image(self, content: bytes | None = None) -> str:
        words = {"disk_format": "raw", "container_format": "bare"}
        image_id = str(self.http.post("/images", json=words).json()["id"])
        if content is not None:
            answer = self.http.put(f"/images/{image_id}/file", content=content, headers=OCTETS)
            assert answer.status_code == 204, answer.text
        return image_id

    def show(self, image_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/images/{image_id}").json()
        return found

    def objects(self) -> set[str]:
        pages: Any = self.server.client()
        found = pages.list_objects_v2(Bucket=self.server.bucket).get("Contents", ())
        return {each["Key"] for each in found}

    def close(self) -> None:
        self.http.close()
        self.running.close()
        self.server.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("s3"))
    yield made
    made.close()


def test_images_go_to_the_bucket_and_come_from_it(world: World) -> None:
    small, large = world.image(b"some bytes"), world.image(LARGE)
    assert {world.show(each)["stores"] for each in (small, large)} == {"bucket"}
    assert {f"cloud/{small}", f"cloud/{large}"} == {each for each in world.objects() if "drafts" not in each}
    assert not [each for each in world.objects() if "drafts" in each]
    assert world.http.get(f"/images/{small}/file").content == b"some bytes"
    assert world.http.get(f"/images/{large}/file").content == LARGE
    ranged = {"Range": f"bytes={PART - 5}-{PART + 4}"}
    assert world.http.get(f"/images/{large}/file", headers=ranged).content == LARGE[PART - 5 : PART + 5]
    locations.copy(world.cloud, large, "local")
    assert world.show(large)["stores"] == "bucket,local"
    for each in (small, large):
        assert world.http.delete(f"/images/{each}").status_code == 204
    assert world.objects() == set()


def test_data_that_are_not_what_they_should_be_leave_nothing(world: World) -> None:
    words = {"disk_format": "qcow2", "container_format": "bare"}
    image_id = str(world.http.post("/images", json=words).json()["id"])
    answer = world.http.put(f"/images/{image_id}/file", content=LARGE, headers=OCTETS)
    assert answer.status_code == 415
    assert world.show(image_id)["status"] == "queued"
    assert world.objects() == set()
    assert stores.get(world.cloud, "bucket").writable.drafts() == {}


def test_imports_and_hosts_fill_the_bucket(world: World, tmp_path: Path) -> None:
    image_id = world.image()
    assert world.http.put(f"/images/{image_id}/stage", content=LARGE, headers=OCTETS).status_code == 204
    answer = world.http.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    assert answer.status_code == 202
    until(lambda: world.show(image_id)["status"] == "active", every=0.1)
    assert world.http.get(f"/images/{image_id}/file").content == LARGE
    disk = tmp_path / "disk"
    disk.write_bytes(LARGE[: PART + 7])
    member = Context(project_id=world.people["PROJECT_ID"], roles=frozenset({"member", "reader"}))
    offered = world.running.control.cloud.contracts.use(ImageContract)
    new = NewImage(name="snapshot", disk_format="raw")
    made = world.running.control.cloud.db.write(lambda tx: offered.create(tx, member, new))
    with world.running.one_more_host("host-2", tmp_path / "host") as agent:
        host = agent._parts["image"]
        assert isinstance(host, ImagesOnHost)
        host.push(made, disk)
        assert world.show(made)["stores"] == "bucket"
        assert host.base(made).read_bytes() == disk.read_bytes()
    assert {f"cloud/{image_id}", f"cloud/{made}"} == world.objects()
    for each in (image_id, made):
        world.http.delete(f"/images/{each}")


def test_an_upload_that_breaks_off_or_dies_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[bytes]:
        yield LARGE
        raise OSError("cut")

    image_id = world.image()
    with pytest.raises(OSError, match="cut"):
        world.http.put(f"/images/{image_id}/file", content=broken(), headers=OCTETS)
    until(lambda: world.show(image_id)["status"] == "queued", every=0.1)
    kept = stores.get(world.cloud, "bucket").writable
    until(lambda: kept.drafts() == {}, every=0.1)
    # What a process leaves that dies is known to the server alone.
    dead = stores.open_store(world.running.settings, stores.declared(world.running.settings)[0]).writable
    dead.write(f"upload.{image_id}.dead", 0, LARGE)
    assert kept.drafts().keys() == {f"upload.{image_id}.dead"}
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(world.running.control.cloud)
    assert kept.drafts() == {}
    assert world.objects() == set()
