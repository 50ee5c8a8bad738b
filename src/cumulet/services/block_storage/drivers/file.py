# SPDX-License-Identifier: Apache-2.0
"""Volumes as qcow2 files in one folder, made by `qemu-img`.

A snapshot is a file of its own, a full copy of the allocated clusters: deleting it never touches a volume, so it needs
no opener's help and cannot break a running server. Each file is written as a draft, synced, and renamed into place.
LIMITATIONS: a snapshot or clone takes the time and the room of the source's allocated data; files are not encrypted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from cumulet.kernel.backup.keeper import pin_files
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.run import Arg, CommandFailed, run
from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.drivers.base import Capabilities, CopyByOpener, nobody
from cumulet.services.block_storage.types import Stats

CAPABILITIES = Capabilities(
    name="file",
    vendor="Cumulet",
    version="1",
    storage_protocol="file",
    thin_provisioning=True,
    online_extend=True,
    multiattach=True,
)

SUFFIX = ".qcow2"
DRAFT = ".new"
COPY_TIME = 3600.0  # seconds that a copy may take
_FORMATS = frozenset({"raw", "qcow2"})


class FileBackend:
    """`VolumeBackend` below the folder `root`."""

    def __init__(self, root: Path) -> None:
        self._volumes = root / "volumes"
        self._snapshots = root / "snapshots"
        for folder in (root, self._volumes, self._snapshots):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def create_blank(self, volume_id: str, size: int) -> None:
        if self._has(volume_id, size):
            return
        with self._new(_path(self._volumes, volume_id)) as draft:
            _make(draft, size)

    def create_from_image(self, volume_id: str, size: int, image: Path, image_format: str) -> None:
        if image_format not in _FORMATS:
            raise Invalid(f"An image in the format {image_format} cannot become a volume.")
        self._copy(volume_id, size, image, image_format)

    def create_from_snapshot(self, volume_id: str, size: int, snapshot_id: str) -> None:
        self._copy(volume_id, size, self._existing(self._snapshots, snapshot_id), "qcow2")

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        if self._has(volume_id, size):
            return
        source = self._existing(self._volumes, source_id)
        with self._new(_path(self._volumes, volume_id)) as draft:
            self._take(source, draft, by_opener)
            _grow(draft, size)

    def extend(self, volume_id: str, size: int) -> None:
        path = self._existing(self._volumes, volume_id)
        have = _virtual_size(path)
        if size < have:
            raise Invalid(f"Volume {volume_id} has {have} bytes and cannot shrink to {size}.")
        _grow(path, size)
        _sync(path)

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        path = _path(self._snapshots, snapshot_id)
        if path.exists():
            return
        source = self._existing(self._volumes, volume_id)
        with self._new(path) as draft:
            self._take(source, draft, by_opener)

    def export(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], by_opener: CopyByOpener = nobody
    ) -> None:
        source = self._existing(self._volumes, volume_id)
        target.unlink(missing_ok=True)
        _make(target, _header_size(source), target_format)
        if not by_opener(target, target_format):
            _convert(source, "qcow2", target, target_format)

    def delete(self, volume_id: str) -> None:
        _remove(_path(self._volumes, volume_id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        _remove(_path(self._snapshots, snapshot_id))

    def source(self, volume_id: str) -> DiskSource:
        return DiskSource(path=self._existing(self._volumes, volume_id), format="qcow2")

    def size(self, volume_id: str) -> int:
        return _virtual_size(self._existing(self._volumes, volume_id))

    def volumes(self) -> list[str]:
        return _ids(self._volumes)

    def snapshots(self) -> list[str]:
        return _ids(self._snapshots)

    def stats(self) -> Stats:
        room = shutil.disk_usage(self._volumes)
        files = [path for folder in (self._volumes, self._snapshots) for path in folder.glob(f"*{SUFFIX}")]
        allocated = provisioned = 0
        for path in files:
            with suppress(FileNotFoundError):
                allocated += path.stat().st_blocks * 512
                if path.parent == self._volumes:
                    provisioned += _header_size(path)
        return Stats(total=room.total, free=room.free, provisioned=provisioned, allocated=allocated)

    def pin(self, folder: Path) -> list[str]:
        found = [f"{kind.name}/{name}" for kind in self._kinds() for name in pin_files(kind, folder / kind.name)]
        return [name for name in found if name.endswith(SUFFIX)]

    def empty_copy(self, volume_id: str, folder: Path) -> Path | None:
        target = _path(folder, volume_id)
        target.unlink(missing_ok=True)
        _make(target, _header_size(self._existing(self._volumes, volume_id)))
        return target

    def sweep(self) -> list[str]:
        drafts = [path for folder in (self._volumes, self._snapshots) for path in folder.glob(f"*{DRAFT}")]
        for path in drafts:
            _remove(path)
        return sorted(path.name for path in drafts)

    def _kinds(self) -> tuple[Path, Path]:
        return self._snapshots, self._volumes

    def _copy(self, volume_id: str, size: int, source: Path, source_format: str) -> None:
        if self._has(volume_id, size):
            return
        if not source.exists():
            raise NotFound(f"{source.name} is not on this host.")
        needs = _virtual_size(source, source_format)
        if needs > size:
            raise Invalid(f"The source needs {needs} bytes, the volume has {size}.")
        with self._new(_path(self._volumes, volume_id)) as draft:
            _convert(source, source_format, draft)
            _grow(draft, size)

    def _take(self, source: Path, draft: Path, by_opener: CopyByOpener) -> None:
        # The size is in the header, which an opener keeps true; reading it takes no lock.
        _make(draft, _header_size(source))
        if not by_opener(draft, "qcow2"):
            _convert(source, "qcow2", draft)

    @contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """A draft beside `path` that takes its place, durably, where the block ends well."""
        draft = path.with_name(path.name + DRAFT)
        draft.unlink(missing_ok=True)
        try:
            yield draft
            draft.chmod(0o600)
            _sync(draft)
            draft.rename(path)
            _sync(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _has(self, volume_id: str, size: int) -> bool:
        path = _path(self._volumes, volume_id)
        if not path.exists():
            return False
        have = _header_size(path)
        if have != size:
            raise Conflict(f"Volume {volume_id} exists with {have} bytes, not {size}.")
        return True

    def _existing(self, folder: Path, disk_id: str) -> Path:
        path = _path(folder, disk_id)
        if not path.exists():
            raise NotFound(f"{disk_id} is not on this host.")
        return path


def _path(folder: Path, disk_id: str) -> Path:
    if "/" in disk_id or disk_id.startswith("."):
        raise Invalid(f"{disk_id} is not the name of a volume.")
    return folder / f"{disk_id}{SUFFIX}"


def _ids(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def _make(path: Path, size: int, disk_format: str = "qcow2") -> None:
    _qemu_img("create", "-q", "-f", disk_format, path, str(size))


def _convert(source: Path, source_format: str, target: Path, target_format: str = "qcow2") -> None:
    _qemu_img("convert", "-q", "-f", source_format, "-O", target_format, source, target, timeout=COPY_TIME)


def _grow(path: Path, size: int) -> None:
    if _virtual_size(path) < size:
        _qemu_img("resize", "-q", "-f", "qcow2", path, str(size))


def _virtual_size(path: Path, disk_format: str = "qcow2") -> int:
    if disk_format == "raw":
        return path.stat().st_size
    return int(json.loads(_qemu_img("info", "-U", "-f", "qcow2", "--output=json", path))["virtual-size"])


def _header_size(path: Path) -> int:
    """The size of a qcow2 disk out of its header (bytes 24 to 31, big endian), without starting a program."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(32)[24:32], "big")


def _qemu_img(*words: Arg, timeout: float = 60.0) -> bytes:
    try:
        return run(["qemu-img", *words], timeout=timeout).stdout
    except CommandFailed as failure:
        if "lock" in failure.output:
            raise NotReady("The disk is open somewhere else.") from failure
        if "No space left" in failure.output:
            raise NotReady("There is no room for the volume.") from failure
        raise


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
        _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
