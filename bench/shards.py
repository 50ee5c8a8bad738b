# SPDX-License-Identifier: Apache-2.0
"""What a container of many objects costs, in one index and in shards: `python -m bench.shards FOLDER [OBJECTS]`.

Rows are merged and listed by the engine, on one device of this process in FOLDER, which is flushed to its disk. Times
are milliseconds of CPU, of threads too, with those of a clock on the wall in brackets.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.engine.assembly import opened
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.places import Rings, where
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.ring import builders
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key, Listing, ObjectRow, RangeState

CONTAINER = Key("AUTH_bench", "many")
FOLDERS = 1000  # that names lie in
BATCH = 1000


class Watch:
    """The CPU time, and the time, since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def say(self, words: str, times: int = 1) -> None:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        print(f"  {words}: {cpu * 1000 / times:.3f} [{wall * 1000 / times:.3f}]", flush=True)


def row(number: int) -> ObjectRow:
    name = f"folder-{number % FOLDERS:04}/object-{number:08}"
    return ObjectRow(name, stamps.now(), 1024, "application/octet-stream", f"{number:032x}")


async def fill(cluster: Cluster, objects: int) -> None:
    for start in range(0, objects, BATCH):
        rows = [row(number) for number in range(start, min(start + BATCH, objects))]
        assert await cluster.indexes.tell_container(CONTAINER, rows)


async def measure(cluster: Cluster, objects: int) -> None:
    async def listed(times: int, words: str, listing: Listing) -> None:
        watch = Watch()
        for _ in range(times):
            await cluster.list_objects(CONTAINER, listing)
        watch.say(words, times)

    async def told(number: int) -> None:
        assert await cluster.indexes.tell_container(CONTAINER, [row(number)])

    watch = Watch()
    for number in range(500):
        await told(objects + number)
    watch.say("a row, alone", 500)
    watch = Watch()
    for start in range(0, 3200, 32):
        await asyncio.gather(*(told(objects + start + each) for each in range(32)))
    watch.say("a row, of 32 at once", 3200)
    watch, marker, pages = Watch(), "", 0
    while page := (await cluster.list_objects(CONTAINER, Listing(marker=marker)))[1]:
        marker, pages = page[-1][0], pages + 1
    watch.say(f"all, in {pages} pages")
    await listed(10, "a page of 10,000", Listing(marker="folder-0500"))
    await listed(10, "the same in reverse", Listing(marker="folder-0500", reverse=True))
    await listed(200, "a page of 100", Listing(marker="folder-0500", limit=100))
    await listed(50, "a folder by prefix", Listing(prefix="folder-0700/"))
    await listed(5, f"{FOLDERS} subdirs", Listing(delimiter="/"))


async def shard(cluster: Cluster, objects: int) -> None:
    sizes = Sizes.of(objects)
    upkeep = Upkeep(cluster, Pace(sizes=sizes))
    watch, runs = Watch(), 0
    while True:
        await upkeep.sharder.run()
        runs += 1
        ranges = [each for each in await cluster.indexes.shards.merged(CONTAINER) if not each.deleted]
        if ranges and all(each.state == RangeState.ACTIVE for each in ranges):
            break
    watch.say(f"sharded into {len(ranges)}, {runs} runs, a row", objects)
    await upkeep.updater.run()


async def main(folder: Path, objects: int) -> None:
    device = Device(id=0, region=1, zone=1, ip="127.0.0.1", port=6200, device="one", weight=100.0)
    builder = Builder(4, 1, 1)
    builder.add(device)
    builder.rebalance(time.time())
    ring = Ring(builders.finished(builder))
    folder.mkdir(parents=True, exist_ok=True)
    files.make(folder, "one")
    async with opened(folder, "one") as node:
        rings = Rings(account=ring, container=ring, objects={0: ring})
        cluster = Cluster([Policy(number=0, name="Policy-0", default=True)], rings, {where(device): node})
        await cluster.put(Key(CONTAINER.account), stamps.now())
        await cluster.put(CONTAINER, stamps.now())
        print(f"{objects} rows, in batches of {BATCH}:")
        watch = Watch()
        await fill(cluster, objects)
        watch.say("a row", objects)
        print("in one index:")
        await measure(cluster, objects)
        await shard(cluster, objects)
        print("in shards:")
        await measure(cluster, objects)
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000))
