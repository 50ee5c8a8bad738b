# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers on all of their replicas."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar, cast

import msgspec

from cumulet.kernel.errors import Conflict, CumuletError, NotFound
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import TROUBLE, Answer, Asker, settled
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.limits import within
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.engine.recent import Recent
from cumulet.services.object_store.engine.sharding.listing import ShardListing, View
from cumulet.services.object_store.engine.sharding.names import shard_of
from cumulet.services.object_store.engine.sharding.shards import Shards
from cumulet.services.object_store.engine.sharding.table import Table
from cumulet.services.object_store.types import merges, stamps
from cumulet.services.object_store.types.indexes import (
    LISTED_RANGES,
    UNSHARDED,
    ContainerRow,
    Info,
    Key,
    Listed,
    ListedContainer,
    Listing,
    MetadataLimits,
    ObjectRow,
    Placed,
)

T = TypeVar("T")
Listed_ = tuple[Info, list[T]]

TRIES = 3  # with shards that take no rows any more


class Indexes:
    """As the verbs of `Engine` of the same names. `default` is the policy of containers that ask for none.

    Rows go to the shard that takes their names. Whoever knows no better, or meets a shard that takes none any more,
    leaves them with the root, where they are listed, too.
    """

    def __init__(self, places: Places, asker: Asker, recent: Recent, default: int) -> None:
        self._places = places
        self._asker = asker
        self._recent = recent
        self._default = default
        self.shards = Shards(places, asker)

    async def info(self, key: Key, *, newest: bool = False) -> Info | None:
        if not key.account:
            return None  # a path may lack it
        if not newest:
            known = self._recent.get(key)
            if known is not None:
                return known
        begun = self._recent.begin(key)
        info = None
        try:
            info = await (self._newest(key) if newest else self._first(key))
        finally:
            self._recent.end(key, begun, info)
        return info

    def forget(self, key: Key) -> None:
        """What was known of it a moment ago is not so any more."""
        self._recent.drop(key)

    async def put(
        self,
        key: Key,
        stamp: int,
        *,
        policy: int | None = None,
        metadata: Mapping[str, str] | None = None,
        limits: MetadataLimits | None = None,
    ) -> Placed:
        async def verb(node: Node) -> Placed:
            return await node.indexes.put(
                key, stamp, policy=policy, default_policy=self._default, metadata=metadata, limits=limits
            )

        spot = self._places.index(key)
        placed = [each.value for each in await self._write(key, spot, verb, handoffs=True) if each.value is not None]
        # Replicas that missed what was there before call it new, and may have given it another policy.
        known = next((each for each in placed if not each.created), placed[0])
        if key.container:
            counted = stamps.now() if known.created else 0
            row = ContainerRow(key.container, put=stamp, policy=known.policy, counted=counted)
            if await self.tell_account(key.account, row) is None:
                raise NotFound("There is no such account.", code="NoAccount")
        return known

    async def delete(self, key: Key, stamp: int) -> bool:
        policy = 0
        if key.container:
            known = await self.info(key, newest=True)
            policy = known.policy if known else 0
            if known is not None and known.sharding != UNSHARDED and known.root:
                await self._check_shards(key)
        spot = self._places.index(key)
        answers = await self._write(
            key, spot, lambda node: self._knowing(key, node, lambda device: device.delete(key, stamp))
        )
        if key.container:
            row = ContainerRow(key.container, deleted=stamp, policy=policy, counted=stamps.now())
            await self.tell_account(key.account, row)
        return any(each.value for each in answers)

    async def set_metadata(
        self, key: Key, stamp: int, metadata: Mapping[str, str], limits: MetadataLimits | None = None
    ) -> None:
        spot = self._places.index(key)

        async def describe(device: IndexDevice) -> None:
            await device.set_metadata(key, stamp, metadata, limits)

        await self._write(key, spot, lambda node: self._knowing(key, node, describe))

    async def list_objects(self, key: Key, listing: Listing, *, newest: bool = False) -> Listed_[Listed]:
        info, listed, view = await self._look(key, listing, newest)
        if view is None:
            return info, listed

        async def again() -> View:
            info, _, view = await self._look(key, Listing(limit=0), newest)
            return view or View(key, info.bare, Table([]))

        reader = _Reader(self._list, newest)
        return info, await ShardListing(reader, again, view, listing, info.policy).all()

    async def list_containers(self, key: Key, listing: Listing, *, newest: bool = False) -> Listed_[ListedContainer]:
        return await self._list(key, lambda device: device.list_containers(key, listing), newest)

    async def tell_container(self, key: Key, rows: Sequence[ObjectRow]) -> bool | None:
        """Whether quorums of the shards that take `rows` have them; None where those that answer know no container."""
        try:
            info = await self.info(key)
        except Unavailable:
            info = None
        left, well = rows, True
        if info is not None and info.sharding != UNSHARDED and info.root:
            for attempt in range(TRIES):
                left, done = await self._tell_shards(key, left, fresh=attempt > 0)
                well = well and done
                if not left:
                    return well
        told = await self.tell_index(key, left)
        return told and well

    async def _tell_shards(self, key: Key, rows: Sequence[ObjectRow], fresh: bool) -> tuple[list[ObjectRow], bool]:
        """The rows that no shard takes, and whether quorums have the others."""
        table = await self.shards.recent(key, fresh=fresh)
        by_shard: dict[Key | None, list[ObjectRow]] = {}
        for row in rows:
            by_shard.setdefault(table.at(row.name).target, []).append(row)
        left, well = by_shard.pop(None, []), True
        for shard, some in by_shard.items():
            if shard is None:
                continue
            told = await self.tell_index(shard, some)
            if told is None:
                left += some
            elif not told:
                well = False
        return left, well

    async def tell_index(self, key: Key, rows: Sequence[ObjectRow]) -> bool | None:
        """Whether a quorum of its replicas has `rows`; None where those that answer do not take them."""

        async def merge(device: IndexDevice) -> int:
            return await device.merge_objects(key, rows)

        return await self._tell(key, merge)

    async def tell_account(self, account: str, row: ContainerRow, *, news: bool = False) -> bool | None:
        """As `tell_container`, of an account. `news`: False, too, where a quorum knew what was counted later."""
        key = Key(account)
        learned = 0

        async def merge(device: IndexDevice) -> int:
            nonlocal learned
            found = await device.merge_containers(key, [row])
            learned += found > 0
            return found

        try:
            told = await self._tell(key, merge)
        finally:
            self._recent.drop(key)
        return told and (not news or learned >= self._places.index(key).quorum)

    async def _tell(self, key: Key, merge: Callable[[IndexDevice], Awaitable[int]]) -> bool | None:
        """Whether a quorum knows; None where there is no such index, or one that is fenced."""
        spot = self._places.index(key)
        limit = self._asker.patience.listing
        answers = await self._asker.each(
            spot.primaries, lambda node: self._knowing(key, node, merge), enough=spot.quorum, limit=limit
        )
        if sum(each.error is None for each in answers) >= spot.quorum:
            return True
        told = [each.error for each in answers if not each.trouble]
        if any(isinstance(error, Conflict) and error.code == "Moved" for error in told):
            return None
        return None if told and all(isinstance(error, NotFound) for error in told) else False

    async def _look(self, key: Key, listing: Listing, newest: bool) -> tuple[Info, list[Listed], View | None]:
        """What a replica lists, and which ranges it knows of; none where it has no shards."""

        async def look(device: IndexDevice) -> tuple[Info, list[Listed], View | None]:
            info, listed = await device.list_objects(key, listing)
            if info.sharding == UNSHARDED or not info.root:
                return info, listed, None
            return info, listed, View(key, info.bare, await self.shards.of(device, info))

        return await self._list(key, look, newest)

    async def _check_shards(self, key: Key) -> None:
        """Conflict where one of them has objects; else the root is told that they have none."""
        fresh, told = [], []
        for each in await self.shards.merged(key):
            if each.deleted or each.state not in LISTED_RANGES:
                continue
            shard = shard_of(each)
            found = await self._all(shard)
            if sum(not info.empty for _, info in found) > len(found) - self._places.index(shard).quorum:
                raise Conflict("The container is not empty.", code="NotEmpty")
            if each.objects:
                fresh.append(msgspec.structs.replace(each, objects=0, bytes=0, meta_stamp=stamps.now()))
                told += found
        if fresh:
            await self.shards.save(key, fresh, counts=True)
        for node, info in told:
            with contextlib.suppress(*TROUBLE, NotFound):
                await node.indexes.reported(info.key, info.report(0))

    async def _knowing(self, key: Key, node: Node, work: Callable[[IndexDevice], Awaitable[T]]) -> T:
        """A replica that has missed the index, or that it was made anew, is told what others know of it first."""
        device = node.indexes
        try:
            return await work(device)
        except NotFound:
            own, known = await device.info(key), await self._newest(key, hasty=True)
            if known is None or (own is not None and merges.merged_state(own.state, known.state) == own.state):
                raise
            await device.merge_state(key, known.state)
            return await work(device)

    async def _write(
        self, key: Key, spot: Spot, verb: Callable[[Node], Awaitable[T]], *, handoffs: bool = False
    ) -> list[Answer[T]]:
        spares = self._places.spares(spot) if handoffs else None
        try:
            answers = await self._asker.each(spot.primaries, verb, spares=spares, enough=spot.quorum)
        finally:
            self._recent.drop(key)
        done = settled(answers, spot.quorum)
        for each in answers:
            if each.node is not None and each.error is not None and not each.trouble:
                await self._complete(key, each.node)
        return done

    async def _complete(self, key: Key, node: Node) -> None:
        """Before the answer: it refused what the others did, as it knew of something that they had not heard of."""
        try:
            known = await self._newest(key, hasty=True)
            if known is not None:
                await within(self._asker.patience.stragglers, node.indexes.merge_state(key, known.state))
        except (*TROUBLE, CumuletError):
            self._asker.missed(node)

    async def _first(self, key: Key) -> Info | None:
        """What the first replica says that has it; a replica that does not know it, or of its deletion, is not alone
        believed."""
        spot = self._places.index(key)
        for node in spot.primaries:
            answer = await self._asker.one(node, lambda node: node.indexes.info(key))
            if answer.value is not None and answer.value.exists:
                return answer.value
            if not answer.trouble:
                break
        return await self._newest(key)

    async def _newest(self, key: Key, *, hasty: bool = False) -> Info | None:
        found = await self._all(key, hasty=hasty)
        return _merged([info for _, info in found])

    async def _all(self, key: Key, *, hasty: bool = False) -> list[tuple[Node, Info]]:
        """What every replica at hand knows; Unavailable where nobody knows it and too few answered.

        `hasty`: stragglers behind a quorum are waited for only a little, as the caller's own time is short.
        """
        spot = self._places.index(key)

        async def verb(node: Node) -> Info | None:
            return await node.indexes.info(key)

        answers = await self._asker.each(spot.primaries, verb, enough=spot.quorum if hasty else 0)
        for each in answers:
            if each.error is not None and not each.trouble:
                raise each.error
        answered = sum(each.error is None for each in answers)
        found = [(each.node, each.value) for each in answers if each.node is not None and each.value is not None]
        if answered < len(answers):
            spares = list(self._places.spares(spot))
            more = await self._asker.each(spares, verb)
            found += [(each.node, each.value) for each in more if each.node is not None and each.value is not None]
        if not found and answered < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return found

    async def _list(self, key: Key, verb: Callable[[IndexDevice], Awaitable[T]], newest: bool) -> T:
        if not newest:
            for node in self._places.index(key).primaries:
                answer = await self._asker.one(node, lambda node: verb(node.indexes))
                if answer.value is not None:
                    return answer.value
                if isinstance(answer.error, NotFound):
                    break  # it may have missed that it was made
                if answer.error is not None and not answer.trouble:
                    raise answer.error
        found = await self._all(key)
        for node, _ in sorted(found, key=lambda each: _age(each[1]), reverse=True):
            answer = await self._asker.one(node, lambda node: verb(node.indexes))
            if answer.value is not None:
                return answer.value
            if answer.error is not None and not answer.trouble:
                raise answer.error
        if found:
            raise Unavailable("Too few devices answered.")
        raise NotFound("There is no such index.")


class _Reader:
    """Single indexes, for `ShardListing`."""

    def __init__(
        self, read: Callable[[Key, Callable[[IndexDevice], Awaitable[Any]], bool], Awaitable[Any]], newest: bool
    ) -> None:
        self._read = read
        self._newest = newest

    async def page(self, key: Key, listing: Listing) -> Listed_[Listed] | None:
        return await self._found(key, lambda device: device.list_objects(key, listing))

    async def rows(self, key: Key, lower: str, upper: str, limit: int, reverse: bool) -> Listed_[ObjectRow] | None:
        return await self._found(key, lambda device: device.named_rows(key, lower, upper, limit, reverse=reverse))

    async def _found(self, key: Key, verb: Callable[[IndexDevice], Awaitable[Listed_[T]]]) -> Listed_[T] | None:
        try:
            return cast(Listed_[T], await self._read(key, verb, self._newest))
        except NotFound:
            return None


def _age(info: Info) -> tuple[int, int]:
    state = info.state
    return max(state.put, state.deleted), max((stamp for _, stamp in state.metadata.values()), default=0)


def _merged(infos: Sequence[Info]) -> Info | None:
    """The newest, of equal ones the first, with what the others know of its state."""
    if len(infos) < 2:
        return infos[0] if infos else None
    state = reduce(merges.merged_state, [each.state for each in infos])
    return msgspec.structs.replace(max(infos, key=_age), state=state)
