# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of volumes: on a host (`HostVolumes`) and in the control plane (`VolumesContract`)."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from cumulet.kernel.context import Context

# The kernel's opaque transaction, and what a store can read from (a transaction or a snapshot).
Tx: TypeAlias = Any
Source: TypeAlias = Any

GIB = 1 << 30
LUN = 1  # of every volume that is exported over iSCSI
IQN = "iqn.2010-10.org.openstack:"  # how targets begin, as Cinder's do
HOST_INITIATOR = f"{IQN}host-"  # how the initiators of this cloud's own hosts begin
INITIATOR = re.compile(r"(iqn|eui|naa)\.[A-Za-z0-9.:_-]{1,219}")


class FileDisk(msgspec.Struct, frozen=True, kw_only=True, tag="file"):
    """A file that this host reaches; `format` is to be told to the opener, never probed for."""

    path: Path
    format: Literal["qcow2", "raw"]


class BlockDisk(msgspec.Struct, frozen=True, kw_only=True, tag="block"):
    """A block device of this host, such as a logical volume; always raw."""

    path: Path


class NetworkDisk(msgspec.Struct, frozen=True, kw_only=True, tag="network"):
    """A disk that a storage serves to whoever may have it, without an exporter of ours; always raw.

    `servers` are `address:port` (`[address]:port`), none where the client's own configuration names them; over `nbd`
    there is one. `name` is that of the export, or `pool/image`. `secret` is a file for the owner alone, which the
    opener reads what `user` proves itself by from.
    """

    protocol: Literal["nbd", "rbd"]
    servers: tuple[str, ...] = ()
    name: str
    user: str = ""
    secret: Path | None = None


# Where a host opens a volume by itself.
DiskSource: TypeAlias = FileDisk | BlockDisk | NetworkDisk


def server_of(server: str) -> dict[str, str]:
    """Address and port of a disk's server."""
    address, _, port = server.rpartition(":")
    return {"host": address.strip("[]"), "port": port}


def qemu_file(disk: DiskSource, key: str) -> dict[str, Any]:
    """What QEMU's programs read the disk's bytes from; `key` is the object with its secret, if it has one."""
    if isinstance(disk, FileDisk):
        return {"driver": "file", "filename": str(disk.path)}
    if isinstance(disk, BlockDisk):
        return {"driver": "host_device", "filename": str(disk.path)}
    if disk.protocol == "nbd":
        return {"driver": "nbd", "server": {"type": "inet", **server_of(disk.servers[0])}, "export": disk.name}
    pool, _, image = disk.name.partition("/")
    words: dict[str, Any] = {"driver": "rbd", "pool": pool, "image": image}
    words |= {"server": [server_of(each) for each in disk.servers]} if disk.servers else {}
    words |= {"user": disk.user} if disk.user else {}
    return words | ({"key-secret": key} if disk.secret is not None else {})


class RemoteDisk(msgspec.Struct, frozen=True, kw_only=True):
    """Where a volume's host exports it: NBD under TLS at `address` and `port`, under the name `export`.

    `server` is the name of the exporting host, which its certificate must prove. Over iSCSI `export` is the target's
    name, and who comes is `initiator`, with the CHAP name `user` and a secret that its host asks for.
    """

    address: str
    port: int
    export: str
    server: str
    protocol: Literal["nbd", "iscsi"] = "nbd"
    initiator: str = ""
    user: str = ""


class NetworkSource(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that its host exports, another one or this; `credentials` is what it is opened with.

    That is the folder with this host's certificate, as QEMU reads it; over iSCSI the file with the CHAP secret.
    """

    remote: RemoteDisk
    credentials: Path


class HostVolumes(Protocol):
    """On a host: the way from a volume to its disk, for the hypervisor, which is the disk's one opener."""

    def open(
        self, volume_id: str, *, generation: int = 0, remote: RemoteDisk | None = None, backend: str = ""
    ) -> DiskSource | NetworkSource:
        """The disk, for a server's own process to open as it starts; `remote` where another host has it.

        Waits for work on the closed disk (a copy, a resize) that is under way. From now on block storage touches the
        disk through compute's `HostDisks` alone, for as long as that says that the volume is open. Idempotent.
        `generation` is the attachment's: a younger one ends an export to another host, an older one has to wait.
        Of a volume that moves, `backend` has the disk that is meant.
        Raises NotFound where the volume is not on this host, NotReady where the work does not end in time.
        """

    def serve(self, volume_id: str, *, generation: int = 0) -> NetworkSource:
        """The same of a volume of this host, exported to the host itself: the export is its opener until `close`.

        For hypervisors that find no container in a qcow2, or would copy what they find in it.
        """

    def grow(self, volume_id: str, size: int, *, generation: int = 0) -> bool:
        """Make a volume that is served so `size` bytes large; False where it is not."""

    def key(self, attachment_id: str, generation: int) -> str:
        """The passphrase of the LUKS container that an attached volume is; it is for the hypervisor's memory alone.

        Asks the control plane: NotReady while that is away. NotFound where the attachment is gone, Forbidden where it
        is not this host's.
        """

    def close(self, volume_id: str) -> None:
        """The disk that was asked for is not, or not any more, open. Nothing happens where it never was."""

    def copy_target(self, volume_id: str, into: Path) -> Path | None:
        """For a backup: an empty qcow2 file of the volume's size below `into`, which its opener fills.

        The backup then takes the volume as done, unless `discard_copy`. None where no file holds the volume here, or
        where it is exported.
        """

    def discard_copy(self, volume_id: str, into: Path) -> None:
        """The opener could not fill the file: block storage copies the volume itself."""


class VolumeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as compute sees it: `size` in GiB, `status` in Cinder's words, `host` "" until it has been placed.

    `image_metadata` is what the image that it was made from said of itself, empty for other volumes. `multiattach` says
    that several servers may have it at once, `migration_status` (Cinder's words) whether it is on the move.
    """

    id: str
    name: str
    project_id: str
    size: int
    status: str
    bootable: bool
    host: str
    availability_zone: str
    multiattach: bool = False
    migration_status: str | None = None
    image_metadata: dict[str, str] = {}
    encrypted: bool = False


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A server's claim on a volume; `status` is reserved, attaching, attached or detached.

    `generation` grows with every attachment of the volume: a host refuses what an older one asks. `mode` is rw or ro.
    """

    id: str
    volume_id: str
    server_id: str
    status: str
    host: str
    device: str
    generation: int
    mode: str = "rw"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How a host opens an attached volume: `remote` is None for a file of its own that no other server shares.

    `limits` are those that the hypervisor keeps it to, by libvirt's names (`total_bytes_sec`, `read_iops_sec_max`).
    An `encrypted` one is opened with the key that its host asks for, `HostVolumes.key`. `backend` is that of the
    volume's host, "" where a host of the release before was told.
    """

    generation: int
    remote: RemoteDisk | None = None
    read_only: bool = False
    limits: dict[str, int] = {}
    encrypted: bool = False
    backend: str = ""


class SnapshotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot as compute sees it: `size` in GiB."""

    id: str
    volume_id: str
    size: int
    status: str


class BootVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume to be made with a server: from at most one of the three sources, else blank.

    `size` in GiB may be None with a snapshot or a volume as source. `host` "" leaves the place to block storage.
    """

    name: str = ""
    size: int | None = None
    image_id: str | None = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    host: str = ""


class OlderVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as compute's older API shows it; `server_id` and `device` are of its first attachment."""

    id: str
    name: str | None
    description: str | None
    size: int
    status: str
    volume_type: str
    availability_zone: str
    snapshot_id: str | None
    metadata: dict[str, str]
    created_at: datetime
    server_id: str | None = None
    device: str | None = None


class OlderSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot as compute's older API shows it; `size` in GiB."""

    id: str
    volume_id: str
    name: str | None
    description: str | None
    size: int
    status: str
    created_at: datetime


class NewOlderVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that is asked for through compute; `size` in GiB."""

    size: int
    name: str | None = None
    description: str | None = None
    volume_type: str | None = None
    snapshot_id: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}


class OlderVolumes(Protocol):
    """In the control plane: volumes and snapshots as compute's older API lists and changes them.

    Errors are those of `VolumesContract`, and Invalid (InvalidSnapshot) and NotFound (SnapshotNotFound).
    """

    def volumes(self, source: Source, ctx: Context) -> list[OlderVolume]:
        """The volumes of the caller's project, the newest first."""

    def volume(self, source: Source, ctx: Context, volume_id: str) -> OlderVolume:
        """One that the caller may see."""

    def key_for(self, ctx: Context, new: NewOlderVolume) -> Any:
        """What `create_volume` needs for a volume of an encrypted type, empty for others. Not inside a commit."""

    def create_volume(self, tx: Tx, ctx: Context, new: NewOlderVolume, key: Any = ()) -> OlderVolume:
        """Begin to make a volume."""

    def delete_volume(self, tx: Tx, ctx: Context, volume_id: str) -> None:
        """Begin to delete it; Invalid while it is attached or has snapshots."""

    def snapshots(self, source: Source, ctx: Context) -> list[OlderSnapshot]:
        """The snapshots of the caller's project, the newest first."""

    def snapshot(self, source: Source, ctx: Context, snapshot_id: str) -> OlderSnapshot:
        """One that the caller may see."""

    def create_snapshot(
        self, tx: Tx, ctx: Context, volume_id: str, name: str | None, description: str | None, *, in_use: bool
    ) -> OlderSnapshot:
        """Begin a snapshot; `in_use` says that the volume may be attached."""

    def delete_snapshot(self, tx: Tx, ctx: Context, snapshot_id: str) -> None:
        """Begin to delete it; Invalid in a status that forbids it."""


class VolumesContract(Protocol):
    """In the control plane: what compute asks. Verbs that take `tx` run inside the caller's commit.

    Errors are the kernel's; their `code` is the name of Cinder's exception (VolumeNotFound, InvalidVolume,
    VolumeAttachmentNotFound, VolumeLimitExceeded, VolumeSizeExceedsAvailableQuota). Another project's volume is
    NotFound.
    """

    def check(self, source: Source, ctx: Context, volume_id: str) -> VolumeInfo:
        """A volume that a server of the caller's may be given now; Invalid where its status forbids it."""

    def info(self, source: Source, volume_ids: list[str]) -> dict[str, VolumeInfo]:
        """The volumes that exist among `volume_ids`, by id, whoever owns them."""

    def ready(self, source: Source, volume_id: str) -> VolumeInfo:
        """The volume once its content is there: NotReady while it is being made, Conflict where that has failed."""

    def reserve(self, tx: Tx, ctx: Context, volume_id: str, server_id: str) -> Attachment:
        """Claim the volume for the server: status `reserved`. The same claim a second time is the same attachment."""

    def attach(self, tx: Tx, attachment_id: str, host: str, device: str, mode: str = "rw") -> Attachment:
        """The server has the disk, as `device`: status `in-use`. Idempotent."""

    def begin_detach(self, tx: Tx, ctx: Context, attachment_id: str) -> None:
        """Mark the volume `detaching`; Invalid unless it is in use."""

    def roll_detach(self, tx: Tx, attachment_id: str) -> None:
        """The disk stays where it is after all: back to `in-use`. Idempotent."""

    def detach(self, tx: Tx, attachment_id: str) -> None:
        """The server has let go of the disk, or will never open it: the claim is gone. Idempotent."""

    def release(self, tx: Tx, server_id: str) -> list[str]:
        """The server goes: all its claims are gone. Returns the ids of the volumes. Idempotent."""

    def attachments_of(self, source: Source, server_ids: list[str]) -> dict[str, list[Attachment]]:
        """The attachments of each server in the order of their making; servers without any are absent."""

    def attachments_on(self, source: Source, volume_id: str) -> list[Attachment]:
        """The attachments of a volume in the order of their making."""

    def swap_ended(self, tx: Tx, old_volume_id: str, new_volume_id: str, *, failed: bool) -> None:
        """A server has the new volume, with the content, in the place of the old one, or will not get it. Idempotent.

        The attachments are what they have to be already.
        """

    def move_make(self, volume_id: str) -> None:
        """See that there is an empty disk where a volume is to go that the caller moves.

        This and the others for a volume that moves: blocks, idempotent. Conflict where it does not move (any more), or
        cannot.
        """

    def move_generation(self, volume_id: str) -> int:
        """That of the attachment by which the server has that disk, 0 where the volume does not move (any more)."""

    def move_connect(self, volume_id: str, host: str, *, both: bool) -> Connection:
        """See that a server on `host` can open that disk, and `both`, while it has the one that the volume is on."""

    def move_disconnect(self, volume_id: str, *, closed: bool) -> None:
        """Nobody reaches that disk over the network any more; where no server has the volume open (`closed`), nor this.

        `connect` opens the volume's own ways again.
        """

    def move_copy(self, volume_id: str, operation: str) -> None:
        """Copy the volume, which no server has open, to that disk, once for an `operation`.

        Its ways to servers of other hosts are closed: `connect` opens them again.
        """

    def move_leave(self, volume_id: str, host: str) -> None:
        """Close the way by which the server on `host` had the volume before."""

    def move_drop(self, volume_id: str) -> None:
        """Nothing is left where the volume was to go; nothing happens to one that has arrived."""

    def moved(self, tx: Tx, volume_id: str, request_id: str) -> None:
        """The volume is where it was to go, and its attachment is for that."""

    def move_failed(self, tx: Tx, volume_id: str, request_id: str) -> None:
        """The volume stays where it is. Idempotent; nothing happens to one that has arrived."""

    def key_for_boot(self, ctx: Context, request: BootVolume) -> Any:
        """What `create_for_boot` needs for a volume of an encrypted type, empty for others. Not inside a commit."""

    def create_for_boot(self, tx: Tx, ctx: Context, request: BootVolume, key: Any = ()) -> VolumeInfo:
        """Begin to make a volume: quota and row in this commit, the content by a saga (see `ready`)."""

    def delete_on_termination(self, tx: Tx, volume_id: str, request_id: str = "") -> None:
        """Delete the volume once its attachments are gone (`release` in the same commit). Idempotent.

        One that has snapshots stays, for images may name them, and one that other servers have too.
        """

    def set_bootable(self, tx: Tx, volume_id: str, image_metadata: dict[str, str]) -> None:
        """The volume holds a system from now on, described by these words of the image."""

    def place(self, source: Source, volume_id: str) -> str:
        """The one host that has the volume; "" until it has been placed, and where several have it. Raises NotFound."""

    def connect(self, attachment_id: str, host: str) -> Connection:
        """See that a server on `host` can open the volume.

        Blocks for the volume's host where that is another one. Idempotent; not inside a commit. Raises NotReady while
        the volume's host is away, NotFound where the attachment is gone, Conflict where another one is younger.
        """

    def disconnect(self, attachment_id: str) -> None:
        """The server has let go of the disk, or never had it: its host's way to the volume is closed.

        Blocks; idempotent. A host that is away closes the way when it is back.
        """

    def extended_on_host(self, tx: Tx, volume_id: str, size: int) -> None:
        """The opener has made the disk `size` GiB long. Idempotent; never makes a volume smaller."""

    def snapshot_for_image(self, tx: Tx, ctx: Context, volume_id: str, name: str) -> str:
        """Begin a snapshot of the volume, attached or not; returns its id (see `snapshot_ready`)."""

    def snapshot_ready(self, source: Source, snapshot_id: str) -> None:
        """Returns once the snapshot is whole: NotReady while it is being made, Conflict where that has failed."""

    def drop_snapshot(self, tx: Tx, snapshot_id: str, request_id: str = "") -> None:
        """Delete a snapshot that `snapshot_for_image` began, whole or not. Idempotent."""

    def snapshot(self, source: Source, ctx: Context, snapshot_id: str) -> SnapshotInfo:
        """A snapshot that the caller may use; NotFound for any other."""

    def volume_type(self, source: Source, ctx: Context, name_or_id: str) -> str:
        """The name of a volume type that the caller may use; NotFound for any other."""
