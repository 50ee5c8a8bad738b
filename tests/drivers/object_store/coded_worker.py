# SPDX-License-Identifier: Apache-2.0
"""As `cluster_worker`, of a store that encodes its objects.

python coded_worker.py ROOT PLACE
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from drivers.object_store.cluster_benches import CODE, ClusterBench
from drivers.object_store.cluster_worker import NAMES, one, say


async def main(root, place):
    async with ClusterBench(4, root=Path(root), scheme=CODE) as bench:
        await bench.begin()
        upkeep = Upkeep(bench.cluster, Pace(updater=0.01, replicator=0.01, completer=0.01))
        upkeep.start()
        luck = random.Random(place)
        for turn in range(30):
            if turn == 6:
                Path(os.environ["CUMULET_FAULTS"]).write_text(f"{place}\n")
            await asyncio.gather(*(one(bench, number, luck) for number in range(NAMES)))
        await upkeep.stop()
    say(survived=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
