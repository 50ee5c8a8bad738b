# SPDX-License-Identifier: Apache-2.0
"""How replicas of an index become alike: rules that do not depend on who is told what first, nor how often.

Each `merged_*` is commutative, associative and idempotent. Where Swift keeps what it had when two stamps are equal,
the larger value wins here; where it takes the counts of a container as they arrive, those that were counted last win.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import md5

from cumulet.services.object_store.types.indexes import (
    SHARD_ROOTS,
    ContainerRow,
    IndexState,
    Metadata,
    ObjectRow,
    PolicyChoice,
    ShardRange,
)


def normal_object(row: ObjectRow) -> ObjectRow:
    """With every stamp told; a tombstone has neither size nor ETag."""
    kind = row.type_stamp or row.stamp
    meta = row.meta_stamp or kind
    if row.deleted:
        return ObjectRow(row.name, row.stamp, 0, row.content_type, "", True, row.policy, kind, meta)
    return ObjectRow(
        row.name, row.stamp, row.size, row.content_type, row.etag, False, row.policy, kind, meta, row.shown
    )


def merged_object(one: ObjectRow, other: ObjectRow) -> ObjectRow:
    """Both normal and of one name and policy. Data, content type and metadata each from where they are newest; a
    tombstone wins over data of its stamp, then the larger ETag."""
    data = max(one, other, key=_data)
    kind, content_type = max((one.type_stamp, one.content_type), (other.type_stamp, other.content_type))
    meta = max(one.meta_stamp, other.meta_stamp)
    return ObjectRow(
        data.name, data.stamp, data.size, content_type, data.etag, data.deleted, data.policy, kind, meta, data.shown
    )


def _data(row: ObjectRow) -> tuple[int, bool, str, int, int]:
    return row.stamp, row.deleted, row.etag, row.size, row.shown


def merged_container(one: ContainerRow, other: ContainerRow) -> ContainerRow:
    counted = max(one, other, key=_counts)
    return ContainerRow(
        one.name,
        max(one.put, other.put),
        max(one.deleted, other.deleted),
        counted.objects,
        counted.bytes,
        counted.policy,
        counted.counted,
    )


def _counts(row: ContainerRow) -> tuple[int, int, int, int]:
    return row.counted, row.objects, row.bytes, row.policy


def merged_metadata(one: Metadata, other: Metadata) -> Metadata:
    found = dict(one)
    for key, (value, stamp) in other.items():
        known = found.get(key)
        if known is None or (stamp, value) > (known[1], known[0]):
            found[key] = (value, stamp)
    return found


def merged_choices(
    one: Iterable[PolicyChoice], other: Iterable[PolicyChoice], deleted: int
) -> tuple[PolicyChoice, ...]:
    """Those whose newest PUT is not older than the deletion. Without one of these the last, for what is yet to come."""
    puts: dict[tuple[int, int], int] = {}
    for chosen, policy, put in (*one, *other):
        puts[chosen, policy] = max(put, puts.get((chosen, policy), 0))
    every = sorted(PolicyChoice(chosen, policy, put) for (chosen, policy), put in puts.items())
    valid = tuple(choice for choice in every if choice.put >= deleted)
    return valid or tuple(sorted(every, key=lambda choice: (choice.put, choice))[-1:])


def merged_state(one: IndexState, other: IndexState) -> IndexState:
    deleted = max(one.deleted, other.deleted)
    return IndexState(
        created=min(one.created, other.created),
        put=max(one.put, other.put),
        deleted=deleted,
        choices=merged_choices(one.choices, other.choices, deleted),
        metadata=_without_older(merged_metadata(one.metadata, other.metadata), deleted),
    )


def merged_range(one: ShardRange, other: ShardRange) -> ShardRange:
    """The newer bounds bring all that is theirs; of the same bounds counts and state are each the newest."""
    first, second = _bounds(one), _bounds(other)
    if first != second:
        return one if first > second else other
    counts, state = max(_range_counts(one), _range_counts(other)), max(_range_state(one), _range_state(other))
    reported = any(
        each.reported and (_range_counts(each), _range_state(each)) == (counts, state) for each in (one, other)
    )
    return ShardRange(
        one.name,
        one.stamp,
        one.lower,
        one.upper,
        counts[1],
        counts[2],
        counts[0],
        one.deleted,
        state[1],
        state[0],
        state[2],
        reported,
        counts[3],
    )


def _bounds(row: ShardRange) -> tuple[int, bool, str, str]:
    return row.stamp, row.deleted, row.lower, row.upper


def _range_counts(row: ShardRange) -> tuple[int, int, int, int]:
    return row.meta_stamp, row.objects, row.bytes, row.tombstones


def _range_state(row: ShardRange) -> tuple[int, int, int]:
    return row.state_stamp, row.state, row.epoch


def _without_older(metadata: Metadata, deleted: int) -> Metadata:
    """What the deletion took away, whether its replica had heard of it or not; a shard stays one."""
    return {
        key: each if each[1] >= deleted or key.lower() in SHARD_ROOTS else ("", deleted)
        for key, each in metadata.items()
    }


def stamped(metadata: Mapping[str, str], stamp: int) -> Metadata:
    return {key: (value, stamp) for key, value in metadata.items()}


def object_digest(row: ObjectRow) -> int:
    """Of 128 bits; an index's digest is the XOR of those of its rows."""
    text = (
        f"{row.name}\0{row.policy} {row.stamp} {row.type_stamp} {row.meta_stamp} "
        f"{row.deleted:d} {row.size} {row.etag} {row.content_type}"
    )
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest())


def container_digest(row: ContainerRow) -> int:
    text = f"{row.name}\0{row.put} {row.deleted} {row.objects} {row.bytes} {row.policy} {row.counted}"
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest())
