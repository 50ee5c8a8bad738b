# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of the data process while an image is being filled: nothing is lost but the upload, and nothing is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cumulet.services.image.logic import abandoned, stores
from support.cloud import RunningCloud
from support.people import environment

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


@pytest.mark.parametrize("place", ["image.upload", "image.published"])
def test_an_upload_dies_with_its_process(
    cloud: RunningCloud, data_process: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    headers = {"X-Auth-Token": environment(cloud)["MEMBER_TOKEN"]}
    images = f"{cloud.data_url}/image/v2/images"
    octets = {**headers, "Content-Type": "application/octet-stream"}
    words = {"disk_format": "raw", "container_format": "bare"}
    image_id = httpx.post(images, json=words, headers=headers).json()["id"]
    doomed = f"{data_process(place)}/image/v2/images/{image_id}/file"
    with pytest.raises(httpx.TransportError):
        httpx.put(doomed, content=CONTENT, headers=octets, timeout=60)
    assert httpx.get(f"{images}/{image_id}", headers=headers).json()["status"] == "saving"
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(cloud.control.cloud)
    abandoned.put_right(cloud.control.cloud)
    kept = stores.default(cloud.control.cloud).writable
    assert not [name for name in [*kept.drafts(), *kept.published()] if image_id in name]
    assert httpx.put(f"{images}/{image_id}/file", content=CONTENT, headers=octets, timeout=60).status_code == 204
    assert httpx.get(f"{images}/{image_id}/file", headers=headers).content == CONTENT
