# SPDX-License-Identifier: Apache-2.0
"""What a keeper of volumes on a host has to do; `tests/drivers/block_storage` holds every driver against it.

All sizes are bytes and exact. Every verb is idempotent by the id that it makes or takes away, and atomic: after a crash
there is the whole thing or nothing but a draft, which `sweep` removes. What finds no room raises StorageFull
(`NO_ROOM`) and leaves nothing, or what was there. A snapshot depends on nothing, and nothing
depends on it. Errors are the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from cumulet.kernel.moment import Moment
from cumulet.services.block_storage.contract import DiskSource, NetworkSource
from cumulet.services.block_storage.types import Stats
from cumulet.services.block_storage.types.encryption import Container, Recoding

BLOCK = 64 * 1024  # bytes that backups are made of
IS_LOCKED = '" lock'  # what QEMU's programs say of a file that somebody else has open ends so; paths never have it

# Asks whoever has the source open to write a full copy of it to the path in the format; False where nobody has, in
# which case the source stays closed until the verb that was given this function has ended.
CopyByOpener: TypeAlias = Callable[[Path, Literal["qcow2", "raw"]], bool]


# The same for several volumes as of one and the same moment: paths by volume; the ids of those that were copied.
CopyTogether: TypeAlias = Callable[[Mapping[str, Path], Literal["qcow2", "raw"]], Collection[str]]


# What can be adopted and abandoned.
Kind: TypeAlias = Literal["volume", "snapshot"]


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end has in nobody's care: `size` in bytes as a guest would see it, `reason` why not to adopt it."""

    name: str
    size: int
    reason: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end is and can do; shown by the API's `capabilities` and `get_pools`.

    `online_extend`: a volume grows while a server has it. Its hypervisor makes the disk larger, or with `extends_open`
    the back end, after which the hypervisor is told. `multiattach`: several servers may have a volume; a storage that
    hosts share takes writes from all of them then. `copies_open`: it copies a volume, as of one moment, whoever has it
    open, and asks no opener to.
    """

    name: str
    vendor: str
    version: str
    storage_protocol: str
    thin_provisioning: bool
    online_extend: bool
    multiattach: bool
    encryption: bool = False
    extends_open: bool = False
    copies_open: bool = False


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """How a client enters: see `contract.RemoteDisk`. `secret` is never kept with the rest."""

    protocol: Literal["nbd", "iscsi"] = "nbd"
    export: str
    initiator: str = ""
    user: str = ""
    secret: str = ""


class Exporter(Protocol):
    """What lets hosts open this host's volumes by one process each. Every verb may block and is idempotent.

    An export outlives the agent. One that ends by itself is told to whoever asked to be told, who starts it again.
    """

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        """See that the volume can be opened by the hosts called `clients` and by no other; the port of this address.

        Where the hosts change, those that stay have to come again. `port` 0 lets the exporter choose. Conflict where it
        cannot be done, NotReady where it could be later.
        """

    def door(self, volume_id: str, client: str) -> Door:
        """How a client enters that the volume is exported to."""

    def stop(self, volume_id: str, *, for_good: bool = True) -> None:
        """End the export, whoever uses it. Where that is not `for_good`, its clients come in as before later on."""

    def exports(self) -> list[str]:
        """The ids of the volumes that are exported now, sorted."""

    def resize(self, volume_id: str, size: int) -> None:
        """Make the exported volume `size` bytes long; who has it open sees that when it opens it again."""

    def copy(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], moment: Moment | None = None
    ) -> None:
        """Write a consistent copy of the exported volume to `target`, which exists in the right size.

        For a `moment` that is shared with others nobody can write to the volume.
        """

    def close(self) -> None:
        """The agent is leaving: let go of sockets and threads, leave the exports running."""


# An export ended and nobody here asked for it: the volume's id.
Ended: TypeAlias = Callable[[str], None]


def nobody(_target: Path, _format: Literal["qcow2", "raw"]) -> bool:
    """The opener of a volume that is not open."""
    return False


def nobody_of_them(_targets: Mapping[str, Path], _format: Literal["qcow2", "raw"]) -> Collection[str]:
    """The openers of volumes that are not open."""
    return ()


class Content(Protocol):
    """What a snapshot holds, for reading by one thread."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def extents(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """Offset and length of what may be anything but zeroes in a part of it, in order, none within another."""

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes, all of them before its end."""


class VolumeBackend(Protocol):
    """One host's keeper of volumes."""

    @property
    def capabilities(self) -> Capabilities: ...

    def create_blank(self, volume_id: str, size: int, container: Container | None = None) -> None:
        """A volume that reads as zeroes. Conflict where one of another size has the id.

        With a `container` it is one, in which nothing has been written yet: its first bytes are the header.
        """

    def create_from_image(
        self, volume_id: str, size: int, image: Path, image_format: str, container: Container | None = None
    ) -> None:
        """A volume with the image's content at its start and zeroes behind; Invalid where the image is larger.

        With a `container` the content is encrypted in it; what is behind the content has not been written yet then.
        """

    def create_from_snapshot(self, volume_id: str, size: int, snapshot_id: str) -> None:
        """A volume with the snapshot's content, of its size or larger. NotFound without the snapshot."""

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        """A volume with the content that another one has now, of its size or larger."""

    def extend(self, volume_id: str, size: int) -> None:
        """Make a closed volume larger; nothing happens where it has the size, Invalid where it is larger."""

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        """Give a closed volume the snapshot's content and its own size, at once: it is never of both.

        NotFound without the one or the other, Invalid where the snapshot is larger.
        """

    def reimage(self, volume_id: str, image: Path, image_format: str, container: Container | None = None) -> None:
        """Give a closed volume the image's content with zeroes behind, as `revert`; Invalid where it is larger.

        With a `container` in a new one, as at the making.
        """

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        """Keep the content that the volume has now."""

    def snapshot_together(self, volumes: Mapping[str, str], by_openers: CopyTogether = nobody_of_them) -> None:
        """Keep the content that several volumes have at one moment; `volumes` are their ids by those of the snapshots.

        Where only some of the snapshots are there, after a crash, all are taken anew.
        """

    def export(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], by_opener: CopyByOpener = nobody
    ) -> None:
        """Write the content that the volume has now to the file `target`, which is replaced."""

    def delete(self, volume_id: str) -> None:
        """Remove a closed volume; nothing happens where there is none."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; nothing happens where there is none."""

    def receive(
        self, volume_id: str, size: int, source: DiskSource | NetworkSource, recoding: Recoding | None = None
    ) -> None:
        """A volume with the content of a disk that nobody writes to, elsewhere, in the place of what is here.

        With a `recoding` it is encrypted otherwise than the source, which may be what is here: then a second time
        nothing is done. Invalid for a plain source that leaves no room for a container's header. NotReady where
        the source does not answer.
        """

    def strangers(self, kind: Kind) -> list[Stranger]:
        """What could be adopted as a volume or a snapshot, sorted by name, and what cannot."""

    def stranger(self, kind: Kind, name: str) -> Stranger:
        """The one of that name, with or without the suffix. NotFound; Invalid where it is not the only one."""

    def adopt(self, kind: Kind, disk_id: str, name: str, size: int) -> None:
        """Make the stranger of that whole name the volume or snapshot `disk_id`, of `size` bytes or as large as it is.

        NotFound without it, Invalid for one that must not be opened. Done already where the disk is there.
        """

    def abandon(self, kind: Kind, disk_id: str, name: str) -> None:
        """Make a closed volume or a snapshot, or what `adopt` has begun with, a stranger, if possible of that name.

        Nothing happens where there is none.
        """

    def content(self, snapshot_id: str) -> AbstractContextManager[Content]:
        """What a snapshot holds. Raises NotFound."""

    def source(self, volume_id: str) -> DiskSource:
        """Where its bytes are. Raises NotFound."""

    def size(self, volume_id: str) -> int:
        """The volume's size as a guest sees it. Raises NotFound."""

    def volumes(self) -> list[str]:
        """The ids of all whole volumes, sorted."""

    def snapshots(self) -> list[str]:
        """The ids of all whole snapshots, sorted."""

    def stats(self) -> Stats:
        """The room that there is."""

    def pin(self, folder: Path) -> list[str]:
        """For a backup: link every file that holds a volume or a snapshot below `folder`.

        Their paths there: `volumes/<id>.qcow2`, `snapshots/<id>.qcow2`. Empty where what is kept in the journal is all.
        """

    def empty_copy(self, volume_id: str, folder: Path) -> Path | None:
        """An empty qcow2 file of the volume's size in `folder`, named as the volume's own; None where it has none.

        Raises NotFound.
        """

    def bring_back(self, folder: Path) -> list[str]:
        """Take in what a backup has put below `folder`, where that is not the back end's own, and return the names.

        Paths are those of `pin`. What is taken leaves `folder`; what is here already is not taken.
        """

    def sweep(self) -> list[str]:
        """Remove what interrupted work has left; returns the names. Called while no work is under way."""


@runtime_checkable
class SharedStorage(Protocol):
    """What a keeper adds whose storage other hosts reach too (settings: `SharedVolumeBackend`).

    Hosts are told to do things one at a time, but an order may outlive the faith in its host.
    """

    def order(self, name: str, term: int) -> AbstractContextManager[None]:
        """Carry out an order about `name` meanwhile.

        NotReady while another host is at one. Conflict (`TermTooOld`) where orders of a later `term` came already.
        """
