# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a store of two devices, says what it begins and what it was told, and is killed at a place.

    python cluster_worker.py ROOT PLACE

The wish for the place is made when the store has some history.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.types.objects import Update, Verdict
from drivers.object_store.cluster_benches import ClusterBench, body_of

NAMES = 4
SIZES = [0, 100, 65536, 65537, 700_000]


def say(**words):
    os.write(1, (json.dumps(words) + "\n").encode())


async def one(bench, number, luck):
    verb, size, stamp = luck.choice(["put", "put", "post", "delete"]), luck.choice(SIZES), bench.stamp()
    line = [number, verb, stamp, size]
    say(begun=line)
    name = f"o{number}"
    if verb == "put":
        outcome = await bench.put(name, body_of(size), stamp)
    elif verb == "post":
        outcome = await bench.cluster.post(Name("a", "c", name), Update(stamp=stamp, metadata={"n": str(stamp)}))
    else:
        outcome = await bench.cluster.remove(Name("a", "c", name), stamp)
    assert outcome.verdict in (Verdict.DONE, Verdict.MISSING), outcome
    say(done=line)


async def main(root, place):
    async with ClusterBench(2, 2, root=Path(root)) as bench:
        await bench.begin()
        upkeep = Upkeep(bench.cluster, Pace(updater=0.01, replicator=0.01))
        upkeep.start()
        luck = random.Random(place)
        for turn in range(40):
            if turn == 10:
                Path(os.environ["CUMULET_FAULTS"]).write_text(f"{place}\n")
            await asyncio.gather(*(one(bench, number, luck) for number in range(NAMES)))
        await upkeep.stop()
    say(survived=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
