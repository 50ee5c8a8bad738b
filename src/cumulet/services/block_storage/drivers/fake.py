# SPDX-License-Identifier: Apache-2.0
"""Volumes in memory: all of the Protocol's behaviour, none of the bytes on a disk.

A volume's content is a mapping of offset to bytes, so that tests can tell copies from one another. With a journal the
volumes outlive the agent as files do. LIMITATIONS: the paths that it names do not exist; what comes from another host
is blank; an exported file ends where the content does.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import msgspec

from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.kernel.moment import Moment
from cumulet.services.block_storage.contract import (
    HOST_INITIATOR,
    INITIATOR,
    IQN,
    DiskSource,
    FileDisk,
    NetworkSource,
)
from cumulet.services.block_storage.drivers import content as contents
from cumulet.services.block_storage.drivers import luks
from cumulet.services.block_storage.drivers.base import (
    Capabilities,
    Content,
    CopyByOpener,
    CopyTogether,
    Door,
    Ended,
    Exporter,
    Kind,
    Stranger,
    VolumeBackend,
    nobody,
    nobody_of_them,
)
from cumulet.services.block_storage.drivers.kinds import NBD, BackendKind, Made, Place
from cumulet.services.block_storage.drivers.room import no_room
from cumulet.services.block_storage.types import GIB, Stats
from cumulet.services.block_storage.types.encryption import HEADER, Container, Recoding
from cumulet.settings.block_storage import FakeVolumeBackend

CAPABILITIES = Capabilities(
    name="fake",
    vendor="Cumulet",
    version="1",
    storage_protocol="fake",
    thin_provisioning=True,
    online_extend=True,
    multiattach=True,
    encryption=True,
)
ISCSI_CAPABILITIES = msgspec.structs.replace(
    CAPABILITIES, storage_protocol="iSCSI", online_extend=False, encryption=False
)

ISCSI_PORT = 3260
SECTOR = 512
_STRANGE = "strange-"
# The back ends of this process, by their folders: what one fetches from another.
_HERE: WeakValueDictionary[str, FakeBackend] = WeakValueDictionary()
FAKE_PORTS = range(10809, 11833)


@dataclass
class _Disk:
    size: int
    content: dict[int, bytes] = field(default_factory=dict)

    def copy(self, size: int) -> _Disk:
        return _Disk(size, dict(self.content))

    def extents(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """See `base.Content`."""
        found = [(max(at, start), min(at + len(piece), start + length)) for at, piece in self.content.items()]
        end = start
        for first, last in sorted(found):
            if last > max(first, end):
                yield max(first, end), last - max(first, end)
                end = last

    def read(self, offset: int, length: int) -> bytes:
        """See `base.Content`."""
        content = bytearray(length)
        for at, piece in self.content.items():
            first, last = max(at, offset), min(at + len(piece), offset + length)
            if first < last:
                content[first - offset : last - offset] = piece[first - at : last - at]
        return bytes(content)


class FakeBackend:
    """`VolumeBackend` in memory, `total` bytes large; what is in `journal` is there from the beginning."""

    def __init__(
        self,
        root: Path,
        total: int = 1000 * GIB,
        journal: Journal | None = None,
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        self._root = root
        self._capabilities = capabilities
        _HERE[str(root)] = self
        self._total = total
        self._journal = journal
        self._volumes: dict[str, _Disk] = {}
        self._snapshots: dict[str, _Disk] = {}
        self._lock = threading.RLock()
        self._strangers: dict[str, dict[str, _Disk]] = {"volume": {}, "snapshot": {}}
        for key, record in ({} if journal is None else journal.items()).items():
            kind, _, disk_id = key.partition(".")
            if kind.startswith(_STRANGE):
                self._strangers[kind.removeprefix(_STRANGE)][disk_id] = msgspec.convert(record, _Disk)
            else:
                self._kept(kind)[disk_id] = msgspec.convert(record, _Disk)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def create_blank(self, volume_id: str, size: int, container: Container | None = None) -> None:
        self._add(volume_id, self._larger(_contained(_Disk(0 if container else size), container), size))

    def create_from_image(
        self, volume_id: str, size: int, image: Path, image_format: str, container: Container | None = None
    ) -> None:
        self._add(volume_id, self._larger(_contained(_read(image, image_format), container), size))

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

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        self._refill(volume_id, self._find(self._snapshots, snapshot_id))

    def reimage(self, volume_id: str, image: Path, image_format: str, container: Container | None = None) -> None:
        self._refill(volume_id, _contained(_read(image, image_format), container))

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        if snapshot_id in self._snapshots:
            return
        disk = self._find(self._volumes, volume_id)
        by_opener(self._root / f"{snapshot_id}.new", "raw")
        with self._lock:
            self._snapshots[snapshot_id] = disk.copy(disk.size)
            self._keep("snapshot", snapshot_id, self._snapshots[snapshot_id])

    def snapshot_together(self, volumes: Mapping[str, str], by_openers: CopyTogether = nobody_of_them) -> None:
        if all(snapshot_id in self._snapshots for snapshot_id in volumes):
            return
        for snapshot_id in volumes:
            self.delete_snapshot(snapshot_id)
        disks = {snapshot_id: self._find(self._volumes, each) for snapshot_id, each in volumes.items()}
        by_openers({each: self._root / f"{snapshot_id}.new" for snapshot_id, each in volumes.items()}, "raw")
        for snapshot_id, disk in disks.items():
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

    def receive(
        self, volume_id: str, size: int, source: DiskSource | NetworkSource, recoding: Recoding | None = None
    ) -> None:
        here = _HERE.get(str(source.path.parent)) if isinstance(source, FileDisk) else None
        disk = _Disk(size) if here is None else here._find(here._volumes, volume_id).copy(size)
        if recoding is not None:
            if here is self and _is_recoded(disk, recoding):
                return
            disk = _recoded(disk, recoding).copy(size)
        with self._lock:
            self._room(size - (self._volumes[volume_id].size if volume_id in self._volumes else 0))
            self._volumes[volume_id] = disk
            self._keep("volume", volume_id, disk)

    def strangers(self, kind: Kind) -> list[Stranger]:
        return [Stranger(name=name, size=disk.size) for name, disk in sorted(self._strangers[kind].items())]

    def stranger(self, kind: Kind, name: str) -> Stranger:
        for one in self.strangers(kind):
            if name in (one.name, one.name.partition(".")[0]):
                return one
        raise NotFound(f"There is no {kind} {name} to adopt.")

    def adopt(self, kind: Kind, disk_id: str, name: str, size: int) -> None:
        with self._lock:
            kept = self._kept(kind)
            if disk_id not in kept:
                disk = self._find(self._strangers[kind], name)
                kept[disk_id] = disk.copy(max(size, disk.size))
                self._keep(kind, disk_id, kept[disk_id])
            self._strangers[kind].pop(name, None)
            self._keep(f"{_STRANGE}{kind}", name, None)

    def abandon(self, kind: Kind, disk_id: str, name: str) -> None:
        with self._lock:
            disk = self._kept(kind).get(disk_id)
            if disk is not None:
                self.leave(kind, name, disk.size, disk.content)
                del self._kept(kind)[disk_id]
                self._keep(kind, disk_id, None)

    def leave(self, kind: Kind, name: str, size: int, content: dict[int, bytes] | None = None) -> None:
        """What an operator would do: put a disk there for adoption."""
        self._strangers[kind][name] = _Disk(size, dict(content or {}))
        self._keep(f"{_STRANGE}{kind}", name, self._strangers[kind][name])

    @contextmanager
    def content(self, snapshot_id: str) -> Iterator[Content]:
        yield self._find(self._snapshots, snapshot_id)

    def source(self, volume_id: str) -> FileDisk:
        self._find(self._volumes, volume_id)
        return FileDisk(path=self._root / volume_id, format="raw")

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

    def bring_back(self, folder: Path) -> list[str]:
        return []

    def sweep(self) -> list[str]:
        return []

    def write(self, volume_id: str, offset: int, content: bytes) -> None:
        """What a guest would do."""
        self._find(self._volumes, volume_id).content[offset] = content

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        """What a guest would read."""
        return self._find(self._volumes, volume_id).read(offset, length)

    def _add(self, volume_id: str, disk: _Disk) -> None:
        with self._lock:
            have = self._volumes.get(volume_id)
            if have is not None and have.size != disk.size:
                raise Conflict(f"Volume {volume_id} exists with {have.size} bytes, not {disk.size}.")
            if have is None:
                self._room(disk.size)
                self._volumes[volume_id] = disk
                self._keep("volume", volume_id, disk)

    def _refill(self, volume_id: str, source: _Disk) -> None:
        with self._lock:
            disk = self._larger(source, self._find(self._volumes, volume_id).size)
            self._volumes[volume_id] = disk
            self._keep("volume", volume_id, disk)

    def _kept(self, kind: str) -> dict[str, _Disk]:
        return self._volumes if kind == "volume" else self._snapshots

    def _keep(self, kind: str, disk_id: str, disk: _Disk | None) -> None:
        if self._journal is None:
            return
        if disk is None:
            self._journal.delete(f"{kind}.{disk_id}")
        else:
            self._journal.put(f"{kind}.{disk_id}", msgspec.to_builtins(disk, builtin_types=(bytes,)))

    def _room(self, more: int) -> None:
        if self.stats().free < more:
            raise no_room()

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
    """`Exporter` of a fake back end: who may open what is kept, nobody can. `die` is for tests.

    With `iscsi` all are at one port, each client has an account, and nothing grows.
    """

    def __init__(self, backend: VolumeBackend, journal: Journal, ended: Ended, *, iscsi: bool = False) -> None:
        self._backend = backend
        self._iscsi = iscsi
        self._journal = journal
        self._ended = ended
        self._lock = threading.RLock()

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        with self._lock:
            have = self._journal.get(volume_id)
            if self._iscsi:
                return self._serve(volume_id, list(clients), {} if have is None else have["accounts"])
            if have is not None and have["clients"] == list(clients) and port in (0, have["port"]):
                return int(have["port"])
            taken = {record["port"] for record in self._journal.items().values()}
            chosen = port or next(one for one in FAKE_PORTS if one not in taken)
            if chosen in taken - {have["port"] if have else 0}:
                raise Conflict(f"port {chosen} is taken", code="ExportFailed")
            self._backend.size(volume_id)
            self._journal.put(volume_id, {"clients": list(clients), "port": chosen})
            return chosen

    def _serve(self, volume_id: str, clients: list[str], accounts: dict[str, list[str]]) -> int:
        self._backend.size(volume_id)
        kept = {each: accounts.get(each) or [secrets.token_hex(8), secrets.token_hex(8)] for each in clients}
        self._journal.put(volume_id, {"clients": clients, "port": ISCSI_PORT, "accounts": kept})
        return ISCSI_PORT

    def door(self, volume_id: str, client: str) -> Door:
        if not self._iscsi:
            return Door(export=volume_id)
        accounts = self._find(volume_id)["accounts"]
        if client not in accounts:
            raise NotFound(f"Volume {volume_id} is not exported to {client}.")
        user, secret = accounts[client]
        who = client if INITIATOR.fullmatch(client) else f"{HOST_INITIATOR}{client}"
        return Door(protocol="iscsi", export=f"{IQN}volume-{volume_id}", initiator=who, user=user, secret=secret)

    def stop(self, volume_id: str, *, for_good: bool = True) -> None:
        with self._lock:
            self._journal.delete(volume_id)

    def exports(self) -> list[str]:
        return sorted(self._journal.items())

    def resize(self, volume_id: str, size: int) -> None:
        self._find(volume_id)
        if self._iscsi and self._backend.size(volume_id) < size:
            raise Conflict("A volume that is open over iSCSI cannot be extended.", code="ExtendNotSupported")
        self._backend.extend(volume_id, size)

    def copy(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], moment: Moment | None = None
    ) -> None:
        """The target is there in the right size: what a disk that nobody writes to holds."""
        self._find(volume_id)
        if moment is not None:
            moment.ready()
            moment.still()
            moment.begun()

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


def _read(image: Path, image_format: str) -> _Disk:
    """What is in an image, without its holes where it is raw; nothing for one that is not there."""
    if image_format != "raw" or not image.is_file():
        content = image.read_bytes() if image.is_file() else b""
        return _Disk(0, {0: content} if content else {})
    with image.open("rb") as file:
        return _Disk(
            image.stat().st_size,
            {at: os.pread(file.fileno(), length, at) for at, length in contents.data(file.fileno())},
        )


def _contained(disk: _Disk, container: Container | None) -> _Disk:
    """The disk in a container: the beginning of a header, and nobody's idea of a cipher behind it."""
    if container is None:
        return disk
    hidden = {HEADER + at: _crypted(container.passphrase, at, piece) for at, piece in disk.content.items()}
    head = struct.pack(">6sH96xI", luks.MAGIC, 1, HEADER // SECTOR).ljust(SECTOR, b"\0")
    return _Disk(disk.size + HEADER, {0: head + _mark(container.passphrase), **hidden})


def _is_recoded(disk: _Disk, recoding: Recoding) -> bool:
    mark = disk.content.get(0, b"")[SECTOR:]
    if recoding.container is not None:
        return mark == _mark(recoding.container.passphrase)
    return mark != _mark(recoding.passphrase)


def _recoded(disk: _Disk, recoding: Recoding) -> _Disk:
    plain = disk
    if recoding.passphrase:
        pieces = {at - HEADER: piece for at, piece in disk.content.items() if at >= HEADER}
        opened = {at: _crypted(recoding.passphrase, at, piece) for at, piece in pieces.items()}
        plain = _Disk(disk.size - HEADER, opened)
    elif recoding.container is not None:
        if any(plain.read(plain.size - HEADER, HEADER)):
            raise Invalid("The end of the volume holds something: the header would have no room.")
        plain = _Disk(plain.size - HEADER, {at: piece for at, piece in plain.content.items() if any(piece)})
    return _contained(plain, recoding.container)


def _mark(passphrase: str) -> bytes:
    """By which a container is known to be opened by this."""
    return hashlib.sha512(passphrase.encode()).digest().ljust(SECTOR, b"\0")


def _crypted(passphrase: str, at: int, piece: bytes) -> bytes:
    stream = hashlib.shake_256(f"{passphrase}{at}".encode()).digest(len(piece))
    return bytes(one ^ other for one, other in zip(piece, stream, strict=True))


def _qcow2_header(size: int) -> bytes:
    """What makes a file recognizable as qcow2 (version 3, header fields of the format's specification)."""
    fields = (b"QFI\xfb", 3, 0, 0, 16, size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 104)
    return struct.pack(">4sIQIIQIIQQIIQQQQII", *fields).ljust(SECTOR, b"\0")


def _back_end(place: Place) -> Made:
    host, name = place.host, place.settings.name
    journal = host.journal(_journal("block_storage.fake", name))
    capabilities = ISCSI_CAPABILITIES if place.settings.iscsi else CAPABILITIES
    backend: VolumeBackend = FakeBackend(place.folder, journal=journal, capabilities=capabilities)
    backend = host.injection.wrap(backend, "block_storage.fake", host.name)
    exporters: dict[str, Exporter] = {}
    for protocol, kind in ((NBD, "exports.fake"), *([("iscsi", "targets.fake")] if place.settings.iscsi else [])):
        kept = host.journal(_journal(kind, name))
        exporter: Exporter = FakeExporter(backend, kept, place.ended, iscsi=protocol != NBD)
        exporters[protocol] = host.injection.wrap(exporter, "block_storage.fake.export", host.name)
    return Made(backend, exporters)


def _journal(kind: str, name: str) -> str:
    return kind if name == "fake" else f"{kind}.{name}"


KIND = BackendKind(FakeVolumeBackend, _back_end)
