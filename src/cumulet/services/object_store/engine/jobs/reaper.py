# SPDX-License-Identifier: Apache-2.0
"""Deletes what is in accounts that were deleted: objects, then their containers. The account is then forgotten in time.

Nothing is noted on the way: what is left is found again by the next run.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.by_policy import EveryObject
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.jobs.watching import Watch, for_each
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import ContainerRow, Info, Key, Listing
from cumulet.services.object_store.types.objects import Verdict

LOG = logging.getLogger(__name__)

WATCHED = "deleted accounts"
PAGE = 1000
AT_ONCE = 25  # objects


def wanted(info: Info) -> bool:
    """Whether it is an account that was deleted and has something in it."""
    return not info.key.container and info.state.deleted > 0 and not info.empty


class Reaper:
    """For the accounts of this process's devices; of several replicas the first that answers sees to it.

    An account is touched `delay` seconds after its deletion; one that is not empty `warn` seconds later is told of.
    """

    def __init__(
        self, places: Places, watch: Watch, objects: EveryObject, indexes: Indexes, delay: float, warn: float
    ) -> None:
        self._places, self._watch, self._objects, self._indexes = places, watch, objects, indexes
        self._delay, self._warn = delay, warn
        watch.want(WATCHED, wanted)

    async def run(self) -> int:
        """How many objects and containers were deleted."""
        return await for_each(self._places, self._watch, WATCHED, self._account)

    async def _account(self, node: Node, key: Key) -> int:
        device = self._places.timed(node).indexes
        info = await device.info(key)
        if info is None or not wanted(info):
            return 0
        since = stamps.seconds(info.state.deleted)
        if clock.now() - since <= self._delay:
            return 0
        LOG.info("account %s was deleted: a pass begins", key.account)
        done, after, left = 0, 0, False
        while page := await device.container_rows(key, after, PAGE):
            after = page[-1][0]
            for _, row in page:
                if row.gone:
                    continue
                try:
                    done += await self._container(Key(key.account, row.name))
                except (Unavailable, Conflict) as error:
                    left = True
                    LOG.info("container %s of the deleted account %s stays for now: %s", row.name, key.account, error)
        if left and clock.now() - since >= self._delay + self._warn:
            begun = datetime.fromtimestamp(since, UTC).isoformat()
            LOG.warning("account %s has not been reaped since %s", key.account, begun)
        return done

    async def _container(self, key: Key) -> int:
        """Conflict (`NotEmpty`) where not all of its objects could be deleted."""
        info = await self._indexes.info(key, newest=True)
        done = 0
        for policy in sorted(info.counts) if info is not None else ():
            done += await self._policy(key, policy)
        try:
            done += await self._indexes.delete(key, stamps.now())
        except NotFound:
            # Its account alone knows of it.
            row = ContainerRow(key.container, deleted=stamps.now(), counted=stamps.now())
            await self._indexes.tell_account(key.account, row)
        return done

    async def _policy(self, key: Key, policy: int) -> int:
        done, marker = 0, ""
        while True:
            asked = Listing(limit=PAGE, marker=marker, policy=policy, reserved=True)
            try:
                _, found = await self._indexes.list_objects(key, asked)
            except NotFound:
                return done
            if not found:
                return done
            marker = found[-1][0]
            for at in range(0, len(found), AT_ONCE):
                names = [Name(key.account, key.container, each[0], policy) for each in found[at : at + AT_ONCE]]
                outcomes = await asyncio.gather(*(self._remove(name) for name in names))
                done += sum(outcomes)

    async def _remove(self, name: Name) -> bool:
        try:
            outcome = await self._objects.remove(name, stamps.now())
        except (Unavailable, *TROUBLE):
            return False  # its container is not empty then
        return outcome.verdict is Verdict.DONE
