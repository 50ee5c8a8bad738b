# SPDX-License-Identifier: Apache-2.0
"""Bytes of images in and out of a cloud, and what `cp` needs for the same file, with what the processes used for it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench import processes
from bench.client import Client

PIECE = 1 << 20  # bytes that the driver reads at once


class WrongBytes(Exception):
    """What came back is not what was sent."""


@dataclass
class Cost:
    """What one transfer took: seconds on the clock, of CPU by all processes of the cloud, and bytes of memory more than
    before, in the process that grew most. `others` is how many cores unrelated programs kept busy meanwhile.
    """

    seconds: float
    cpu: float = 0.0
    memory: int = 0
    others: float = 0.0


@dataclass
class Cloud:
    """A cloud under measurement: what it is called, how it is reached, its processes; and what was measured."""

    label: str
    client: Client
    top: dict[int, str]
    uploads: list[Cost] = field(default_factory=list)
    downloads: list[Cost] = field(default_factory=list)


def make_file(path: Path, size: int) -> str:
    """A file of `size` bytes that nothing can make smaller, in the page cache; its SHA-512."""
    digest = hashlib.sha512()
    with path.open("wb") as sink:
        for _ in range(size // PIECE):
            piece = os.urandom(PIECE)
            digest.update(piece)
            sink.write(piece)
        os.fsync(sink.fileno())
    return digest.hexdigest()


def copy(source: Path) -> Cost:
    """`cp` to the same disk, and the disk's word that it has it all."""
    target = source.with_suffix(".copy")
    bystanders, began, before = processes.Bystanders({}), time.perf_counter(), os.times()
    subprocess.run(["cp", "--reflink=never", "--sparse=never", str(source), str(target)], check=True)
    with target.open("rb") as copied:
        os.fsync(copied.fileno())
    took, after = time.perf_counter() - began, os.times()
    target.unlink()
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(took, sum(after[:4]) - sum(before[:4]), others=max(0.0, bystanders.cores() - children / took))


async def measure(cloud: Cloud, source: Path, sha512: str) -> None:
    """One upload and one download, added to what is known of the cloud; the image is gone then. Raises WrongBytes."""
    body = {"name": "bench-bytes", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
    image_id = (await cloud.client.ask("POST", "image", "/images", body))["id"]
    path = f"/images/{image_id}/file"
    try:
        with spending(cloud.top) as cost:
            _upload(cloud.client, path, source)
        cloud.uploads.append(cost)
        with spending(cloud.top) as cost:
            received = _download(cloud.client, path)
        cloud.downloads.append(cost)
        if received != source.stat().st_size:
            raise WrongBytes(f"{cloud.label}: {received} bytes came back")
        shown = await cloud.client.ask("GET", "image", f"/images/{image_id}")
        if shown["os_hash_value"] != sha512:
            raise WrongBytes(f"{cloud.label}: the sum is {shown['os_hash_value']}")
    finally:
        await cloud.client.send("DELETE", "image", f"/images/{image_id}")


@contextlib.contextmanager
def spending(top: dict[int, str]) -> Iterator[Cost]:
    """What happens within is what the cost tells, once it is over."""
    before = {pid: _forget_peak(pid) for pid in processes.members(top)}
    bystanders = processes.Bystanders(top)
    cpu, cost, began = sum(processes.spent(top).values()), Cost(0.0), time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - began
    cost.cpu = sum(processes.spent(top).values()) - cpu
    cost.others = bystanders.cores()
    cost.memory = max((_memory(pid, "VmHWM") - was for pid, was in before.items()), default=0)


def _upload(client: Client, path: str, source: Path) -> None:
    with contextlib.closing(_connect(client)) as line, source.open("rb") as file:
        line.putrequest("PUT", _target(client, path))
        _say(line, client, ("Content-Type", "application/octet-stream"))
        line.putheader("Content-Length", str(source.stat().st_size))
        line.endheaders()
        line.sock.sendfile(file)
        answer = line.getresponse()
        if answer.status != 204:
            raise WrongBytes(f"upload: {answer.status} {answer.read(300)!r}")


def _download(client: Client, path: str) -> int:
    buffer, received = bytearray(PIECE), 0
    with contextlib.closing(_connect(client)) as line:
        line.putrequest("GET", _target(client, path))
        _say(line, client)
        line.endheaders()
        answer = line.getresponse()
        if answer.status != 200:
            raise WrongBytes(f"download: {answer.status} {answer.read(300)!r}")
        while more := answer.readinto(buffer):
            received += more
    return received


def _connect(client: Client) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(client.endpoint("image")).netloc, timeout=600)


def _target(client: Client, path: str) -> str:
    return urlsplit(client.endpoint("image")).path + path


def _say(line: http.client.HTTPConnection, client: Client, *headers: tuple[str, str]) -> None:
    for name, value in (("X-Auth-Token", client.token), *headers):
        line.putheader(name, value)


def _forget_peak(pid: int) -> int:
    """Let the process's high-water mark begin anew; the bytes that it has now."""
    with contextlib.suppress(OSError):
        (processes.PROC / str(pid) / "clear_refs").write_text("5")
    return _memory(pid, "VmRSS")


def _memory(pid: int, name: str) -> int:
    try:
        text = (processes.PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name)), 0)
