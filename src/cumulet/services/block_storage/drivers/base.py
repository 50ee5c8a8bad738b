# SPDX-License-Identifier: Apache-2.0
"""What a keeper of volumes on a host has to do; `tests/drivers/block_storage` holds every driver against it.

All sizes are bytes and exact. Every verb is idempotent by the id that it makes or takes away, and atomic: after a crash
there is the whole thing or nothing but a draft, which `sweep` removes. A snapshot depends on nothing, and nothing
depends on it. Errors are the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec

from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.types import Stats

# Asks whoever has the source open to write a full copy of it to the path in the format; False where nobody has, in
# which case the source stays closed until the verb that was given this function has ended.
CopyByOpener: TypeAlias = Callable[[Path, Literal["qcow2", "raw"]], bool]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end is and can do; shown by the API's `capabilities` and `get_pools`."""

    name: str
    vendor: str
    version: str
    storage_protocol: str
    thin_provisioning: bool
    online_extend: bool
    multiattach: bool


class Exporter(Protocol):
    """What lets hosts open this host's volumes by one process each. Every verb may block and is idempotent.

    An export outlives the agent. One that ends by itself is told to whoever asked to be told, who starts it again.
    """

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        """See that the volume can be opened by the hosts called `clients` and by no other; the port of this address.

        Where the hosts change, those that stay have to come again. `port` 0 lets the exporter choose. Conflict where it
        cannot be done, NotReady where it could be later.
        """

    def stop(self, volume_id: str) -> None:
        """End the export, whoever uses it."""

    def exports(self) -> list[str]:
        """The ids of the volumes that are exported now, sorted."""

    def resize(self, volume_id: str, size: int) -> None:
        """Make the exported volume `size` bytes long; who has it open sees that when it opens it again."""

    def copy(self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"]) -> None:
        """Write a consistent copy of the exported volume to `target`, which exists in the right size."""

    def close(self) -> None:
        """The agent is leaving: let go of sockets and threads, leave the exports running."""


# An export ended and nobody here asked for it: the volume's id.
Ended: TypeAlias = Callable[[str], None]


def nobody(_target: Path, _format: Literal["qcow2", "raw"]) -> bool:
    """The opener of a volume that is not open."""
    return False


class VolumeBackend(Protocol):
    """One host's keeper of volumes."""

    @property
    def capabilities(self) -> Capabilities: ...

    def create_blank(self, volume_id: str, size: int) -> None:
        """A volume that reads as zeroes. Conflict where one of another size has the id; NotReady without room."""

    def create_from_image(self, volume_id: str, size: int, image: Path, image_format: str) -> None:
        """A volume with the image's content at its start and zeroes behind; Invalid where the image is larger."""

    def create_from_snapshot(self, volume_id: str, size: int, snapshot_id: str) -> None:
        """A volume with the snapshot's content, of its size or larger. NotFound without the snapshot."""

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        """A volume with the content that another one has now, of its size or larger."""

    def extend(self, volume_id: str, size: int) -> None:
        """Make a closed volume larger; nothing happens where it has the size, Invalid where it is larger."""

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        """Keep the content that the volume has now."""

    def export(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], by_opener: CopyByOpener = nobody
    ) -> None:
        """Write the content that the volume has now to the file `target`, which is replaced."""

    def delete(self, volume_id: str) -> None:
        """Remove a closed volume; nothing happens where there is none."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; nothing happens where there is none."""

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

    def sweep(self) -> list[str]:
        """Remove what interrupted work has left; returns the names. Called while no work is under way."""
