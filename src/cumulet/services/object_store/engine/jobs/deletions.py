# SPDX-License-Identifier: Apache-2.0
"""Objects that are to be deleted behind an answer, in hidden containers as of Swift's object-expirer.

An entry is a row without an object: it is there for good when the answer is given, and goes when its object has.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.by_policy import EveryObject
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.jobs.watching import Watch, for_each
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Info, Key, Listed, Listing, ObjectRow

LOG = logging.getLogger(__name__)

QUEUE = ".expiring_objects"
TYPE = "application/async-deleted"
WATCHED = "deletions"
PAGE = 1000
AT_ONCE = 25
DAY = 86_400
SPREAD = 100  # containers of a day

_EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
_POPPED = 2  # the offset of what takes an entry away


class Deletions:
    """The way in."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    async def later(self, names: Sequence[Name], stamp: int) -> None:
        """Have objects deleted as of `stamp`, each where its container has it; Unavailable where that is not noted."""
        if not names:
            return
        key = _queue(names[0], stamp)
        rows = [ObjectRow(_entry(each, stamp), stamp, 0, TYPE, _EMPTY, policy=0) for each in names]
        told = await self._indexes.tell_container(key, rows)
        if told is None:
            await self._make(key)
            told = await self._indexes.tell_container(key, rows)
        if not told:
            raise Unavailable("Too few devices answered.")

    async def _make(self, key: Key) -> None:
        now = stamps.now()
        try:
            await self._indexes.put(key, now, policy=0)
        except NotFound:
            await self._indexes.put(Key(key.account), now)
            await self._indexes.put(key, now, policy=0)


def wanted(info: Info) -> bool:
    """Whether it is a container of entries."""
    return info.key.account == QUEUE and bool(info.key.container) and info.exists


class Deleter:
    """For the queues on this process's devices; of several replicas the first that answers sees to it."""

    def __init__(self, places: Places, watch: Watch, objects: EveryObject, indexes: Indexes) -> None:
        self._places, self._watch, self._objects, self._indexes = places, watch, objects, indexes
        watch.want(WATCHED, wanted)

    async def run(self) -> int:
        """How many entries were done."""
        return await for_each(self._places, self._watch, WATCHED, self._queue)

    async def _queue(self, node: Node, key: Key) -> int:
        device = self._places.timed(node).indexes
        info = await device.info(key)
        if info is None or not wanted(info):
            return 0
        if info.empty:
            await self._forget(key)
            return 0
        return await self._entries(key)

    async def _entries(self, key: Key) -> int:
        after, done = "", 0
        while page := await self._page(key, after):
            after = page[-1][0]
            gone: list[ObjectRow] = []
            for at in range(0, len(page), AT_ONCE):
                batch = page[at : at + AT_ONCE]
                ended = await asyncio.gather(*(self._entry(name) for name, *_ in batch))
                gone += [
                    ObjectRow(name, stamp + _POPPED, deleted=True, policy=0)
                    for (name, stamp, *_), over in zip(batch, ended, strict=True)
                    if over
                ]
            if gone and await self._popped(key, gone):
                done += len(gone)
        return done

    async def _page(self, key: Key, after: str) -> list[Listed]:
        try:
            return (await self._indexes.list_objects(key, Listing(limit=PAGE, marker=after)))[1]
        except (NotFound, Unavailable):
            return []

    async def _popped(self, key: Key, rows: Sequence[ObjectRow]) -> bool:
        try:
            return bool(await self._indexes.tell_container(key, rows))
        except Unavailable:
            return False

    async def _entry(self, words: str) -> bool:
        """Whether the entry is over: its object is gone, or is a newer one."""
        said, _, path = words.partition("-")
        account, container, name = path.split("/", 2)
        try:
            info = await self._indexes.info(Key(account, container))
            if info is not None and info.exists:
                await self._objects.remove(Name(account, container, name, info.policy), stamps.parse(said))
        except (Unavailable, *TROUBLE) as error:
            LOG.info("object %s stays for now: %s", path, error)
            return False
        return True

    async def _forget(self, key: Key) -> None:
        """A queue of days ago."""
        if int(key.container) < clock.now() - 2 * DAY:
            with contextlib.suppress(Conflict, NotFound, Unavailable):
                await self._indexes.delete(key, stamps.now())


def _queue(name: Name, stamp: int) -> Key:
    """One of the containers of the day, by whose container it is, so that each has its own."""
    number = int.from_bytes(hashlib.sha256("/".join(name.listing).encode()).digest()[:4]) % SPREAD
    return Key(QUEUE, str(int(stamps.seconds(stamp)) // DAY * DAY + number))


def _entry(name: Name, stamp: int) -> str:
    return f"{stamps.internal(stamp)}-{name.account}/{name.container}/{name.object}"
