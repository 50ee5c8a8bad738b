# SPDX-License-Identifier: Apache-2.0
"""A device in memory, complete, whose faults are made at will."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Self

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.base import (
    INLINE,
    PIECE,
    Audited,
    Capabilities,
    DeviceFull,
    DeviceGone,
    Digest,
    FileSlice,
    Quarantined,
    Space,
)
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import (
    SUFFIXES,
    WHOLE,
    Address,
    Entry,
    Fragment,
    Kind,
    Outcome,
    OwedUpdate,
    Update,
    Verdict,
    Version,
)

_Place = tuple[int, int, int, str]


class FakeDevice:
    """`total`: bytes of bodies that there is room for. Faults: `full`, `gone`, `slow` (seconds that a verb waits)."""

    def __init__(self, name: str, total: int = 1 << 40) -> None:
        self.id = name
        self.capabilities = Capabilities(durable=False)
        self.full = False
        self.gone = False
        self.slow = 0.0
        self._total = total
        self._closed = False
        self._kept: dict[_Place, tuple[Entry, bytes]] = {}
        self._pending: dict[tuple[_Place, int], tuple[Fragment, bytes]] = {}
        self._aside: dict[int, tuple[Quarantined, bytes]] = {}
        self._owed: dict[int, OwedUpdate] = {}
        self._last_id = 0

    def rot(self, address: Address) -> None:
        """Turn a bit of a body that is not empty."""
        entry, body = self._kept[_place(address)]
        self._kept[_place(address)] = entry, bytes([body[0] ^ 1]) + body[1:]

    async def begin(
        self, address: Address, size: int | None = None, *, summed: bool = False, cached: bool = True
    ) -> FakeUpload:
        await self._ready(size or 1)
        return FakeUpload(self, address, summed)

    async def store(
        self, address: Address, version: Version, body: bytes, owed: Sequence[OwedUpdate], replica: bool
    ) -> Outcome:
        await self._ready(len(body))
        return self._store(address, version, body, owed, replica)

    async def pend(self, address: Address, version: Version, body: bytes) -> Outcome:
        await self._ready(len(body))
        before, place = self._find(address), (_place(address), version.stamp)
        waiting = self._pending.get(place)
        verdict = objects.pended(before, waiting[0].entry.version if waiting else None, version)
        if verdict is Verdict.DONE:
            self._pending[place] = Fragment(Entry(address, version), stamps.now(), self._next_id()), body
        return Outcome(verdict, before, before)

    async def confirm(self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = ()) -> Outcome:
        await self._ready()
        found = self._pending.pop((_place(address), stamp), None)
        if found is None:
            before = self._find(address)
            return Outcome(objects.unpended(before, stamp), before, before)
        return self._store(address, found[0].entry.version, found[1], owed, replica=True)

    async def withdraw(self, address: Address, stamp: int) -> bool:
        await self._ready()
        return self._pending.pop((_place(address), stamp), None) is not None

    async def fragments(self, address: Address) -> list[Fragment]:
        await self._ready()
        every = [Fragment(entry) for entry, _ in self._kept.values()] + [each for each, _ in self._pending.values()]
        whole = msgspec.structs.replace(address, fragment=WHOLE)
        return [
            each
            for each in every
            if each.entry.address.fragment != WHOLE
            and msgspec.structs.replace(each.entry.address, fragment=WHOLE) == whole
        ]

    async def pending(self, after: int = 0, limit: int = 1000) -> list[Fragment]:
        await self._ready()
        return [each for each, _ in self._pending.values() if each.id > after][:limit]

    def _store(
        self, address: Address, version: Version, body: bytes, owed: Sequence[OwedUpdate], replica: bool
    ) -> Outcome:
        before = self._find(address)
        verdict, now = (objects.written if replica else objects.stored)(before, version)
        taken = before is None or not objects.same_body(before, now)
        return self._keep(address, verdict, before, now, body if taken else None, owed)

    async def post(
        self, address: Address, update: Update, owed: Sequence[OwedUpdate] = (), *, expired_too: bool = False
    ) -> Outcome:
        await self._ready(1)
        before = self._find(address)
        verdict, now = objects.posted(before, update, expired_too=expired_too)
        return self._keep(address, verdict, before, now, None, owed)

    async def delete(
        self, address: Address, stamp: int, owed: Sequence[OwedUpdate] = (), *, if_delete_at: int | None = None
    ) -> Outcome:
        await self._ready(1)
        before = self._find(address)
        verdict, now = objects.deleted(before, stamp, if_delete_at)
        return self._keep(address, verdict, before, now, b"", owed)

    async def settle(self, address: Address, version: Version) -> Outcome:
        await self._ready(1)
        before = self._find(address)
        verdict, now = objects.written(before, version)
        if now != before and now.kind is Kind.DATA and (before is None or not objects.same_body(before, now)):
            return Outcome(Verdict.MISSING, before, before)
        return self._keep(address, verdict, before, now, b"" if now.kind is Kind.TOMBSTONE else None, ())

    async def head(self, address: Address) -> Version | None:
        await self._ready()
        return self._find(address)

    async def read(self, address: Address, stamp: int = 0) -> FakeReading | None:
        await self._ready()
        version = self._find(address)
        if stamp and (version is None or version.stamp != stamp):
            waiting = self._pending.get((_place(address), stamp))
            return FakeReading(waiting[0].entry.version, waiting[1]) if waiting else None
        if version is None or version.kind is Kind.TOMBSTONE:
            return None
        return FakeReading(version, self._kept[_place(address)][1])

    async def partitions(self) -> list[tuple[int, int]]:
        await self._ready()
        return sorted({place[:2] for place in self._kept})

    async def digests(self, policy: int, partition: int) -> dict[int, Digest]:
        await self._ready()
        sums: dict[int, Digest] = {}
        for place, (entry, _) in self._kept.items():
            if place[:2] == (policy, partition):
                old = sums.get(place[2], Digest(0, 0))
                sum_ = objects.digest(entry.address.hash, entry.version)
                sums[place[2]] = Digest(old.value ^ sum_, old.count + 1)
        return sums

    async def entries(
        self, policy: int, partition: int, suffix: int | None = None, after: str = "", limit: int = 1000
    ) -> list[Entry]:
        await self._ready()
        past = (int(after[-3:], 16), after) if after else (-1, "")
        here = sorted(place for place in self._kept if place[:2] == (policy, partition))
        if suffix is not None:
            here, past = [place for place in here if place[2] == suffix], (suffix, after)
        else:
            here = [place for place in here if place[2] < SUFFIXES]
        return [self._kept[place][0] for place in here if (place[2], place[3]) > past][:limit]

    async def remove(self, entry: Entry) -> bool:
        await self._ready()
        if self._find(entry.address) != entry.version:
            return False
        del self._kept[_place(entry.address)]
        return True

    async def quarantine(self, entry: Entry, reason: str) -> bool:
        await self._ready()
        if self._find(entry.address) != entry.version:
            return False
        _, body = self._kept.pop(_place(entry.address))
        id_ = self._next_id()
        self._aside[id_] = Quarantined(id_, entry, reason, stamps.now()), body
        return True

    async def quarantined(self, after: int = 0, limit: int = 1000) -> list[Quarantined]:
        await self._ready()
        return [each for each, _ in self._aside.values() if each.id > after][:limit]

    async def owed(self, after: int = 0, limit: int = 1000) -> list[OwedUpdate]:
        await self._ready()
        return [each for id_, each in self._owed.items() if id_ > after][:limit]

    async def paid(self, ids: Sequence[int]) -> None:
        await self._ready()
        self._owed = {id_: each for id_, each in self._owed.items() if id_ not in ids}

    async def expired(self, before: int, after: tuple[int, str] = (0, ""), limit: int = 1000) -> list[Entry]:
        await self._ready()

        def due(entry: Entry) -> tuple[int, str]:
            return entry.version.delete_at, entry.address.hash

        found = [entry for entry, _ in self._kept.values() if entry.version.kind is Kind.DATA]
        found = [entry for entry in found if 0 < entry.version.delete_at <= before and due(entry) > after]
        return sorted(found, key=due)[:limit]

    async def space(self) -> Space:
        await self._ready()
        return Space(self._total, 0 if self.full else max(0, self._total - self._used()))

    async def reclaim(self, before: int, limit: int = 1000) -> int:
        await self._ready()

        def is_old(version: Version) -> bool:
            return version.kind is Kind.TOMBSTONE and version.stamp < before

        dead = [place for place, (entry, _) in self._kept.items() if is_old(entry.version)][:limit]
        for place in dead:
            del self._kept[place]
        aside = [id_ for id_, (each, _) in self._aside.items() if each.at < before][: limit - len(dead)]
        for id_ in aside:
            del self._aside[id_]
        return len(dead) + len(aside)

    async def sweep(self) -> int:
        await self._ready()
        return 0

    async def audit(self, after: int = 0, size: int = 64 << 20) -> Audited:
        """All at once."""
        await self._ready()
        live = [(entry, body) for entry, body in self._kept.values() if entry.version.kind is Kind.DATA]
        bad = [entry for entry, body in live if _md5(body) != entry.version.etag]
        for entry in bad:
            await self.quarantine(entry, "its MD5 is another")
        read = sum(len(body) for _, body in live)
        return Audited(0, len(live), read, tuple(entry.address for entry in bad))

    async def close(self) -> None:
        self._closed = True

    async def _ready(self, size: int = 0) -> None:
        """Also a turn of the loop, as a disk takes one; what follows it is done at once."""
        await asyncio.sleep(self.slow)
        if self.gone or self._closed:
            raise DeviceGone("The device is not there.", code="DeviceGone")
        if size and (self.full or self._used() + size > self._total):
            raise DeviceFull("The device is full.", code="DeviceFull")

    def _used(self) -> int:
        every = (*self._kept.values(), *self._pending.values(), *self._aside.values())
        return sum(len(body) for _, body in every)

    def _find(self, address: Address) -> Version | None:
        found = self._kept.get(_place(address))
        if found is None:
            return None
        if found[0].address != address:
            raise Conflict(f"Another object has the hash {address.hash}.", code="HashCollision")
        return found[0].version

    def _keep(
        self,
        address: Address,
        verdict: Verdict,
        before: Version | None,
        now: Version | None,
        body: bytes | None,
        owed: Sequence[OwedUpdate],
    ) -> Outcome:
        if now is None or now == before:
            return Outcome(verdict, before, now)
        place = _place(address)
        self._kept[place] = Entry(address, now), self._kept[place][1] if body is None else body
        ids = [self._owe(each) for each in owed] if verdict in (Verdict.DONE, Verdict.MISSING) else []
        return Outcome(verdict, before, now, tuple(ids))

    def _owe(self, update: OwedUpdate) -> int:
        id_ = self._next_id()
        self._owed[id_] = msgspec.structs.replace(update, id=id_)
        return id_

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


class FakeUpload:
    def __init__(self, device: FakeDevice, address: Address, summed: bool) -> None:
        self._device = device
        self._address = address
        self._summed = summed
        self._body = bytearray()
        self._etag: str | None = None
        self._ended = False

    @property
    def size(self) -> int:
        return len(self._body)

    async def write(self, data: bytes) -> None:
        if self._ended or self._etag is not None:
            raise RuntimeError("nothing can be written any more")
        self._body += data

    async def etag(self) -> str:
        if self._summed:
            raise RuntimeError("the caller sums it")
        self._etag = self._etag or _md5(self._body)
        return self._etag

    async def commit(
        self, version: Version, owed: Sequence[OwedUpdate] = (), *, replica: bool = False, pending: bool = False
    ) -> Outcome:
        if self._ended:
            raise RuntimeError("it has ended")
        etag = version.etag if self._summed else await self.etag()
        if version.kind is not Kind.DATA or (version.size, version.etag) != (self.size, etag):
            raise ValueError(f"{self.size} bytes with MD5 {etag} are not those of {version}")
        self._ended = True
        if pending:
            return await self._device.pend(self._address, version, bytes(self._body))
        return await self._device.store(self._address, version, bytes(self._body), owed, replica)

    async def abort(self) -> None:
        self._ended = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.abort()


class FakeReading:
    """Bodies that a disk would have in a file are read by `chunks`; there is no file."""

    def __init__(self, version: Version, body: bytes) -> None:
        self.version = version
        self.inline = body if len(body) <= INLINE else None
        self._body = body

    def file(self) -> FileSlice | None:
        return None

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        end = len(self._body) if end is None else min(end, len(self._body))
        for at in range(start, end, PIECE):
            await asyncio.sleep(0)
            yield self._body[at : min(at + PIECE, end)]

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.close()


def _place(address: Address) -> _Place:
    return address.policy, address.partition, address.suffix, address.hash


def _md5(body: bytes | bytearray) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
