# SPDX-License-Identifier: Apache-2.0
"""What a device that keeps objects can do.

Whatever it answers `done` is there for good, and whole: an object, the metadata of a POST or a tombstone is never
half there, whenever the process dies. What is newest is decided by `types.objects`. A fragment of the erasure code may
be pending: kept for good beside what is there, whose place it takes when it is confirmed. Verbs may be called at once,
by tasks of the event loop that opened the device; those of one object take effect one after the other. Nothing of a
body but two pieces is in memory.

Errors: `DeviceFull` where there is no room (Swift's 507), `DeviceGone` where the device does not answer (507 as well),
Conflict (`HashCollision`) for two names with one hash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, Self

import msgspec

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.errors import NotReady
from cumulet.services.object_store.types.objects import (
    Address,
    Entry,
    Fragment,
    Outcome,
    OwedUpdate,
    Update,
    Version,
)

INLINE = 1 << 16  # bytes of a body that lies beside its metadata
PIECE = 1 << 20  # bytes that are read or written at once


class DeviceFull(StorageFull):
    """There is no room on the device, or what is left is kept in reserve."""


class DeviceGone(NotReady):
    """The device is not there: not mounted, another one in its place, closed, or its disk fails."""


class Capabilities(msgspec.Struct, frozen=True):
    """`durable`: what was acknowledged outlives a power cut, and not only the end of the process."""

    durable: bool


class Space(msgspec.Struct, frozen=True):
    """Bytes: of the device, and of those what may still be written."""

    total: int
    free: int


class FileSlice(msgspec.Struct, frozen=True):
    """Where a body lies: `length` bytes from `offset` on of an open file, for `sendfile`."""

    fd: int
    offset: int
    length: int


class Digest(msgspec.Struct, frozen=True):
    """What a suffix holds: replicas with the same `value` and `count` of entries have the same."""

    value: int
    count: int


class Quarantined(msgspec.Struct, frozen=True):
    """An object that was found damaged, taken out of the catalogue at `at` (a stamp)."""

    id: int
    entry: Entry
    reason: str
    at: int


class Audited(msgspec.Struct, frozen=True):
    """A piece of the way through the device.

    `next`: where the next piece begins, 0 at the end. `bytes`: of bodies that were read. `damaged`: what was put into
    quarantine.
    """

    next: int
    entries: int
    bytes: int
    damaged: tuple[Address, ...]


class Upload(Protocol):
    """A body that is being written; without `commit` nothing of it stays.

    As a context it is aborted where it ends uncommitted. Its verbs are called one after the other.
    """

    @property
    def size(self) -> int:
        """Bytes written up to now."""

    async def write(self, data: bytes) -> None:
        """Add a piece, of any length. It waits where the disk is behind."""

    async def etag(self) -> str:
        """The MD5 of what was written, in hexadecimal digits; nothing can be written any more.

        RuntimeError where it is `summed` by the caller.
        """

    async def commit(
        self, version: Version, owed: Sequence[OwedUpdate] = (), *, replica: bool = False, pending: bool = False
    ) -> Outcome:
        """Make the body that of the object. It has the size and the `etag` of `version`, else ValueError: see `summed`.

        A client's has to be newer than what is there (`objects.stored`); a `replica`'s is merged with it
        (`objects.written`). `owed` is put only with what is `done`. Called once.

        A `pending` one (`objects.pended`) waits for `confirm` beside what is there, and beside others of other stamps;
        nothing is owed for it, and `now` is what is there still.
        """

    async def abort(self) -> None:
        """Forget it; nothing happens after `commit`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *ended: object) -> None: ...


class Reading(Protocol):
    """An object as it was when it was opened, whatever is written meanwhile; to be closed, or used as a context."""

    @property
    def version(self) -> Version:
        """Never a tombstone."""

    @property
    def inline(self) -> bytes | None:
        """The whole body where it is small, else None."""

    def file(self) -> FileSlice | None:
        """The whole body where it lies in a file, open until `close`; else None: read `chunks`."""

    def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` (None: all), piece by piece. DeviceGone where the disk gives fewer."""

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *ended: object) -> None: ...


class ObjectDevice(Protocol):
    """A device of a ring: objects, each in one policy and partition."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def id(self) -> str:
        """Names the device wherever it is mounted."""

    async def begin(
        self, address: Address, size: int | None = None, *, summed: bool = False, cached: bool = True
    ) -> Upload:
        """Take a body of `size` bytes (None: not known), for which there is room.

        Where it is `summed` the caller computes the MD5, once for several replicas, and is taken at its word.
        One that is not `cached` is hardly going to be read from here: it does not take the memory of what is.
        """

    async def post(
        self, address: Address, update: Update, owed: Sequence[OwedUpdate] = (), *, expired_too: bool = False
    ) -> Outcome:
        """Replace metadata (`objects.posted`)."""

    async def delete(
        self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = (), *, if_delete_at: int | None = None
    ) -> Outcome:
        """Leave a tombstone (`objects.deleted`); `owed` is put where one was left, found an object or not."""

    async def settle(self, address: Address, version: Version) -> Outcome:
        """Merge what another replica says. `missing`, and nothing changed, where that takes a body that is not here."""

    async def head(self, address: Address) -> Version | None:
        """What is known, a tombstone too; None for nothing at all."""

    async def read(self, address: Address, stamp: int = 0) -> Reading | None:
        """Open an object; None where there is none. A damaged one goes into quarantine and is not there.

        With a `stamp` that body and no other, pending or not.
        """

    async def confirm(self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = ()) -> Outcome:
        """Make what is pending of `stamp` what is there (`objects.written`), as far as nothing newer is; it is pending
        no more. `same`, `newer` or `missing` where nothing of that stamp is pending (`objects.unpended`)."""

    async def withdraw(self, address: Address, stamp: int) -> bool:
        """Forget what is pending of `stamp`; False where nothing is."""

    async def fragments(self, address: Address) -> list[Fragment]:
        """All of an object that lies here, whichever fragment `address` says: what is there, and what is pending."""

    async def pending(self, after: int = 0, limit: int = 1000) -> list[Fragment]:
        """What waits for `confirm`, by id."""

    async def partitions(self) -> list[tuple[int, int]]:
        """Policy and partition of all that is here, in order."""

    async def digests(self, policy: int, partition: int) -> dict[int, Digest]:
        """By suffix."""

    async def entries(
        self, policy: int, partition: int, suffix: int | None = None, after: str = "", limit: int = 1000
    ) -> list[Entry]:
        """In the order of suffix and hash; `after` is the last hash that the caller has. Who wants fragments says the
        suffix: without it what is whole is told."""

    async def remove(self, entry: Entry) -> bool:
        """Drop what others have now (handed off), without a trace; False where it has changed, and stays."""

    async def quarantine(self, entry: Entry, reason: str) -> bool:
        """Take an object out of the catalogue, its bytes kept aside; False where it has changed, and stays."""

    async def quarantined(self, after: int = 0, limit: int = 1000) -> list[Quarantined]:
        """What lies aside, by id."""

    async def owed(self, after: int = 0, limit: int = 1000) -> list[OwedUpdate]:
        """Updates of listings that are still to be brought, by id."""

    async def paid(self, ids: Sequence[int]) -> None:
        """They were brought. Ids that are not there any more are passed over."""

    async def expired(self, before: int, after: tuple[int, str] = (0, ""), limit: int = 1000) -> list[Entry]:
        """Objects whose `delete_at` is up to `before`, ordered by that and the hash; `after` are the last ones."""

    async def space(self) -> Space: ...

    async def reclaim(self, before: int, limit: int = 1000) -> int:
        """Forget tombstones and what is in quarantine from before the stamp `before`; how many, `limit` at most."""

    async def sweep(self) -> int:
        """Remove files that interrupted work has left; how many. Uploads under way are let be."""

    async def audit(self, after: int = 0, size: int = 64 << 20) -> Audited:
        """Read about `size` bytes of bodies from the place `after` on; put what is damaged into quarantine."""

    async def close(self) -> None:
        """After what was begun to be committed; uploads that are under way are lost."""
