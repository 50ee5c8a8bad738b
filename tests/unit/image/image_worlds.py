# SPDX-License-Identifier: Apache-2.0
"""Clouds whose images are in a store for objects: a real S3 server's bucket, or a container of their own store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from cumulet.services.identity.types import Target
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import accounts, stores
from support.cloud import RunningCloud
from support.people import People, environment
from support.s3_server import ACCESS_KEY, S3Server

OCTETS = {"Content-Type": "application/octet-stream"}


class World:
    """Its images are in the store `name` in parts of `part` bytes, and may be copied to `local`."""

    name: str
    part: int

    def __init__(self, folder: Path, services: Sequence[str], store: Mapping[str, Any]) -> None:
        said = {"id": self.name, "part_size": self.part, **store}
        self.running = RunningCloud(
            folder, services, settings={"image.stores": [said, {"id": "local", "type": "file"}]}
        )
        self.people = environment(self.running)
        self.cloud = self.running.data.cloud
        self.http = httpx.Client(
            base_url=f"{self.running.data_url}/image/v2",
            headers={"X-Auth-Token": self.people["MEMBER_TOKEN"]},
            timeout=60,
        )

    def image(self, content: bytes | None = None, disk_format: str = "raw") -> str:
        words = {"disk_format": disk_format, "container_format": "bare"}
        image_id = str(self.http.post("/images", json=words).json()["id"])
        if content is not None:
            answer = self.http.put(f"/images/{image_id}/file", content=content, headers=OCTETS)
            assert answer.status_code == 204, answer.text
        return image_id

    def show(self, image_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/images/{image_id}").json()
        return found

    @property
    def store(self) -> ByteStore:
        return stores.get(self.cloud, self.name).writable

    def opened_anew(self) -> ByteStore:
        """The store as another process has it."""
        raise NotImplementedError

    def objects(self) -> set[str]:
        """The names of all that is there, behind a prefix of the store's own."""
        raise NotImplementedError

    def stranger_may_read(self, image_id: str) -> bool:
        """Whether a user of the cloud gets the bytes past the image service."""
        raise NotImplementedError

    def close(self) -> None:
        self.http.close()
        self.running.close()


class InBucket(World):
    name, part = "bucket", 5 << 20

    def __init__(self, folder: Path) -> None:
        self.server = S3Server()
        store = {
            "type": "s3", "endpoint": self.server.endpoint, "bucket": self.server.bucket, "prefix": "cloud/",
            "access_key": ACCESS_KEY, "secret_key_file": str(self.server.secret_key_file),
        }  # fmt: skip
        super().__init__(folder, ["identity", "image"], store)

    def opened_anew(self) -> ByteStore:
        settings = self.running.settings
        return stores.open_store(settings, stores.declared(settings)[0]).writable

    def objects(self) -> set[str]:
        pages: Any = self.server.client()
        found = pages.list_objects_v2(Bucket=self.server.bucket).get("Contents", ())
        return {each["Key"].removeprefix("cloud/") for each in found}

    def stranger_may_read(self, image_id: str) -> bool:
        return httpx.get(f"{self.server.endpoint}/{self.server.bucket}/cloud/{image_id}").is_success

    def close(self) -> None:
        super().close()
        self.server.close()


class InContainer(World):
    name, part = "objects", 1 << 20

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["identity", "image", "object_store"], {"type": "swift"})
        url = self.running.objects_url()
        people = People(self.running)
        service = people.named_project("service")
        token = people.token(people.holder("admin", Target.PROJECT, service), {"project": {"id": service}})
        account = f"{url}/v1/AUTH_{service}/"
        self.owner = httpx.Client(base_url=account, headers={"X-Auth-Token": token}, timeout=60)

    def opened_anew(self) -> ByteStore:
        settings = self.running.settings
        find = lambda name: accounts.find(self.cloud, name)  # noqa: E731
        return stores.open_store(settings, stores.declared(settings)[0], account=find).writable

    def objects(self) -> set[str]:
        return set(self.owner.get("glance").text.splitlines())

    def stranger_may_read(self, image_id: str) -> bool:
        stranger = {"X-Auth-Token": self.people["MEMBER_TOKEN"]}
        return httpx.get(f"{self.owner.base_url}glance/{image_id}", headers=stranger).is_success

    def close(self) -> None:
        self.owner.close()
        super().close()
