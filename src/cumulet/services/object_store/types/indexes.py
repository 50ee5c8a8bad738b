# SPDX-License-Identifier: Apache-2.0
"""What indexes hold: of a container its objects, of an account its containers.

Times are stamps (`types/stamps.py`), sizes are bytes. What is frozen here goes between hosts as it is.
"""

from __future__ import annotations

import enum
from functools import reduce
from typing import NamedTuple

import msgspec

Metadata = dict[str, tuple[str, int]]
"""The value and the stamp of each header, ACLs and sysmeta too; an empty value is one that was taken away."""

Listed = tuple[str, int, int, str | None, str]
"""An object in a listing: name, stamp of its last change, size, content type, ETag. Without a type it is a subdir."""

ListedContainer = tuple[str, int, int, int, int]
"""A container in a listing: name, objects, bytes, stamp of its last PUT, policy. A subdir has the policy -1."""

SHARD_ROOTS = ("x-container-sysmeta-shard-quoted-root", "x-container-sysmeta-shard-root")
"""What names the container that a shard belongs to, in lower case; it outlives the shard's deletion."""


class Key(NamedTuple):
    """The index of a container; of an account where `container` is empty."""

    account: str
    container: str = ""


class PolicyChoice(NamedTuple):
    """Storage policy `policy` was given at `chosen` to what was then made; `put` is the newest PUT that kept it."""

    chosen: int
    policy: int
    put: int


class Count(NamedTuple):
    """Live rows of one storage policy. `containers` is 0 in the index of a container."""

    containers: int = 0
    objects: int = 0
    bytes: int = 0

    def plus(self, other: Count) -> Count:
        return Count(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def less(self, other: Count) -> Count:
        return Count(self[0] - other[0], self[1] - other[1], self[2] - other[2])


class ObjectRow(msgspec.Struct, frozen=True, array_like=True):
    """An object of a container, or the tombstone of one. What names a row is its name with its policy.

    `stamp` is that of the data, `type_stamp` of the content type, `meta_stamp` of the metadata; 0 is "as the one
    before". `shown` is the size that listings tell instead of `size` (a manifest's), -1 for none.
    """

    name: str
    stamp: int
    size: int = 0
    content_type: str = ""
    etag: str = ""
    deleted: bool = False
    policy: int = 0
    type_stamp: int = 0
    meta_stamp: int = 0
    shown: int = -1


class ContainerRow(msgspec.Struct, frozen=True, array_like=True):
    """A container of an account. `counted` is when the container told `objects`, `bytes` and `policy`."""

    name: str
    put: int = 0
    deleted: int = 0
    objects: int = 0
    bytes: int = 0
    policy: int = 0
    counted: int = 0

    @property
    def gone(self) -> bool:
        return self.deleted > self.put and self.objects == 0


class RangeState(enum.IntEnum):
    """Where the range of a shard is; Swift's numbers.

    From CREATED on listings ask the shard, from CLEAVED on it takes rows, which come to it from where they lay before;
    ACTIVE it has them all. SHARDING and SHRINKING it gives its own to others.
    """

    FOUND = 10
    CREATED = 20
    CLEAVED = 30
    ACTIVE = 40
    SHRINKING = 50
    SHARDING = 60
    SHARDED = 70
    SHRUNK = 80


LISTED_RANGES = (
    RangeState.CREATED,
    RangeState.CLEAVED,
    RangeState.ACTIVE,
    RangeState.SHRINKING,
    RangeState.SHARDING,
)
DRAINED_RANGES = (RangeState.SHARDING, RangeState.SHRINKING)
UPDATED_RANGES = (RangeState.CLEAVED, RangeState.ACTIVE)


class ShardRange(msgspec.Struct, frozen=True, array_like=True):
    """Container `name` ("account/container") holds what lies behind `lower` up to `upper`, with it; "" is no bound.

    `stamp` is that of the bounds and of `deleted`, `meta_stamp` of the counts, `state_stamp` of the state;
    `reported` tells that the root knows counts and state; -1 tombstones is an unknown number.
    """

    name: str
    stamp: int
    lower: str = ""
    upper: str = ""
    objects: int = 0
    bytes: int = 0
    meta_stamp: int = 0
    deleted: bool = False
    state: int = RangeState.FOUND
    state_stamp: int = 0
    epoch: int = 0
    reported: bool = False
    tombstones: int = -1

    def includes(self, name: str) -> bool:
        return name > self.lower and (not self.upper or name <= self.upper)


class FoundRange(msgspec.Struct, frozen=True, array_like=True):
    """Where a container can be split; `objects` is what was counted between the bounds."""

    lower: str
    upper: str
    objects: int


class IndexState(msgspec.Struct, frozen=True, kw_only=True):
    """What replicas of an index tell each other beside the rows."""

    created: int
    put: int = 0
    deleted: int = 0
    choices: tuple[PolicyChoice, ...] = ()
    metadata: Metadata = {}

    @property
    def choice(self) -> PolicyChoice:
        """The oldest of those that a deletion has not made void: what Swift's replicas and its reconciler agree on."""
        return min(self.choices, default=PolicyChoice(0, 0, 0))


UNSHARDED, SHARDING, SHARDED = "unsharded", "sharding", "sharded"


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What a device knows of an index.

    `counts` are by policy; `usage` sums up the ranges of a root's shards. `change` is the number of its last change,
    `digest` (16 bytes) sums up its rows, tombstones too. `reported` is what its account was told last.
    """

    key: Key
    state: IndexState
    counts: dict[int, Count] = {}
    usage: Count = Count()
    sharding: str = UNSHARDED
    change: int = 0
    digest: bytes = bytes(16)
    reported: ContainerRow | None = None

    @property
    def policy(self) -> int:
        return self.state.choice.policy

    @property
    def total(self) -> Count:
        """Of an account all; of a container what is of its policy, with what the shards of a sharded root hold."""
        if not self.key.container:
            return reduce(Count.plus, self.counts.values(), Count())
        own = self.counts.get(self.policy, Count())
        return own if self.sharding == UNSHARDED or not self.root else own.plus(self.usage)

    @property
    def root(self) -> bool:
        """Not a shard of another container."""
        return not any(value for key, (value, _) in self.state.metadata.items() if key.lower() in SHARD_ROOTS)

    @property
    def fenced(self) -> bool:
        """A shard that takes no rows any more: they belong to others by now."""
        return self.sharding != UNSHARDED and not self.root

    @property
    def bare(self) -> bool:
        """It has no row of its own, not even a tombstone."""
        return not any(self.digest)

    @property
    def empty(self) -> bool:
        """No row lives, whatever its policy, nor one in a shard."""
        live = any(count.objects or count.containers for count in self.counts.values())
        return not live and not (self.root and self.sharding != UNSHARDED and self.usage.objects > 0)

    @property
    def exists(self) -> bool:
        """An account that was deleted is so until it is reclaimed; a container is made again by a later PUT."""
        if not self.key.container:
            return not self.state.deleted
        return not (self.state.deleted > self.state.put and self.total.objects == 0)

    @property
    def status_changed(self) -> int:
        """The stamp of what made it, or of what deleted it."""
        if not self.exists:
            return self.state.deleted
        return self.state.choice.chosen if self.key.container else self.state.created

    @property
    def owed(self) -> bool:
        """Its account has still to be told."""
        return bool(self.key.container) and self.report(0) != self.reported

    def report(self, counted: int) -> ContainerRow:
        """What its account has to know; `counted` is the stamp of now."""
        total = self.total
        state = self.state
        return ContainerRow(
            self.key.container, state.put, state.deleted, total.objects, total.bytes, self.policy, counted
        )


class MetadataLimits(msgspec.Struct, frozen=True):
    """Of what callers give to one account or container: names without their prefix and values, in bytes."""

    items: int = 90
    bytes: int = 4096


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing asks for; the words of Swift's API.

    `policy` None is the container's own, -1 all of them. `gone` lists tombstones and nothing else.
    `reserved` lists names that begin with the byte 0. `path`, where given, stands in place of prefix and delimiter.
    """

    limit: int = 10_000
    marker: str = ""
    end_marker: str = ""
    prefix: str = ""
    delimiter: str = ""
    path: str | None = None
    reverse: bool = False
    policy: int | None = None
    gone: bool = False
    reserved: bool = False


class Changed(NamedTuple):
    """An index that changed: the number of that change, and the digest of its rows."""

    key: Key
    change: int
    digest: bytes


class Peer(NamedTuple):
    """Another device, by the identity of its file; `incoming` is what it told us, else what we told it."""

    identity: str
    incoming: bool


class Placed(NamedTuple):
    """What a PUT has done: made it (anew), and which policy it has."""

    created: bool
    policy: int
