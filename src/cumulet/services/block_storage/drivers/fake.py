# SPDX-License-Identifier: Apache-2.0
"""Volumes in memory: all of the Protocol's behaviour, none of the bytes on a disk.

A volume's content is a mapping of offset to bytes, so that tests can tell copies from one another. With a journal the
volumes outlive the agent as files do. LIMITATIONS: the paths that it names do not exist; an exported file ends where
the content does.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.drivers.base import Capabilities, CopyByOpener, Ended, VolumeBackend, nobody
from cumulet.services.block_storage.types import GIB, Stats

CAPABILITIES = Capabilities(
    name="fake",
    vendor="Cumulet",
    version="1",
    storage_protocol="fake",
    thin_provisioning=True,
    online_extend=True,
    multiattach=True,
)


SECTOR = 512
FAKE_PORTS = range(10809, 11833)


@dataclass
class _Disk:
    size: int
    content: dict[int, bytes] = field(default_factory=dict)

    def copy(self, size: int) -> _Disk:
        return _Disk(size, dict(self.content))


class FakeBackend:
    """`VolumeBackend` in memory, `total` bytes large; what is in `journal` is there from the beginning."""

    def __init__(self, root: Path, total: int = 1000 * GIB, journal: Journal | None = None) -> None:
        self._root = root
        self._total = total
        self._journal = journal
        self._volumes: dict[str, _Disk] = {}
        self._snapshots: dict[str, _Disk] = {}
        self._lock = threading.RLock()
        for key, record in ({} if journal is None else journal.items()).items():
            kind, _, disk_id = key.partition(".")
            (self._volumes if kind == "volume" else self._snapshots)[disk_id] = msgspec.convert(record, _Disk)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def create_blank(self, volume_id: str, size: int) -> None:
        self._add(volume_id, _Disk(size))

    def create_from_image(self, volume_id: str, size: int, image: Path, image_format: str) -> None:
        content = image.read_bytes() if image.is_file() else b""
        if image_format == "raw" and len(content) > size:
            raise Invalid(f"The image needs {len(content)} bytes, the volume has {size}.")
        self._add(volume_id, _Disk(size, {0: content} if content else {}))

    def create_from_snapshot(self, volume_id: str, size: int, snapshot_id: str) -> None:
        self._add(volume_id, self._larger(self._find(self._snapshots, snapshot_id), size))

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        source = self._find(self._volumes, source_id)
        by_opener(self._root / f"{volume_id}.new", "raw")
        self._add(volume_id, self._larger(source, size))

    def extend(self, volume_id: str, size: int) -> None:
        with self._lock:
            disk = self._find(self._volumes, volume_id)
            if size < disk.size:
                raise Invalid(f"Volume {volume_id} has {disk.size} bytes and cannot shrink to {size}.")
            self._room(size - disk.size)
            disk.size = size
            self._keep("volume", volume_id, disk)

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        if snapshot_id in self._snapshots:
            return
        disk = self._find(self._volumes, volume_id)
        by_opener(self._root / f"{snapshot_id}.new", "raw")
        with self._lock:
            self._snapshots[snapshot_id] = disk.copy(disk.size)
            self._keep("snapshot", snapshot_id, self._snapshots[snapshot_id])

    def export(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], by_opener: CopyByOpener = nobody
    ) -> None:
        disk = self._find(self._volumes, volume_id)
        by_opener(target, target_format)
        end = max((at + len(piece) for at, piece in disk.content.items()), default=SECTOR)
        content = self.read(volume_id, 0, end)
        target.write_bytes(content if target_format == "raw" else _qcow2_header(disk.size) + content)

    def delete(self, volume_id: str) -> None:
        with self._lock:
            self._volumes.pop(volume_id, None)
            self._keep("volume", volume_id, None)

    def delete_snapshot(self, snapshot_id: str) -> None:
        with self._lock:
            self._snapshots.pop(snapshot_id, None)
            self._keep("snapshot", snapshot_id, None)

    def source(self, volume_id: str) -> DiskSource:
        self._find(self._volumes, volume_id)
        return DiskSource(path=self._root / volume_id, format="raw")

    def size(self, volume_id: str) -> int:
        return self._find(self._volumes, volume_id).size

    def volumes(self) -> list[str]:
        return sorted(self._volumes)

    def snapshots(self) -> list[str]:
        return sorted(self._snapshots)

    def stats(self) -> Stats:
        provisioned = sum(disk.size for disk in self._volumes.values())
        return Stats(total=self._total, free=self._total - provisioned, provisioned=provisioned, allocated=provisioned)

    def pin(self, folder: Path) -> list[str]:
        return []

    def empty_copy(self, volume_id: str, folder: Path) -> Path | None:
        self._find(self._volumes, volume_id)
        return None

    def sweep(self) -> list[str]:
        return []

    def write(self, volume_id: str, offset: int, content: bytes) -> None:
        """What a guest would do."""
        self._find(self._volumes, volume_id).content[offset] = content

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        """What a guest would read."""
        content = bytearray(length)
        for at, piece in self._find(self._volumes, volume_id).content.items():
            for index, byte in enumerate(piece):
                if offset <= at + index < offset + length:
                    content[at + index - offset] = byte
        return bytes(content)

    def _add(self, volume_id: str, disk: _Disk) -> None:
        with self._lock:
            have = self._volumes.get(volume_id)
            if have is not None and have.size != disk.size:
                raise Conflict(f"Volume {volume_id} exists with {have.size} bytes, not {disk.size}.")
            if have is None:
                self._room(disk.size)
                self._volumes[volume_id] = disk
                self._keep("volume", volume_id, disk)

    def _keep(self, kind: str, disk_id: str, disk: _Disk | None) -> None:
        if self._journal is None:
            return
        if disk is None:
            self._journal.delete(f"{kind}.{disk_id}")
        else:
            self._journal.put(f"{kind}.{disk_id}", msgspec.to_builtins(disk, builtin_types=(bytes,)))

    def _room(self, more: int) -> None:
        if self.stats().free < more:
            raise NotReady("There is no room for the volume.")

    def _larger(self, source: _Disk, size: int) -> _Disk:
        if size < source.size:
            raise Invalid(f"The source has {source.size} bytes, the volume only {size}.")
        return source.copy(size)

    def _find(self, disks: dict[str, _Disk], disk_id: str) -> _Disk:
        disk = disks.get(disk_id)
        if disk is None:
            raise NotFound(f"{disk_id} is not on this host.")
        return disk


class FakeExporter:
    """`Exporter` of a fake back end: who may open what is kept, nobody can. `die` is for tests."""

    def __init__(self, backend: VolumeBackend, journal: Journal, ended: Ended) -> None:
        self._backend = backend
        self._journal = journal
        self._ended = ended
        self._lock = threading.RLock()

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        with self._lock:
            have = self._journal.get(volume_id)
            if have is not None and have["clients"] == list(clients) and port in (0, have["port"]):
                return int(have["port"])
            taken = {record["port"] for record in self._journal.items().values()}
            chosen = port or next(one for one in FAKE_PORTS if one not in taken)
            if chosen in taken - {have["port"] if have else 0}:
                raise Conflict(f"port {chosen} is taken", code="ExportFailed")
            self._backend.size(volume_id)
            self._journal.put(volume_id, {"clients": list(clients), "port": chosen})
            return chosen

    def stop(self, volume_id: str) -> None:
        with self._lock:
            self._journal.delete(volume_id)

    def exports(self) -> list[str]:
        return sorted(self._journal.items())

    def resize(self, volume_id: str, size: int) -> None:
        self._find(volume_id)
        self._backend.extend(volume_id, size)

    def copy(self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"]) -> None:
        """The target is there in the right size: what a disk that nobody writes to holds."""
        self._find(volume_id)

    def close(self) -> None:
        """Nothing is held."""

    def clients(self, volume_id: str) -> list[str]:
        """The hosts that may open the volume."""
        return [str(client) for client in self._find(volume_id)["clients"]]

    def die(self, volume_id: str) -> None:
        """The export ends by itself."""
        self.stop(volume_id)
        self._ended(volume_id)

    def _find(self, volume_id: str) -> dict[str, Any]:
        have: dict[str, Any] | None = self._journal.get(volume_id)
        if have is None:
            raise NotReady(f"The export of volume {volume_id} does not answer.")
        return have


def _qcow2_header(size: int) -> bytes:
    """What makes a file recognizable as qcow2 (version 3, header fields of the format's specification)."""
    fields = (b"QFI\xfb", 3, 0, 0, 16, size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 104)
    return struct.pack(">4sIQIIQIIQQIIQQQQII", *fields).ljust(SECTOR, b"\0")
