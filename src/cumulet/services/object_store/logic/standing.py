# SPDX-License-Identifier: Apache-2.0
"""A store at work in this process: devices, rings that may be replaced meanwhile, and the engine over both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.coder import coder_for
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.places import Node, Rings, Where
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.logic import home as homes
from cumulet.services.object_store.logic.disks import Disks
from cumulet.services.object_store.logic.home import Home, ring_name
from cumulet.services.object_store.logic.ring_files import RingFiles
from cumulet.services.object_store.ring.ring import Ring
from cumulet.settings.object_store import ObjectSharding, ObjectStore

LOG = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two looks at the rings' files and at devices that were not at hand

ACCOUNT, CONTAINER = "account", "container"


class Reach(Protocol):
    """Devices beyond this process (`logic.reach`). `nodes` are those, and what this process opens itself."""

    nodes: dict[Where, Node]

    def follow(self, home: Home, rings: Iterable[Ring]) -> None:
        """Have in `nodes` the devices of other processes that these rings name, and no others."""


class Alone:
    """Nobody else has devices."""

    def __init__(self) -> None:
        self.nodes: dict[Where, Node] = {}

    def follow(self, home: Home, rings: Iterable[Ring]) -> None:
        """There is nothing to reach."""


class Standing:
    """Made by `open`, on the event loop that it is used on."""

    def __init__(
        self, home: Home, files: RingFiles, disks: Disks, rings: Mapping[str, Ring], reach: Reach, pace: Pace
    ) -> None:
        self.home = home
        self._files, self._disks, self._reach = files, disks, reach
        reach.follow(home, rings.values())
        self.engine = Cluster(home.policies, _rings(home, rings), reach.nodes)
        self.upkeep = Upkeep(self.engine, pace)
        self.upkeep.start()
        self._watching = asyncio.ensure_future(self._watch())

    @classmethod
    async def open(
        cls, folder: Path, settings: ObjectStore, reach: Reach | None = None, *, joined: bool = False, worker: int = 0
    ) -> Standing:
        """Make what is missing and open it, as worker number `worker`.

        Raises OSError, Invalid for files that are not what they should be, and NotReady where a host that has `joined`
        waits for its secret or its rings.
        """
        home = await asyncio.to_thread(homes.prepare, folder, settings, joined=joined)
        reach = reach or Alone()
        files = RingFiles(home.rings, home.ring_names, (home.address, home.port))
        rings = await asyncio.to_thread(files.read)
        for policy in home.policies:
            _check_scheme(policy, rings[ring_name(policy.number)])
        durable, reserve = settings.durable, settings.reserve
        disks = Disks(home, reach.nodes, durable=durable, reserve=reserve, worker=worker, workers=settings.workers)
        await disks.open_missing()
        return cls(home, files, disks, rings, reach, pace_of(settings))

    async def close(self) -> None:
        """Let go of everything; requests have ended."""
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await self.upkeep.stop()
        await self.engine.close()
        await self._disks.close()

    async def look(self) -> None:
        """Take over rings that were replaced and devices that have come, let go of those that fail."""
        changed = await asyncio.to_thread(self._files.changed)
        if changed:
            rings = _exchanged(self.engine.places.rings, changed)
            self._reach.follow(self.home, [rings.account, rings.container, *rings.objects.values()])
            self.engine.places.take(rings)
        await self._disks.look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.look()
            except Exception:
                LOG.exception("the rings and devices could not be looked at")


def pace_of(settings: ObjectStore) -> Pace:
    """How often upkeep is done."""
    said = settings.upkeep
    return Pace(
        reaper=said.reaper_interval,
        reconciler=said.reconciler_interval,
        replicator=said.replicator_interval,
        reclaim_age=said.reclaim_age,
        delay_reaping=said.delay_reaping,
        reap_warn_after=said.reap_warn_after,
        sharder=settings.sharding.interval,
        sizes=sizes_of(settings.sharding),
    )


def sizes_of(said: ObjectSharding) -> Sizes:
    """Of shards; what is not told is as Swift has it."""
    usual = Sizes.of(said.shard_container_threshold, auto=said.auto_shard)
    rows = said.rows_per_shard or usual.rows_per_shard
    return msgspec.structs.replace(
        usual,
        rows_per_shard=rows,
        minimum=said.minimum_shard_size or max(rows // 5, 1),
        shrink_threshold=said.shrink_threshold or usual.shrink_threshold,
        expansion_limit=said.expansion_limit or usual.expansion_limit,
    )


def _check_scheme(policy: Policy, ring: Ring) -> None:
    """Invalid for a ring without a place for each fragment, and for a code that this machine does not have."""
    scheme = policy.scheme
    if scheme is None:
        return
    if ring.replicas != scheme.replicas:
        raise Invalid(
            f"Policy {policy.name} has {scheme.replicas} fragments of each object, and its ring has places for"
            f" {ring.replicas:g}."
        )
    coder_for(scheme)


def _rings(home: Home, found: Mapping[str, Ring]) -> Rings:
    return Rings(
        account=found[ACCOUNT],
        container=found[CONTAINER],
        objects={each.number: found[ring_name(each.number)] for each in home.policies},
        prefix=home.secret.prefix,
        suffix=home.secret.suffix,
    )


def _exchanged(rings: Rings, changed: Mapping[str, Ring]) -> Rings:
    return msgspec.structs.replace(
        rings,
        account=changed.get(ACCOUNT, rings.account),
        container=changed.get(CONTAINER, rings.container),
        objects={number: changed.get(ring_name(number), ring) for number, ring in rings.objects.items()},
    )
