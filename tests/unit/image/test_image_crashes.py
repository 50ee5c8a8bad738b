# SPDX-License-Identifier: Apache-2.0
"""The data process, or the client, dies while an image is being filled: only the upload is lost, nothing is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cumulet.services.image.logic import abandoned, staging, stores
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

CONTENT = b"x" * (3 << 20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def data_process(cloud: RunningCloud, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts one more data process of the cloud, which dies at a place; gives its address."""
    started: list[subprocess.Popen[bytes]] = []

    def start(place: str) -> str:
        faults = tmp_path / "faults"
        faults.write_text(place)
        port = free_port()
        own = {"state": cloud.settings.state, "data.port": port, "database.url": cloud.settings.database.url}
        words = [word for name, value in own.items() for word in ("--set", f"{name}={value}")]
        child = subprocess.Popen(
            [sys.executable, "-m", "cumulet.cli", *words, "data"],
            env={**os.environ, "CUMULET_FAULTS": str(faults)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(child)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{address}/healthz")
                return address
            except httpx.TransportError:
                assert child.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)

    yield start
    for child in started:
        child.kill()
        child.wait()


class Upload:
    """An image of a member of a project, which is filled through a process that dies of it."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud.control.cloud
        self.headers = {"X-Auth-Token": environment(cloud)["MEMBER_TOKEN"]}
        self.octets = {**self.headers, "Content-Type": "application/octet-stream"}
        self.images = f"{cloud.data_url}/image/v2/images"
        words = {"disk_format": "raw", "container_format": "bare"}
        self.id = httpx.post(self.images, json=words, headers=self.headers).json()["id"]

    def dies(self, address: str) -> None:
        doomed = f"{address}/image/v2/images/{self.id}/file"
        with pytest.raises(httpx.TransportError):
            httpx.put(doomed, content=CONTENT, headers=self.octets, timeout=60)

    def put_right(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
        abandoned.put_right(self.cloud)
        abandoned.put_right(self.cloud)

    def status(self) -> str:
        return str(httpx.get(f"{self.images}/{self.id}", headers=self.headers).json()["status"])

    def left(self) -> list[str]:
        """The names of all that is kept of it."""
        kept = stores.default(self.cloud).writable
        everything = [*kept.drafts(), *kept.published(), *staging.area(self.cloud).drafts()]
        return [name for name in everything if self.id in name]

    def works(self) -> None:
        """It can still be filled, and read."""
        filled = httpx.put(f"{self.images}/{self.id}/file", content=CONTENT, headers=self.octets, timeout=60)
        assert filled.status_code == 204
        self.is_whole()

    def is_whole(self) -> None:
        assert httpx.get(f"{self.images}/{self.id}/file", headers=self.headers).content == CONTENT


@pytest.mark.parametrize("place", ["image.upload", "image.inspected", "image.published"])
def test_an_upload_dies_with_its_process(
    cloud: RunningCloud, data_process: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    upload = Upload(cloud)
    upload.dies(data_process(place))
    assert upload.status() == "saving"
    upload.put_right(monkeypatch)
    assert upload.status() == "queued"
    assert upload.left() == []
    upload.works()


def test_an_upload_that_was_done_outlives_its_process(
    cloud: RunningCloud, data_process: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Upload(cloud)
    upload.dies(data_process("image.activated"))
    upload.put_right(monkeypatch)
    assert upload.left() == [upload.id]
    upload.is_whole()


@pytest.mark.parametrize(
    ("way", "sent"), [("file", 0), ("file", 1000), ("file", 2 << 20), ("file", len(CONTENT)), ("stage", 2 << 20)]
)
def test_an_upload_dies_with_its_client(cloud: RunningCloud, way: str, sent: int) -> None:
    """At whatever moment: what came is gone, and the image waits for its data again."""
    upload = Upload(cloud)
    address = urlsplit(upload.images)
    with socket.create_connection((address.hostname, address.port), timeout=60) as line:
        size = len(CONTENT) + 1  # one byte never comes
        head = [f"PUT {address.path}/{upload.id}/{way} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {size}"]
        head += [f"{name}: {text}" for name, text in upload.octets.items()]
        line.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + CONTENT[:sent])
        until(lambda: upload.status() == {"file": "saving", "stage": "uploading"}[way])
    until(lambda: upload.status() == "queued")
    until(lambda: upload.left() == [])
    upload.works()
