# SPDX-License-Identifier: Apache-2.0
"""What a request makes of an index, whatever keeps it: pure functions from what is known to what is to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.object_store.types import merges
from cumulet.services.object_store.types.indexes import (
    LISTED_RANGES,
    SHARDED,
    SHARDING,
    UNSHARDED,
    ContainerRow,
    Count,
    IndexState,
    Info,
    Key,
    Listing,
    Metadata,
    MetadataLimits,
    ObjectRow,
    PolicyChoice,
    ShardRange,
)

BIGGEST = (1 << 63) - 1  # of what is kept
_LIMITED = ("x-container-meta-", "x-account-meta-")


def opened(
    known: Info | None, key: Key, stamp: int, policy: int | None, default: int, metadata: Mapping[str, str]
) -> tuple[Info, bool]:
    """What a PUT at `stamp` leaves, and whether it made the index (anew)."""
    check_stamp(stamp)
    fresh = _fresh(metadata, stamp)
    if known is None:
        choices = (PolicyChoice(stamp, default if policy is None else policy, stamp),) if key.container else ()
        return Info(key=key, state=IndexState(created=stamp, put=stamp, choices=choices, metadata=fresh)), True
    created = not known.exists
    if not key.container:
        if created:
            raise Forbidden("Recently deleted", code="RecentlyDeleted")
        return _with(known, IndexState(created=known.state.created, put=stamp, metadata=fresh)), False
    if created:
        if stamp <= known.state.deleted:
            raise Conflict(f"The container was deleted later than {stamp}.", code="DeletedLater")
        choice = PolicyChoice(stamp, default if policy is None else policy, stamp)
    else:
        current = known.state.choice
        if policy is not None and policy != current.policy:
            raise Conflict("The container has another storage policy.", code="OtherPolicy", policy=current.policy)
        choice = PolicyChoice(current.chosen, current.policy, max(stamp, current.put))
    state = IndexState(created=known.state.created, put=stamp, choices=(choice,), metadata=fresh)
    return _with(known, state), created


def closed(known: Info | None, stamp: int) -> tuple[Info, bool]:
    """What a DELETE at `stamp` leaves, and whether there was something to delete."""
    check_stamp(stamp)
    if known is None:
        raise NotFound("There is no such index.")
    if known.key.container:
        if not known.empty:
            raise Conflict("The container is not empty.", code="NotEmpty")
        if stamp <= known.state.put:
            raise Conflict("The container was put later.", code="PutLater")
    return _with(known, IndexState(created=known.state.created, deleted=stamp)), known.exists


def described(known: Info | None, stamp: int, metadata: Mapping[str, str]) -> Info:
    """What a POST at `stamp` leaves; for a container that is a PUT too."""
    check_stamp(stamp)
    if known is None or not known.exists:
        raise NotFound("There is no such index.")
    put, choices = 0, known.state.choices
    if known.key.container:
        put = stamp
        current = known.state.choice
        choices = (current._replace(put=max(stamp, current.put)),)
    fresh = _fresh(metadata, stamp)
    return _with(known, IndexState(created=known.state.created, put=put, choices=choices, metadata=fresh))


def taken_over(known: Info | None, key: Key, state: IndexState) -> Info:
    """With what another replica knows."""
    for stamp in (state.created, state.put, state.deleted, *(each for one in state.choices for each in one)):
        check_stamp(stamp)
    if known is None:
        known = Info(key=key, state=msgspec.structs.replace(state, choices=(), metadata={}))
    return _with(known, state)


def _fresh(metadata: Mapping[str, str], stamp: int) -> Metadata:
    _check_unicode("".join([key + value for key, value in metadata.items()]))
    return merges.stamped(metadata, stamp)


def _with(known: Info, state: IndexState) -> Info:
    return msgspec.structs.replace(known, state=merges.merged_state(known.state, state))


def forgettable(info: Info, before: int) -> bool:
    """Empty and deleted before the stamp, and its account knows."""
    old = max(info.state.put, info.state.deleted) < before
    return old and not info.exists and info.empty and not info.owed


def count_of(row: ObjectRow | ContainerRow) -> Count:
    if isinstance(row, ObjectRow):
        return Count() if row.deleted else Count(0, 1, row.size)
    return Count(0 if row.gone else 1, row.objects, row.bytes)


def usage_of(key: Key, ranges: Sequence[ShardRange]) -> Count:
    """What the shards hold that listings ask, the container's own range apart."""
    own = "/".join(key)
    total = Count()
    for each in ranges:
        if each.name != own and not each.deleted and each.state in LISTED_RANGES:
            total = total.plus(Count(0, each.objects, each.bytes))
    return total


def check_limits(metadata: Metadata, limits: MetadataLimits | None) -> None:
    """Invalid where callers have given more than `limits`."""
    if limits is None:
        return
    items = size = 0
    for key, (value, _) in metadata.items():
        prefix = next((each for each in _LIMITED if key.lower().startswith(each)), None)
        if prefix is not None and value:
            items += 1
            size += len(key[len(prefix) :].encode()) + len(value.encode())
    if items > limits.items:
        raise Invalid(f"Too many metadata items; max {limits.items}")
    if size > limits.bytes:
        raise Invalid(f"Total metadata too large; max {limits.bytes}")


def check_stamp(value: int) -> None:
    if not 0 <= value <= BIGGEST:
        raise Invalid(f"{value} is no stamp that can be kept")


def check_objects(rows: Sequence[ObjectRow]) -> None:
    """Invalid for a row that cannot be kept: no name, not Unicode, numbers out of their range."""
    for row in rows:
        numbers = (row.stamp, row.type_stamp, row.meta_stamp, row.size, row.policy)
        if not row.name or min(numbers) < 0 or max(numbers) > BIGGEST or not -1 <= row.shown <= BIGGEST:
            raise Invalid(f"{row.name!r} cannot be kept: no name, or a number out of its range")
    _check_unicode("".join([f"{row.name}{row.content_type}{row.etag}" for row in rows]))


def check_containers(rows: Sequence[ContainerRow]) -> None:
    """As `check_objects`."""
    for row in rows:
        numbers = (row.put, row.deleted, row.objects, row.bytes, row.policy, row.counted)
        if not row.name or min(numbers) < 0 or max(numbers) > BIGGEST:
            raise Invalid(f"{row.name!r} cannot be kept: no name, or a number out of its range")
    _check_unicode("".join([row.name for row in rows]))


def check_key(key: Key, container: bool | None = None) -> None:
    """Invalid for what is no key, or one of a container where an account's is asked for, or the other way round."""
    if not key.account or (container is not None and container != bool(key.container)):
        raise Invalid(f"{'/'.join(key)!r} is no index of this kind")
    _check_unicode(key.account + key.container)


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("A name is not valid Unicode") from error


def prefix_end(prefix: str) -> str:
    """The least name behind all that begin with `prefix`; "" where nothing is."""
    while prefix:
        code = ord(prefix[-1])
        prefix = prefix[:-1]
        if code < 0x10FFFF:
            return prefix + chr(0xE000 if code == 0xD7FF else code + 1)  # surrogates are no characters of a name
    return ""


def check_ranges(ranges: Sequence[ShardRange]) -> None:
    """As `check_objects`."""
    for row in ranges:
        numbers = (row.stamp, row.meta_stamp, row.state_stamp, row.epoch, row.objects, row.bytes)
        if not row.name or min(numbers) < 0 or max(numbers) > BIGGEST:
            raise Invalid(f"{row.name!r} cannot be kept: no name, or a number out of its range")
    _check_unicode("".join([f"{row.name}{row.lower}{row.upper}" for row in ranges]))


def check_listing(listing: Listing) -> None:
    if listing.limit < 0:
        raise Invalid("A listing cannot have less than no rows")
    _check_unicode(f"{listing.marker}{listing.end_marker}{listing.prefix}{listing.delimiter}{listing.path or ''}")


def check_span(lower: str, upper: str, limit: int) -> None:
    if limit < 1:
        raise Invalid("Rows are read at least one at a time")
    _check_unicode(lower + upper)


def check_splitting(size: int) -> None:
    if size < 1:
        raise Invalid("A shard has at least one object")


def check_sharding(sharding: str) -> None:
    if sharding not in (UNSHARDED, SHARDING, SHARDED):
        raise Invalid(f"{sharding!r} is no state of sharding")


def moved() -> Conflict:
    """What a fenced shard answers to rows."""
    return Conflict("The rows of this shard belong to others by now.", code="Moved")


def chosen_ranges(
    every: Iterable[ShardRange],
    key: Key,
    marker: str,
    end_marker: str,
    includes: str | None,
    states: Sequence[int],
    deleted: bool,
    own: bool,
) -> list[ShardRange]:
    """What `IndexDevice.ranges` answers."""
    itself = "/".join(key)
    found = [
        each
        for each in every
        if (deleted or not each.deleted)
        and (own or each.name != itself)
        and (not states or each.state in states)
        and (each.includes(includes) if includes is not None else _reaches(each, marker, end_marker))
    ]
    found.sort(key=lambda each: (not each.upper, each.upper, each.state, each.lower, each.name))
    return found[:1] if includes is not None else found


def _reaches(row: ShardRange, marker: str, end_marker: str) -> bool:
    return (not end_marker or row.lower < end_marker) and (not marker or not row.upper or row.upper > marker)


def differences(said: Mapping[int, Count], true: Mapping[int, Count]) -> list[str]:
    """In words, by policy."""
    found = []
    for policy in sorted(said.keys() | true.keys()):
        had, has = said.get(policy, Count()), true.get(policy, Count())
        if had != has:
            found.append(f"policy {policy} has {tuple(has)} containers, objects and bytes, not {tuple(had)}")
    return found
