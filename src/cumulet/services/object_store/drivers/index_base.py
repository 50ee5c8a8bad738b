# SPDX-License-Identifier: Apache-2.0
"""What a device does for indexes, those of accounts and of containers alike.

A verb that writes returns when that is durable. NotFound is told where the device never had the index (and, where said,
for one that is deleted), Invalid for names and numbers that cannot be kept, DeviceFull and
DeviceGone as for objects (`drivers/base.py`).

LIMITATIONS: A listing is one device's: those of a sharded container are put together from its ranges by the engine.
What accounts are told, what is replicated or moved to shards is brought to other devices by the engine; here are the
rows, the queue and the numbers by which it knows where it was. Ranges are found and kept; when to split or to shrink is
not decided here. Swift's `path` listings lose the name that follows upon a folder's (`a0` behind `a/b`), and in reverse
`a/` itself; these do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cumulet.services.object_store.types.indexes import (
    Changed,
    ContainerRow,
    FoundRange,
    IndexState,
    Info,
    Key,
    Listed,
    ListedContainer,
    Listing,
    MetadataLimits,
    ObjectRow,
    Peer,
    Placed,
    ShardRange,
)


class IndexDevice(Protocol):
    @property
    def identity(self) -> str:
        """Of this store of indexes: another one after it was lost and begun anew, as then its numbers begin anew."""
        ...

    async def put(
        self,
        key: Key,
        stamp: int,
        *,
        policy: int | None = None,
        default_policy: int = 0,
        metadata: Mapping[str, str] | None = None,
        limits: MetadataLimits | None = None,
    ) -> Placed:
        """Make the index or tell that it is wanted still; `metadata` goes with it.

        Conflict (`OtherPolicy`, field `policy`) where a container has another one than is asked for, Conflict
        (`DeletedLater`) where it was deleted after `stamp`, Forbidden for an account that was deleted, Invalid where it
        would have more metadata than `limits`.
        """
        ...

    async def delete(self, key: Key, stamp: int) -> bool:
        """Whether there was one to delete: False where it was deleted before.

        Conflict (`NotEmpty`, `PutLater`) for a container; an account is deleted whatever is in it.
        """
        ...

    async def set_metadata(
        self, key: Key, stamp: int, metadata: Mapping[str, str], limits: MetadataLimits | None = None
    ) -> None:
        """Values of headers, an empty one takes it away. NotFound for what is deleted, too; Invalid as for `put`."""
        ...

    async def info(self, key: Key) -> Info | None:
        """Of what is deleted, too, while that is remembered."""
        ...

    async def merge_state(self, key: Key, state: IndexState) -> Info:
        """Take what another replica knows; the index is made where it was not there."""
        ...

    async def merge_objects(
        self, key: Key, rows: Sequence[ObjectRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        """How many rows were news. `source` has then told all up to its change `point`.

        A container that is deleted takes them as well: it is there again if one of them lives. Conflict (`Moved`) for a
        shard that is not `unsharded` any more.
        """
        ...

    async def merge_containers(
        self, key: Key, rows: Sequence[ContainerRow], *, source: Peer | None = None, point: int = 0
    ) -> int:
        """As `merge_objects`, into an account; one that is deleted takes them as well, for its replicas do."""
        ...

    async def list_objects(self, key: Key, listing: Listing) -> tuple[Info, list[Listed]]:
        """One snapshot of both; NotFound for what is deleted, too. Names in the order of their UTF-8 bytes."""
        ...

    async def list_containers(self, key: Key, listing: Listing) -> tuple[Info, list[ListedContainer]]:
        """As `list_objects`; `path` and `policy` say nothing here."""
        ...

    async def changed(self, since: int, limit: int = 1000) -> list[Changed]:
        """The indexes whose last change is later than `since`, in the order of that."""
        ...

    async def object_rows(
        self, key: Key, since: int, limit: int = 1000, *, misplaced: bool = False
    ) -> list[tuple[int, ObjectRow]]:
        """Rows that changed after `since`, by number; `misplaced`: those of policies that are not the container's."""
        ...

    async def container_rows(self, key: Key, since: int, limit: int = 1000) -> list[tuple[int, ContainerRow]]:
        """As `object_rows`."""
        ...

    async def sync_points(self, key: Key) -> dict[Peer, int]:
        """Up to which change peers told us theirs, and we them ours."""
        ...

    async def set_sync_point(self, key: Key, peer: Peer, point: int) -> None:
        """A point never goes back; -1 forgets it."""
        ...

    async def drop(self, key: Key, change: int) -> bool:
        """Forget the index with all of its rows, as it lies elsewhere. False where it has changed since `change`."""
        ...

    async def reclaim(self, key: Key, before: int, limit: int = 10_000) -> int:
        """Forget at most `limit` tombstones from before the stamp `before`; how many there were.

        With the last of them, when that is less than `limit`, metadata and ranges that were taken away before then are
        forgotten, and the index itself if it is empty, was deleted before then, and its account knows.
        """
        ...

    async def owed(self, limit: int = 1000, after: int = 0) -> list[tuple[int, Key, ContainerRow]]:
        """What accounts have still to be told, behind number `after`, `counted` 0. It outlives a kill."""
        ...

    async def reported(self, key: Key, row: ContainerRow) -> None:
        """The account knows `row`."""
        ...

    async def merge_ranges(self, key: Key, ranges: Sequence[ShardRange]) -> None: ...

    async def ranges(
        self,
        key: Key,
        *,
        marker: str = "",
        end_marker: str = "",
        includes: str | None = None,
        states: Sequence[int] = (),
        deleted: bool = False,
        own: bool = False,
    ) -> list[ShardRange]:
        """Those that reach behind `marker` and begin before `end_marker`, by upper bound, state, lower bound and name;
        for `includes` the first of those that hold that name. With `own` the container's own ("account/container")."""
        ...

    async def find_ranges(
        self, key: Key, size: int, *, lower: str = "", upper: str = "", limit: int = -1, minimum: int = 1
    ) -> tuple[list[FoundRange], bool]:
        """Where to split what lies behind `lower` up to `upper` into pieces of `size` objects, at most `limit` of them,
        the last with at least `minimum`; and whether that was found. Nothing where `size` + `minimum` are not there."""
        ...

    async def set_sharding(self, key: Key, sharding: str) -> None:
        """`unsharded`; `sharding`: its rows belong to its shards, or to others of its root; `sharded`: it has none."""
        ...

    async def named_rows(
        self, key: Key, lower: str = "", upper: str = "", limit: int = 1000, *, reverse: bool = False
    ) -> tuple[Info, list[ObjectRow]]:
        """Rows, tombstones too, of the names from `lower` on, with it, to before `upper` ("" is no bound), by name.

        Of the last name all policies, so there may be some more than `limit`. One snapshot of both.
        """
        ...

    async def remove_rows(self, key: Key, rows: Sequence[ObjectRow]) -> int:
        """Forget those that are still as `named_rows` told them, for they lie elsewhere; how many these were."""
        ...

    async def audit(self, key: Key, *, mend: bool = False) -> list[str]:
        """How counts and digest differ from what the rows say; `mend` makes them right."""
        ...

    async def close(self) -> None: ...
