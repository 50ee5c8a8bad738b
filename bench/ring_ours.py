# SPDX-License-Identifier: Apache-2.0
"""The steps of `bench.rings` by our own code, in a process of its own."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from bench import ring_steps as steps
from cumulet.services.object_store.ring import files
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring, quick_md5


def build(folder: str, power: int, replicas: int, count: int) -> None:
    from cumulet.services.object_store.ring import builders
    from cumulet.services.object_store.ring.builder import Builder

    record = steps.Record()
    builder = Builder(power, replicas, 0)
    for number in range(count):
        builder.add(Device(**steps.device(number)))
    first = record.step(steps.FIRST, lambda: builder.rebalance(0, seed=1))
    record.notes["quality"] = [first.balance, first.dispersion]
    for number in range(count, count + steps.ADDED):
        builder.add(Device(**steps.device(number)))
    added = record.step(steps.ADD, lambda: builder.rebalance(1, seed=2))
    for number in range(steps.REMOVED):
        builder.remove(number)
    removed = record.step(steps.REMOVE, lambda: builder.rebalance(2, seed=3))
    record.notes["moved"] = [added.moved, removed.moved]
    record.step(steps.WRITE, lambda: files.write(Path(folder) / "ours.ring.gz", builders.finished(builder)))
    record.print()


def look_up(folder: str, power: int, *_: int) -> None:
    record = steps.Record()
    read = Path(folder) / "ours.ring.gz"
    ring = record.step(steps.READ, lambda: Ring(files.read(read), steps.PREFIX, steps.SUFFIX))
    record.lookups(
        ring.find,
        lambda part: list(islice(ring.handoffs(part), 3)),
        lambda found: (found[0], [each.id for each in found[1]]),
        1 << power,
    )
    words = [
        f"{steps.PREFIX}/AUTH_test/container/object-{number}{steps.SUFFIX}".encode() for number in range(steps.NAMES)
    ]
    md5 = quick_md5()
    record.step(steps.HASH, lambda: [md5(word).digest() for word in words])
    record.print()


if __name__ == "__main__":
    {"build": build, "look-up": look_up}[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
