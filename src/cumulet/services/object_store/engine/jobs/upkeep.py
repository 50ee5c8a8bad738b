# SPDX-License-Identifier: Apache-2.0
"""What is done beside requests, again and again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from cumulet.kernel import clock
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.coded.rebuilding import Completer
from cumulet.services.object_store.engine.coded.replicator import CodedReplicator
from cumulet.services.object_store.engine.jobs.deletions import Deleter
from cumulet.services.object_store.engine.jobs.expirer import Expirer
from cumulet.services.object_store.engine.jobs.index_replicator import IndexReplicator
from cumulet.services.object_store.engine.jobs.reaper import Reaper
from cumulet.services.object_store.engine.jobs.reconciler import Reconciler
from cumulet.services.object_store.engine.jobs.replicator import Replicator
from cumulet.services.object_store.engine.jobs.tidying import Auditor, Reclaimer
from cumulet.services.object_store.engine.jobs.updater import Updater
from cumulet.services.object_store.engine.jobs.watching import Watch
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.engine.sharding.sharder import Sharder

LOG = logging.getLogger(__name__)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between the end of a run and the next.

    What was deleted `reclaim_age` seconds ago is forgotten; what is in an account is deleted `delay_reaping` seconds
    after it, which is told of where it has not come to its end `reap_warn_after` seconds later. An audit reads
    `audit_size` bytes in a run, and begins anew with a device after `audit_every` seconds. `sizes` are those of shards.
    """

    updater: float = 5.0
    expirer: float = 60.0
    sharder: float = 30.0
    replicator: float = 30.0
    completer: float = 30.0
    auditor: float = 30.0
    reclaimer: float = 21_600.0
    reaper: float = 3600.0
    reconciler: float = 30.0
    deleter: float = 10.0
    delay_reaping: float = 0.0
    reap_warn_after: float = 2_592_000.0
    reclaim_age: float = 604_800.0
    audit_size: int = 64 << 20
    audit_every: float = 604_800.0
    sizes: Sizes = Sizes()


class Job(NamedTuple):
    """Its first run is at the start where it is `at_once`, else when `interval` has passed."""

    name: str
    interval: float
    run: Callable[[], Awaitable[int]]
    at_once: bool = False


class Run(NamedTuple):
    """When the last run of a job ended (seconds since 1970), how long it took, what it returned, how many failed."""

    ended: float | None
    seconds: float | None
    done: int
    failed: int


class Upkeep:
    """For the devices of this process, between `start` and `stop`. A run that fails is logged, and repeated."""

    def __init__(
        self, cluster: Cluster, pace: Pace | None = None, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        pace = pace or Pace()
        places = cluster.places
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []
        self.watch = Watch()
        self.runs: dict[str, Run] = {}
        self.updater = Updater(places, cluster.indexes, pace.reclaim_age)
        self.expirer = Expirer(places, cluster.objects)
        self.completer = None
        coded = None
        if cluster.rebuilder is not None:
            cluster.rebuilder.age = pace.reclaim_age
            self.completer = Completer(places, cluster.rebuilder)
            coded = CodedReplicator(places, cluster.rebuilder)
        self.replicator = Replicator(places, cluster.asker, coded)
        self.index_replicator = IndexReplicator(places, cluster.asker.behind)
        self.auditor = Auditor(places, cluster.mender, pace.audit_size, pace.audit_every)
        self.reclaimer = Reclaimer(places, pace.reclaim_age)
        objects, indexes = cluster.objects, cluster.indexes
        self.reaper = Reaper(places, self.watch, objects, indexes, pace.delay_reaping, pace.reap_warn_after)
        self.deleter = Deleter(places, self.watch, objects, indexes)
        self.reconciler = Reconciler(places, self.watch, objects, indexes, pace.reclaim_age)
        self.sharder = Sharder(places, cluster.asker, indexes, pace.sizes, pace.reclaim_age)
        self.jobs: tuple[Job, ...] = (
            Job("updater", pace.updater, self.updater.run, at_once=True),
            Job("expirer", pace.expirer, self.expirer.run),
            Job("sharder", pace.sharder, self.sharder.run),
            Job("index replicator", pace.replicator, self.index_replicator.run),
            Job("replicator", pace.replicator, self.replicator.run),
            Job("auditor", pace.auditor, self.auditor.run),
            Job("reclaimer", pace.reclaimer, self.reclaimer.run),
            Job("deleter", pace.deleter, self.deleter.run, at_once=True),
            Job("reaper", pace.reaper, self.reaper.run),
            Job("reconciler", pace.reconciler, self.reconciler.run),
        )
        if self.completer is not None:
            self.jobs += (Job("completer", pace.completer, self.completer.run, at_once=True),)

    def start(self) -> None:
        for job in self.jobs:
            self.also(job)

    def also(self, job: Job) -> None:
        """Do this, too, until the end."""
        self._tasks.append(asyncio.create_task(self._repeat(job), name=job.name))

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, job: Job) -> None:
        if not job.at_once:
            await self._sleep(job.interval)
        failed = 0
        while True:
            began, done = time.monotonic(), 0
            try:
                done = await job.run()
                if done:
                    LOG.debug("%s: %d", job.name, done)
            except Exception:
                failed += 1
                LOG.exception("%s: a run failed", job.name)
            self.runs[job.name] = Run(clock.now(), time.monotonic() - began, done, failed)
            await self._sleep(job.interval)
