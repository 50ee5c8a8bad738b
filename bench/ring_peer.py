# SPDX-License-Identifier: Apache-2.0
"""The steps of `bench.rings` by Swift's own code. It runs in Swift's Python, which need not have Cumulet."""

from __future__ import annotations

import sys
from itertools import islice

import swift
import swift.common.utils
from swift.common.ring import Ring, RingBuilder

from bench import ring_steps as steps


def build(folder: str, power: int, replicas: int, count: int) -> None:
    record = steps.Record()
    builder = RingBuilder(power, replicas, 0)
    for number in range(count):
        builder.add_dev(steps.device(number))
    record.step(steps.FIRST, lambda: builder.rebalance(seed=1))
    record.notes["quality"] = [builder.get_balance(), builder.dispersion]
    for number in range(count, count + steps.ADDED):
        builder.add_dev(steps.device(number))
    added = record.step(steps.ADD, lambda: builder.rebalance(seed=2))
    for number in range(steps.REMOVED):
        builder.remove_dev(number)
    removed = record.step(steps.REMOVE, lambda: builder.rebalance(seed=3))
    record.notes["moved"] = [added[0], removed[0]]
    ring = builder.get_ring()
    path = folder + "/peer.ring.gz"
    record.step(steps.WRITE, lambda: ring.save(path))
    record.notes["version"] = swift.__version__
    record.print()


def look_up(folder: str, power: int, *_: int) -> None:
    swift.common.utils.HASH_PATH_PREFIX = steps.PREFIX.encode()
    swift.common.utils.HASH_PATH_SUFFIX = steps.SUFFIX.encode()
    record = steps.Record()
    ring = record.step(steps.READ, lambda: Ring(folder + "/ours.ring.gz"))
    record.lookups(
        ring.get_nodes,
        lambda part: list(islice(ring.get_more_nodes(part), 3)),
        lambda found: (found[0], [node["id"] for node in found[1]]),
        1 << power,
    )
    record.print()


if __name__ == "__main__":
    {"build": build, "look-up": look_up}[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
