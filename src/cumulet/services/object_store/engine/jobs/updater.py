# SPDX-License-Identifier: Apache-2.0
"""Brings what devices owe: rows of objects to containers, and counts of containers to accounts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.base import ObjectDevice
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine import rows
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.sharding.names import is_shard, root_of, shard_of
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import ContainerRow, Key
from cumulet.services.object_store.types.objects import OwedUpdate

PAGE = 1000


class Updater:
    """For the devices of this process. What cannot be brought stays, and is tried again with the next run.

    A row for a container that nobody knows is forgotten when it is `keep` seconds old. `left` are the rows that the
    last run could not bring.
    """

    def __init__(self, places: Places, indexes: Indexes, keep: float) -> None:
        self._places = places
        self._indexes = indexes
        self._keep = keep
        self._counted = 0
        self.left = 0

    async def run(self) -> int:
        """How many updates were brought."""
        done = left = 0
        for node in self._places.local():
            try:
                brought, waiting = await self._rows(self._places.timed(node).objects)
                done, left = done + brought, left + waiting
                done += await self._reports(node)
            except TROUBLE:
                continue
        self.left = left
        return done

    async def _rows(self, device: ObjectDevice) -> tuple[int, int]:
        """How many were brought, and how many were not."""
        done = left = after = 0
        while page := await device.owed(after, PAGE):
            after = page[-1].id
            by_container: dict[Key, list[OwedUpdate]] = {}
            for each in page:
                by_container.setdefault(Key(each.account, each.container), []).append(each)
            brought: list[int] = []
            for key, updates in by_container.items():
                brought += await self._bring(key, updates)
            if brought:
                await device.paid(brought)
            done += len(brought)
            left += len(page) - len(brought)
        return done, left

    async def _bring(self, key: Key, updates: Sequence[OwedUpdate]) -> list[int]:
        """The ids of those that are not owed any more."""
        try:
            told = await self._indexes.tell_container(key, [rows.told(each) for each in updates])
        except Unavailable:
            return []
        if told:
            return [each.id for each in updates]
        if told is None:
            before = stamps.now() - stamps.stamp(self._keep)
            return [each.id for each in updates if each.stamp < before]
        return []

    async def _shards(self, node: Node, found: Sequence[tuple[Key, ContainerRow]]) -> int:
        """Tell roots what their shards have. A handoff knows too little."""
        device = self._places.timed(node).indexes
        by_root: dict[Key | None, list[tuple[Key, ContainerRow]]] = {}
        for key, row in found:
            if node not in self._places.index(key).primaries:
                continue
            info = await device.info(key)
            by_root.setdefault(root_of(info) if info else None, []).append((key, row))
        done = 0
        for root, some in by_root.items():
            try:
                if root is not None:
                    await self._tell_root(root, dict(some))
            except (Unavailable, NotFound):
                continue
            for key, row in some:
                await _note(device, key, row)
            done += len(some)
        return done

    async def _tell_root(self, root: Key, found: Mapping[Key, ContainerRow]) -> None:
        now, news = stamps.now(), []
        for each in await self._indexes.shards.merged(root):
            row = found.get(shard_of(each))
            if row is not None and not each.deleted:
                news.append(msgspec.structs.replace(each, objects=row.objects, bytes=row.bytes, meta_stamp=now))
        if news:
            await self._indexes.shards.save(root, news, counts=True)

    async def _reports(self, node: Node) -> int:
        device = self._places.timed(node).indexes
        done = after = 0
        while page := await device.owed(PAGE, after):
            after = page[-1][0]
            done += await self._shards(node, [(key, row) for _, key, row in page if is_shard(key)])
            mine = [(key, row) for _, key, row in page if not is_shard(key)]
            # Some replica of the account may hear what nobody else does: from now on it is not known what was told.
            await asyncio.gather(*(_note(device, key, ContainerRow(key.container)) for key, _ in mine))
            for key, row in mine:
                self._counted = max(stamps.now(), self._counted) + 1
                counted = msgspec.structs.replace(row, counted=self._counted)
                try:
                    # Where a clock that is ahead has counted, this one has to come that far first.
                    told = await self._indexes.tell_account(key.account, counted, news=True)
                except Unavailable:
                    continue
                if told:
                    await _note(device, key, row)
                    done += 1
        return done


async def _note(device: IndexDevice, key: Key, row: ContainerRow) -> None:
    """What the account was told, unless the index was handed back or forgotten meanwhile."""
    with contextlib.suppress(NotFound):
        await device.reported(key, row)
