# SPDX-License-Identifier: Apache-2.0
"""What a device keeps of an object, and the rules by which every replica decides alike what is newest.

A `Version` has three parts, each with a stamp of its own, as in Swift: the body (or the tombstone in its place) that a
PUT or DELETE set, the metadata, which a later POST replaces, and the content type, which a later POST may replace. The
larger stamp wins for each part by itself, and what is not newer than the body falls with it. So the order in which
replicas hear of writes does not matter: `merge` is commutative, associative and idempotent.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum

import msgspec

from cumulet.services.object_store.types import stamps

WHOLE = -1  # the `fragment` of a body that is not erasure coded
SUFFIXES = 1 << 12  # of the bodies that are whole; each fragment has as many of its own


class Kind(IntEnum):
    """What is there under a name; of two with one stamp the larger wins, as Swift has it."""

    DATA = 0
    TOMBSTONE = 1


class Verdict(StrEnum):
    """What became of a write.

    `done`: it is there now. `same`: this very write was there before. `newer`: something newer is there (409 with
    its stamp). `missing`: there is no object (404). `mismatch`: it does not expire when the caller said (412).
    """

    DONE = "done"
    SAME = "same"
    NEWER = "newer"
    MISSING = "missing"
    MISMATCH = "mismatch"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object lies, and whose it is.

    `hash` is the MD5 in 32 hexadecimal digits of `/account/container/object` between the cluster's secret prefix and
    suffix. Each `fragment` of the erasure code has its place: a device may have several of an object.
    """

    policy: int
    partition: int
    hash: str
    account: str
    container: str
    object: str
    fragment: int = WHOLE

    @property
    def suffix(self) -> int:
        """The last three digits of the hash, by which a partition is compared with its replicas; fragments apart."""
        return int(self.hash[-3:], 16) + (self.fragment + 1) * SUFFIXES


class Version(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The state of an object at one replica.

    Body: `kind`, `stamp`, `size` in bytes, `etag` (MD5 of the stored bytes in hexadecimal digits), `system` (headers
    that a POST does not touch) and `fragment` (index of the erasure code, WHOLE for none).
    Metadata: `meta_stamp`, `metadata` (headers in lower case that a POST replaces all together) and `delete_at`
    (seconds since 1970, 0 for never). Content type: `type_stamp`, `content_type`. Their stamps are the body's until a
    POST.
    A tombstone may carry metadata that is newer than itself: of a body that has not come yet.
    """

    kind: Kind
    stamp: int
    size: int = 0
    etag: str = ""
    system: dict[str, str] = {}
    fragment: int = WHOLE
    meta_stamp: int = 0
    metadata: dict[str, str] = {}
    delete_at: int = 0
    type_stamp: int = 0
    content_type: str = ""

    def is_expired(self, at: int) -> bool:
        """Whether the object is over at the stamp `at`."""
        return 0 < self.delete_at <= stamps.seconds(at)


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A POST. `content_type` None leaves what is there; else `type_stamp` is when it was set, 0 for the POST's own."""

    stamp: int
    metadata: dict[str, str] = {}
    delete_at: int = 0
    content_type: str | None = None
    type_stamp: int = 0


class Entry(msgspec.Struct, frozen=True):
    """An object in the catalogue of a device."""

    address: Address
    version: Version


class Fragment(msgspec.Struct, frozen=True):
    """A fragment of an object on a device, or the tombstone in its place.

    `at`: since which stamp it is pending, 0 for what is confirmed; `id` names what is pending on its device.
    """

    entry: Entry
    at: int = 0
    id: int = 0


class OwedUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a listing that is still to be brought to `account/container`, for `object`.

    `row` is for those who bring it, made at `stamp`: each write has its own, for none tells all that another
    does. `id` names it on its device, 0 before it is there.
    """

    account: str
    container: str
    object: str
    stamp: int
    row: bytes
    id: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What became of a write, what was there before, what is there now, and the ids of updates put with it."""

    verdict: Verdict
    before: Version | None
    now: Version | None
    owed: tuple[int, ...] = ()


_canonical = msgspec.msgpack.Encoder(order="sorted")
_decoder = msgspec.msgpack.Decoder(Version)


def put(
    stamp: int,
    size: int,
    etag: str,
    content_type: str,
    *,
    metadata: dict[str, str] | None = None,
    system: dict[str, str] | None = None,
    delete_at: int = 0,
    fragment: int = WHOLE,
) -> Version:
    """What a PUT makes."""
    return Version(
        kind=Kind.DATA,
        stamp=stamp,
        size=size,
        etag=etag,
        system=system or {},
        fragment=fragment,
        meta_stamp=stamp,
        metadata=metadata or {},
        delete_at=delete_at,
        type_stamp=stamp,
        content_type=content_type,
    )


def tombstone(stamp: int) -> Version:
    """What a DELETE makes."""
    return Version(kind=Kind.TOMBSTONE, stamp=stamp)


def encode(version: Version) -> bytes:
    """The one way to write it down: equal versions have equal bytes."""
    return _canonical.encode(version)


def decode(data: bytes) -> Version:
    return _decoder.decode(data)


def digest(name_hash: str, version: Version) -> int:
    """64 bits, signed, that replicas of the same state agree on, whatever fragment each has."""
    if version.fragment != WHOLE:
        version = msgspec.structs.replace(version, fragment=WHOLE, etag="", size=0)
    sum_ = hashlib.blake2b(bytes.fromhex(name_hash) + encode(version), digest_size=8)
    return int.from_bytes(sum_.digest(), "big", signed=True)


def same_body(one: Version, other: Version) -> bool:
    """Whether the body (or tombstone) of both was set by the same write."""
    return _body(one) == _body(other)


def merge(one: Version, other: Version) -> Version:
    """What is there when both have been heard of."""
    if one == other:
        return one
    body = max(one, other, key=_body)
    meta = max(one, other, key=_metadata)
    kind = max(one, other, key=_content_type)
    floor = body.stamp if body.kind is Kind.TOMBSTONE else -1
    has_meta, has_type = meta.meta_stamp > floor, kind.type_stamp > floor
    return msgspec.structs.replace(
        body,
        meta_stamp=meta.meta_stamp if has_meta else 0,
        metadata=meta.metadata if has_meta else {},
        delete_at=meta.delete_at if has_meta else 0,
        type_stamp=kind.type_stamp if has_type else 0,
        content_type=kind.content_type if has_type else "",
    )


def written(current: Version | None, new: Version) -> tuple[Verdict, Version]:
    """A PUT, or the state of another replica: the verdict on its body, and what is there then.

    `newer` may still have brought newer metadata: what is there is the second of the two.
    """
    if current is None:
        return Verdict.DONE, new
    if same_body(current, new):
        now = merge(current, new)
        return (Verdict.SAME if now == current else Verdict.DONE), now
    return (Verdict.DONE if _body(new) > _body(current) else Verdict.NEWER), merge(current, new)


def stored(current: Version | None, new: Version) -> tuple[Verdict, Version]:
    """A client's PUT, which has to be newer than what is there: of two with one stamp the first stays (409)."""
    if current is None or current.stamp < new.stamp or same_body(current, new):
        return written(current, new)
    return Verdict.NEWER, current


def pended(current: Version | None, waiting: Version | None, new: Version) -> Verdict:
    """What becomes of a fragment that is put beside what is `current`, where one of its stamp may be `waiting`."""
    if current is not None and same_body(current, new):
        return Verdict.SAME
    if current is not None and current.stamp >= new.stamp:
        return Verdict.NEWER
    if waiting is None:
        return Verdict.DONE
    return Verdict.SAME if same_body(waiting, new) else Verdict.NEWER


def unpended(current: Version | None, stamp: int) -> Verdict:
    """What the confirmation of `stamp` finds where nothing of that stamp is pending."""
    if current is None or current.stamp < stamp:
        return Verdict.MISSING
    return Verdict.SAME if current.stamp == stamp and current.kind is Kind.DATA else Verdict.NEWER


def deleted(current: Version | None, stamp: int, if_delete_at: int | None = None) -> tuple[Verdict, Version | None]:
    """A DELETE. `missing` leaves a tombstone all the same: the object may be at other replicas.

    With `if_delete_at` (the expirer's) there must be an object, and it must expire then.
    """
    if if_delete_at is not None and current is None:
        return Verdict.MISSING, None
    if current is not None and current.stamp >= stamp:
        if current.kind is Kind.DATA:
            return Verdict.NEWER, current
        if if_delete_at is not None and current.stamp > stamp:
            return Verdict.NEWER, current
        return (Verdict.SAME if current.stamp == stamp else Verdict.MISSING), current
    if if_delete_at is not None and current is not None and current.delete_at != if_delete_at:
        return Verdict.MISMATCH, current
    dead = tombstone(stamp)
    if current is None:
        return Verdict.MISSING, dead
    gone = current.kind is Kind.TOMBSTONE or (if_delete_at is None and current.is_expired(stamp))
    return (Verdict.MISSING if gone else Verdict.DONE), merge(current, dead)


def posted(current: Version | None, update: Update, *, expired_too: bool = False) -> tuple[Verdict, Version | None]:
    """A POST: each of its two parts counts where it is newer than what is there."""
    if current is None or current.kind is Kind.TOMBSTONE:
        return Verdict.MISSING, current
    if current.is_expired(update.stamp) and not expired_too:
        return Verdict.MISSING, current
    type_stamp = 0 if update.content_type is None else update.type_stamp or update.stamp
    now = current
    if update.stamp > current.meta_stamp:
        now = msgspec.structs.replace(
            now, meta_stamp=update.stamp, metadata=update.metadata, delete_at=update.delete_at
        )
    if update.content_type is not None and type_stamp > current.type_stamp:
        now = msgspec.structs.replace(now, type_stamp=type_stamp, content_type=update.content_type)
    if now is not current:
        return Verdict.DONE, now
    same = (
        update.stamp == current.meta_stamp > current.stamp
        and update.metadata == current.metadata
        and update.delete_at == current.delete_at
        and (update.content_type is None or update.content_type == current.content_type)
    )
    return (Verdict.SAME if same else Verdict.NEWER), current


def _body(version: Version) -> tuple[int, int, str, int, int, bytes]:
    system = _canonical.encode(version.system) if version.system else b""
    return version.stamp, version.kind, version.etag, version.size, version.fragment, system


def _metadata(version: Version) -> tuple[int, tuple[object, ...], bytes]:
    return (
        version.meta_stamp,
        _own(version, version.meta_stamp),
        _canonical.encode([version.metadata, version.delete_at]),
    )


def _content_type(version: Version) -> tuple[int, tuple[object, ...], str]:
    return version.type_stamp, _own(version, version.type_stamp), version.content_type


def _own(version: Version, stamp: int) -> tuple[object, ...]:
    """Orders what came with a body like that body, before a POST of the same stamp: it is not parted from it."""
    return _body(version) if version.kind is Kind.DATA and stamp == version.stamp else ()
