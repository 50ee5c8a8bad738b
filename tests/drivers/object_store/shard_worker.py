# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a container of two replicas while it is sharded, says what it was told, and is killed.

python shard_worker.py ROOT PLACE
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.types.indexes import ObjectRow
from drivers.object_store.cluster_benches import CONTAINER, ClusterBench

SIZES = Sizes(threshold=12, rows_per_shard=6, minimum=2, shrink_threshold=2, expansion_limit=9)


def say(**words):
    os.write(1, (json.dumps(words) + "\n").encode())


async def main(root, place):
    async with ClusterBench(3, 2, root=Path(root), durable=False) as bench:
        await bench.begin()
        upkeep = Upkeep(bench.cluster, Pace(sizes=SIZES))
        luck = random.Random(place)
        Path(os.environ["CUMULET_FAULTS"]).write_text(f"{place}\n")
        for turn in range(40):
            # It grows, and then shrinks.
            gone = luck.random() < (0.1 if turn < 15 else 0.9)
            rows = [(f"{luck.randrange(60):02}", bench.stamp(), gone) for _ in range(6)]
            say(begun=rows)
            told = await bench.cluster.indexes.tell_container(
                CONTAINER, [ObjectRow(n, s, deleted=d) for n, s, d in rows]
            )
            assert told
            say(done=rows)
            for work in (upkeep.updater, upkeep.sharder, upkeep.index_replicator):
                await work.run()
    say(survived=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
