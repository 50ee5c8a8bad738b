# SPDX-License-Identifier: Apache-2.0
"""What the whole store can do, whatever devices a name lies on.

A verb that writes returns when as many devices have it as its policy asks for, durably. `Unavailable` is told where
too few of them answer; what was written to some is then brought to the others, or is forgotten, by the repair that
stamps decide. Else errors are those of the devices.

Names are text; those of objects hold slashes as they like. Stamps are integers (`types/stamps.py`), sizes bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

import msgspec

from cumulet.kernel.errors import NotReady
from cumulet.services.object_store.drivers.base import FileSlice
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.types.indexes import (
    Info,
    Key,
    Listed,
    ListedContainer,
    Listing,
    MetadataLimits,
    Placed,
)
from cumulet.services.object_store.types.objects import Address, Outcome, Update, Version


class Unavailable(NotReady):
    """Too few devices answered."""


class Name(NamedTuple):
    """An object, and the storage policy of its container."""

    account: str
    container: str
    object: str
    policy: int = 0

    @classmethod
    def of(cls, address: Address) -> Name:
        return cls(address.account, address.container, address.object, address.policy)

    @property
    def listing(self) -> Key:
        return Key(self.account, self.container)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A storage policy: whoever makes a container chooses one by name. With a `scheme` its objects are encoded."""

    number: int
    name: str
    aliases: tuple[str, ...] = ()
    default: bool = False
    deprecated: bool = False
    scheme: Scheme | None = None


class Writing(Protocol):
    """A body on its way to every device that shall have it; without `commit` nothing of it stays.

    As a context it is aborted where it ends uncommitted. Its verbs are called one after the other.
    """

    @property
    def size(self) -> int:
        """Bytes written up to now."""

    async def write(self, data: bytes) -> None: ...

    async def etag(self) -> str:
        """The MD5 of what was written, in hexadecimal digits; nothing can be written any more."""

    async def commit(self, version: Version) -> Outcome:
        """Make the body that of the object, and have its container list it.

        `version` has the size and the etag of what was written. Listings tell what headers of `version.system` that
        begin with `x-object-sysmeta-container-update-override-` say (`etag`, `size`, `content-type`) in place of the
        object's own, as in Swift; of a static large object its size, while the container counts that of the manifest.
        """

    async def abort(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *ended: object) -> None: ...


class Reading(Protocol):
    """An object as it was when it was opened; to be closed, or used as a context."""

    @property
    def version(self) -> Version:
        """Never a tombstone; it may have expired."""

    @property
    def inline(self) -> bytes | None:
        """The whole body where it is small, else None."""

    def file(self) -> FileSlice | None:
        """The whole body where it lies in a file of this machine, open until `close`."""

    def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` (None: all). A device that fails on the way is left for another one."""

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *ended: object) -> None: ...


class Engine(Protocol):
    @property
    def policies(self) -> Sequence[Policy]:
        """By number; one of them is the default."""

    async def info(self, key: Key, *, newest: bool = False) -> Info | None:
        """Of an account or container that was deleted, too, while that is remembered (`Info.exists`).

        What a verb of this process changed of it is known at once, what others changed after seconds, as are the counts
        of a container; with `newest` every replica is asked.
        As with Swift's X-Newest it is the newest of those that answer, which need be no quorum; that there is none
        is said by a quorum alone.
        """

    async def put(
        self,
        key: Key,
        stamp: int,
        *,
        policy: int | None = None,
        metadata: Mapping[str, str] | None = None,
        limits: MetadataLimits | None = None,
    ) -> Placed:
        """As `IndexDevice.put`. The account of a container lists it when this returns."""

    async def delete(self, key: Key, stamp: int) -> bool:
        """As `IndexDevice.delete`; an account does not list its container any more when this returns."""

    async def set_metadata(
        self, key: Key, stamp: int, metadata: Mapping[str, str], limits: MetadataLimits | None = None
    ) -> None:
        """As `IndexDevice.set_metadata`."""

    async def list_objects(self, key: Key, listing: Listing, *, newest: bool = False) -> tuple[Info, list[Listed]]:
        """As `IndexDevice.list_objects`, over all shards."""

    async def list_containers(
        self, key: Key, listing: Listing, *, newest: bool = False
    ) -> tuple[Info, list[ListedContainer]]: ...

    async def head(self, name: Name, *, newest: bool = False) -> Version | None:
        """The object, or its tombstone; None where nothing is known. It may have expired."""

    async def read(self, name: Name, *, newest: bool = False) -> Reading | None:
        """None where there is no object."""

    async def write(self, name: Name, size: int | None = None) -> Writing:
        """Take a body of `size` bytes, None where its end is yet to come."""

    async def post(self, name: Name, update: Update, *, expired_too: bool = False) -> Outcome:
        """Replace metadata; listings tell a new content type."""

    async def remove(self, name: Name, stamp: int, *, if_delete_at: int | None = None) -> Outcome:
        """Leave a tombstone; no listing has the object any more when this returns."""

    async def delete_later(self, names: Sequence[Name], stamp: int) -> None:
        """As `remove` of each, soon: it is noted for good when this returns. They are of one container."""

    async def close(self) -> None: ...
