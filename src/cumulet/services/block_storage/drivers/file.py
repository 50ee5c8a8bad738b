# SPDX-License-Identifier: Apache-2.0
"""Volumes as qcow2 files in one folder, or as raw sparse ones, made by `qemu-img`; snapshots are qcow2 files always.

A snapshot is a file of its own, a full copy of the allocated clusters: deleting it never touches a volume, so it needs
no opener's help and cannot break a running server. Each file is written as a draft, synced, and renamed into place.
An encrypted volume is a LUKS container inside of such a file, which is copied as it stands.
LIMITATIONS: a snapshot or clone takes the time and the room of the source's allocated data.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

from cumulet.kernel import detached, memory_file
from cumulet.kernel.backup.keeper import pin_files
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.run import Arg, CommandFailed
from cumulet.services.block_storage.contract import DiskSource, FileDisk, NetworkSource
from cumulet.services.block_storage.drivers import adoption, luks, recode
from cumulet.services.block_storage.drivers.adoption import Adoption
from cumulet.services.block_storage.drivers.base import (
    Capabilities,
    Content,
    CopyByOpener,
    CopyTogether,
    Kind,
    Stranger,
    nobody,
    nobody_of_them,
)
from cumulet.services.block_storage.drivers.content import Qcow2Content
from cumulet.services.block_storage.drivers.kinds import NBD, BackendKind, Made, Place
from cumulet.services.block_storage.drivers.room import room
from cumulet.services.block_storage.drivers.tool import COPY_TIME, qemu_img, told
from cumulet.services.block_storage.types import Stats
from cumulet.services.block_storage.types.encryption import HEADER, Container, Recoding
from cumulet.settings.base import UNSET
from cumulet.settings.block_storage import FileVolumeBackend

CAPABILITIES = Capabilities(
    name="file",
    vendor="Cumulet",
    version="1",
    storage_protocol="file",
    thin_provisioning=True,
    online_extend=True,
    multiattach=True,
    encryption=True,
)

SUFFIX = ".qcow2"
DRAFT = ".new"
_FORMATS = frozenset({"raw", "qcow2"})


class FileBackend:
    """`VolumeBackend` below the folder `root`, with volumes in the format `volume_format`."""

    def __init__(
        self,
        root: Path,
        volume_format: Literal["qcow2", "raw"] = "qcow2",
        capabilities: Capabilities = CAPABILITIES,
        draft: str = DRAFT,
        *,
        make: bool = True,
    ) -> None:
        self._draft = draft
        self._format = volume_format
        self._suffix = f".{volume_format}"
        self._capabilities = capabilities
        self._volumes = root / "volumes"
        self._snapshots = root / "snapshots"
        self._adoption = Adoption(root)
        if make:
            self._make_folders()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def create_blank(self, volume_id: str, size: int, container: Container | None = None) -> None:
        if self._has(volume_id, size):
            return
        with self._new(self._path(self._volumes, volume_id)) as draft:
            self._make_blank(draft, size, container)

    def create_from_image(
        self, volume_id: str, size: int, image: Path, image_format: str, container: Container | None = None
    ) -> None:
        if image_format not in _FORMATS:
            raise Invalid(f"An image in the format {image_format} cannot become a volume.")
        self._copy(volume_id, size, image, image_format, container)

    def create_from_snapshot(self, volume_id: str, size: int, snapshot_id: str) -> None:
        self._copy(volume_id, size, self._existing(self._snapshots, snapshot_id), "qcow2")

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        if self._has(volume_id, size):
            return
        source = self._existing(self._volumes, source_id)
        with self._new(self._path(self._volumes, volume_id)) as draft:
            self._take(source, draft, self._format, by_opener)
            _grow(draft, size, self._format)

    def extend(self, volume_id: str, size: int) -> None:
        path = self._existing(self._volumes, volume_id)
        have = _virtual_size(path, self._format)
        if size < have:
            raise Invalid(f"Volume {volume_id} has {have} bytes and cannot shrink to {size}.")
        with room():
            _grow(path, size, self._format)
            adoption.sync(path)

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        self._refill(volume_id, self._existing(self._snapshots, snapshot_id), "qcow2")

    def reimage(self, volume_id: str, image: Path, image_format: str, container: Container | None = None) -> None:
        if image_format not in _FORMATS:
            raise Invalid(f"An image in the format {image_format} cannot become a volume.")
        self._refill(volume_id, image, image_format, container)

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        path = self._path(self._snapshots, snapshot_id)
        if path.exists():
            return
        source = self._existing(self._volumes, volume_id)
        with self._new(path) as draft:
            self._take(source, draft, "qcow2", by_opener)

    def snapshot_together(self, volumes: Mapping[str, str], by_openers: CopyTogether = nobody_of_them) -> None:
        paths = {snapshot_id: self._path(self._snapshots, snapshot_id) for snapshot_id in volumes}
        if all(path.exists() for path in paths.values()):
            return
        for path in paths.values():
            _remove(path)  # of another moment than what is to be taken now
        sources = {volume_id: self._existing(self._volumes, volume_id) for volume_id in volumes.values()}
        with ExitStack() as new:
            drafts = {volumes[each]: new.enter_context(self._new(path)) for each, path in paths.items()}
            for volume_id, draft in drafts.items():
                _make(draft, self._size(sources[volume_id]))
            copied = by_openers(drafts, "qcow2")
            for volume_id in drafts.keys() - copied:
                _convert(sources[volume_id], self._format, drafts[volume_id])

    def export(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], by_opener: CopyByOpener = nobody
    ) -> None:
        source = self._existing(self._volumes, volume_id)
        target.unlink(missing_ok=True)
        _make(target, self._size(source), target_format)
        if not by_opener(target, target_format):
            _convert(source, self._format, target, target_format)

    def delete(self, volume_id: str) -> None:
        _remove(self._path(self._volumes, volume_id))
        self._adoption.give_back("volume", volume_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        _remove(self._path(self._snapshots, snapshot_id))
        self._adoption.give_back("snapshot", snapshot_id)

    def receive(
        self, volume_id: str, size: int, source: DiskSource | NetworkSource, recoding: Recoding | None = None
    ) -> None:
        path = self._path(self._volumes, volume_id)
        if recoding is not None:
            self._recode(path, size, source, recoding)
            return
        with self._new(path) as draft:
            _copy_disk(source, draft, self._format)
            _grow(draft, size, self._format)

    def strangers(self, kind: Kind) -> list[Stranger]:
        return self._adoption.all(kind)

    def stranger(self, kind: Kind, name: str) -> Stranger:
        return self._adoption.find(kind, name)

    def adopt(self, kind: Kind, disk_id: str, name: str, size: int) -> None:
        path = self._path(self._folder(kind), disk_id)
        if not path.exists():
            taken = self._adoption.take(kind, disk_id, name)
            have, wanted = adoption.FORMATS[adoption.suffix_of(name)], self._format_of(kind)
            if have != wanted:
                with self._new(path) as draft:
                    _convert(taken, have, draft, wanted)
                    _grow(draft, size, wanted)
            else:
                if have == "qcow2":
                    qemu_img("check", "-q", "-f", "qcow2", "-r", "leaks", taken, timeout=COPY_TIME)
                _grow(taken, size, wanted)
                taken.chmod(0o600)
                adoption.sync(taken)
                taken.rename(path)
                adoption.sync(path.parent)
        self._adoption.release(kind, disk_id)

    def abandon(self, kind: Kind, disk_id: str, name: str) -> None:
        path = self._path(self._folder(kind), disk_id)
        if self._adoption.taken(kind, disk_id) is not None:
            _remove(path)  # a copy of it
            self._adoption.give_back(kind, disk_id)
        elif path.exists():
            self._adoption.put(kind, path, f"{name.removesuffix(adoption.suffix_of(name))}{path.suffix}")

    @contextmanager
    def content(self, snapshot_id: str) -> Iterator[Content]:
        path = self._existing(self._snapshots, snapshot_id)
        with path.open("rb") as file:
            yield Qcow2Content(path, file.fileno(), _header_size(path))

    def source(self, volume_id: str) -> FileDisk:
        return FileDisk(path=self._existing(self._volumes, volume_id), format=self._format)

    def size(self, volume_id: str) -> int:
        return _virtual_size(self._existing(self._volumes, volume_id), self._format)

    def volumes(self) -> list[str]:
        return _ids(self._volumes, self._suffix)

    def snapshots(self) -> list[str]:
        return _ids(self._snapshots, SUFFIX)

    def stats(self) -> Stats:
        disk = shutil.disk_usage(self._volumes)
        files = [*self._volumes.glob(f"*{self._suffix}"), *self._snapshots.glob(f"*{SUFFIX}")]
        allocated = provisioned = 0
        for path in files:
            with suppress(FileNotFoundError):
                allocated += path.stat().st_blocks * 512
                if path.parent == self._volumes:
                    provisioned += self._size(path)
        return Stats(total=disk.total, free=disk.free, provisioned=provisioned, allocated=allocated)

    def pin(self, folder: Path) -> list[str]:
        found = [f"{kind.name}/{name}" for kind in self._kinds() for name in pin_files(kind, folder / kind.name)]
        return [name for name in found if name.endswith((self._suffix, SUFFIX))]

    def empty_copy(self, volume_id: str, folder: Path) -> Path | None:
        source = self._existing(self._volumes, volume_id)
        if self._format != "qcow2":
            return None
        target = folder / source.name
        target.unlink(missing_ok=True)
        _make(target, self._size(source))
        return target

    def bring_back(self, folder: Path) -> list[str]:
        taken = []
        for kind in self._kinds():
            source = folder / kind.name
            found = [] if source.absolute() == kind.absolute() else sorted(source.glob(f"*{self._suffix_in(kind)}"))
            for path in found:
                if not (kind / path.name).exists():
                    with self._new(kind / path.name) as draft:
                        shutil.copyfile(path, draft)
                    _remove(path)
                    taken.append(path.name)
        return taken

    def sweep(self) -> list[str]:
        for folder in (self._volumes, self._snapshots):
            detached.end_writers(folder, self._draft)
        drafts = [path for folder in (self._volumes, self._snapshots) for path in folder.glob(f"*{self._draft}")]
        for path in drafts:
            _remove(path)
        return sorted(path.name for path in drafts)

    def _make_folders(self) -> None:
        for folder in self._kinds():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._adoption.make()

    def _folder(self, kind: Kind) -> Path:
        return self._volumes if kind == "volume" else self._snapshots

    def _kinds(self) -> tuple[Path, Path]:
        return self._snapshots, self._volumes

    def _format_of(self, kind: Kind) -> Literal["qcow2", "raw"]:
        return self._format if kind == "volume" else "qcow2"

    def _suffix_in(self, folder: Path) -> str:
        return self._suffix if folder == self._volumes else SUFFIX

    def _path(self, folder: Path, disk_id: str) -> Path:
        if "/" in disk_id or disk_id.startswith("."):
            raise Invalid(f"{disk_id} is not the name of a volume.")
        return folder / f"{disk_id}{self._suffix_in(folder)}"

    def _size(self, path: Path) -> int:
        """The size of a volume's disk, without starting a program and whoever has it open."""
        return path.stat().st_size if self._format == "raw" else _header_size(path)

    def _make_blank(self, path: Path, size: int, container: Container | None) -> None:
        if container is None:
            _make(path, size, self._format)
        elif self._format == "raw":
            raise Conflict("The back end makes no encrypted volumes.", code="EncryptionNotSupported")
        else:
            _make_blank(path, size, container)

    def _recode(self, path: Path, size: int, source: DiskSource | NetworkSource, recoding: Recoding) -> None:
        if isinstance(source, FileDisk) and source.path == path and recode.is_done(source, recoding):
            return
        with self._new(path) as draft, _reaching(source):
            if recoding.container is not None:
                self._make_blank(draft, size, recoding.container)
            recode.copy(source, size, recoding, draft, self._format)
            _grow(draft, size, self._format)

    def _copy(
        self, volume_id: str, size: int, source: Path, source_format: str, container: Container | None = None
    ) -> None:
        if not self._has(volume_id, size):
            self._fill(self._path(self._volumes, volume_id), size, source, source_format, container)

    def _refill(self, volume_id: str, source: Path, source_format: str, container: Container | None = None) -> None:
        path = self._existing(self._volumes, volume_id)
        self._fill(path, _virtual_size(path, self._format), source, source_format, container)

    def _fill(self, path: Path, size: int, source: Path, source_format: str, container: Container | None) -> None:
        if not source.exists():
            raise NotFound(f"{source.name} is not on this host.")
        needs = _virtual_size(source, source_format) + (HEADER if container is not None else 0)
        if needs > size:
            raise Invalid(f"The source needs {needs} bytes, the volume has {size}.")
        with self._new(path) as draft:
            if container is not None:
                self._make_blank(draft, size, container)
                _encrypt(source, source_format, draft, container)
            else:
                _convert(source, source_format, draft, self._format)
                _grow(draft, size, self._format)

    def _take(self, source: Path, draft: Path, draft_format: Literal["qcow2", "raw"], by_opener: CopyByOpener) -> None:
        # The size is in the header, which an opener keeps true; reading it takes no lock.
        _make(draft, self._size(source), draft_format)
        if not by_opener(draft, draft_format):
            _convert(source, self._format, draft, draft_format)

    @contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """A draft beside `path` that takes its place, durably, where the block ends well."""
        # No other draft has the name: a program of an agent that died may still write to its own.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}{self._draft}")
        try:
            with room():
                yield draft
                draft.chmod(0o600)
                adoption.sync(draft)
                draft.rename(path)
                adoption.sync(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _has(self, volume_id: str, size: int) -> bool:
        path = self._path(self._volumes, volume_id)
        if not path.exists():
            return False
        have = self._size(path)
        if have != size:
            raise Conflict(f"Volume {volume_id} exists with {have} bytes, not {size}.")
        return True

    def _existing(self, folder: Path, disk_id: str) -> Path:
        path = self._path(folder, disk_id)
        if not path.exists():
            raise NotFound(f"{disk_id} is not on this host.")
        return path


def _ids(folder: Path, suffix: str) -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))


def _make(path: Path, size: int, disk_format: str = "qcow2") -> None:
    qemu_img("create", "-q", "-f", disk_format, path, str(size))


def _make_blank(path: Path, size: int, container: Container | None) -> None:
    if container is None:
        _make(path, size)
        return
    with memory_file.holding(luks.header(container)) as head:
        source = memory_file.path_of(head)
        qemu_img("convert", "-q", "-f", "raw", "-O", "qcow2", source, path, pass_fds=[head])
    _grow(path, size)


def _encrypt(source: Path, source_format: str, target: Path, container: Container) -> None:
    """Write a disk's content into the container that is in the file `target`."""
    with memory_file.holding(container.passphrase.encode()) as key:
        words = (
            f"driver=luks,key-secret=key,file.driver=qcow2,file.file.driver=file,file.file.filename={_escape(target)}"
        )
        secret = f"secret,id=key,file={memory_file.path_of(key)}"
        argv: tuple[Arg, ...] = (
            "-q",
            "-n",
            "--object",
            secret,
            "-f",
            source_format,
            "--target-image-opts",
            source,
            words,
        )
        qemu_img("convert", *argv, timeout=COPY_TIME, pass_fds=[key])


def _escape(path: Path) -> str:
    """QEMU reads a doubled comma as one that is part of the value."""
    return str(path).replace(",", ",,")


def _convert(source: Path, source_format: str, target: Path, target_format: str = "qcow2") -> None:
    qemu_img("convert", "-q", "-f", source_format, "-O", target_format, source, target, timeout=COPY_TIME)


def _copy_disk(source: DiskSource | NetworkSource, target: Path, target_format: str) -> None:
    """Copy what this host opens by itself, or what another host exports."""
    there = told(source)
    words: tuple[Arg, ...] = ("convert", "-q", *there.objects, "-O", target_format, there.name, target)
    with _reaching(source):
        qemu_img(*words, timeout=COPY_TIME)


@contextmanager
def _reaching(source: DiskSource | NetworkSource) -> Iterator[None]:
    """What goes wrong with another host's disk may go well later."""
    try:
        yield
    except CommandFailed as failure:
        if not isinstance(source, NetworkSource):
            raise
        raise NotReady(f"The volume could not be fetched: {failure.output[-300:]}") from failure


def _grow(path: Path, size: int, disk_format: str = "qcow2") -> None:
    if _virtual_size(path, disk_format) < size:
        qemu_img("resize", "-q", "-f", disk_format, path, str(size))


def _virtual_size(path: Path, disk_format: str = "qcow2") -> int:
    if disk_format == "raw":
        return path.stat().st_size
    return int(json.loads(qemu_img("info", "-U", "-f", "qcow2", "--output=json", path))["virtual-size"])


def _header_size(path: Path) -> int:
    """The size of a qcow2 disk out of its header (bytes 24 to 31, big endian), without starting a program."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(32)[24:32], "big")


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
        adoption.sync(path.parent)


def _back_end(place: Place) -> Made:
    elsewhere = place.settings.folder != UNSET
    folder = place.settings.folder.absolute() if elsewhere else place.folder
    return Made(FileBackend(folder), {NBD: place.nbd()}, elsewhere)


KIND = BackendKind(FileVolumeBackend, _back_end)
