# SPDX-License-Identifier: Apache-2.0
"""A member of a project at the image API, and how much memory serving them took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until


class ImageUser:
    """The image API of a running cloud as one member of a project uses it."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.people = environment(cloud)
        self.http = httpx.Client(
            base_url=f"{cloud.data_url}/image/v2",
            headers={"X-Auth-Token": self.people["MEMBER_TOKEN"], "Accept": "application/json"},
            timeout=60,
        )

    def create(self, **words: Any) -> str:
        """A new image without data; its id."""
        answer = self.http.post("/images", json={"disk_format": "raw", "container_format": "bare", **words})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def upload(self, image_id: str, content: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream", **headers}
        return self.http.put(f"/images/{image_id}/file", content=content, headers=headers)

    def show(self, image_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.http.get(f"/images/{image_id}").json()
        return shown

    def content(self, image_id: str) -> bytes:
        return self.http.get(f"/images/{image_id}/file").content

    def wait_for(self, image_id: str, status: str) -> None:
        until(lambda: self.show(image_id)["status"] == status)


def peak_memory() -> int:
    """The highest resident size of this process, in bytes, since it was last reset."""
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
