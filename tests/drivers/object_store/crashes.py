# SPDX-License-Identifier: Apache-2.0
"""What must be true of a device whose process was killed, or whose power was cut."""

from __future__ import annotations

from cumulet.services.object_store.drivers.base import INLINE
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Kind, Update
from drivers.object_store import device_worker
from drivers.object_store.device_benches import content, version_of


async def check_after_a_crash(bench, lines):
    """What was acknowledged is there, what was begun wholly or not at all, nothing else; `lines`: what was said."""
    device = await bench.open()
    await device.sweep()
    assert (await device.audit()).damaged == ()
    sums = {}
    named = 0
    for number in range(device_worker.NAMES):
        where = device_worker.address(number)
        mine = [line.get("done") or line.get("begun") for line in lines if next(iter(line.values()))[0] == number]
        acknowledged = [line["done"] for line in lines if "done" in line and line["done"][0] == number]
        states = [replayed(acknowledged)]
        if mine and mine[-1] not in acknowledged:
            states.append(replayed([*acknowledged, mine[-1]]))
        found = await device.head(where)
        assert found in states
        if found is not None and found.kind is Kind.DATA:
            assert await content(device, where) == device_worker.body_of(found.size, found.stamp)
            named += found.size > INLINE
        if found is not None:
            place = (where.partition, where.suffix)
            sums[place] = sums.get(place, 0) ^ objects.digest(where.hash, found)
    kept = {(part, suffix): sum_.value for part in (0, 1) for suffix, sum_ in (await device.digests(0, part)).items()}
    assert kept == sums
    named += sum(each.entry.version.size > INLINE for each in await device.pending())
    assert len(bench.bodies()) == named, "no file without a row"


def replayed(writes):
    """What is there after these."""
    now = None
    for number, verb, stamp, size in writes:
        if verb == "post":
            now = objects.posted(now, Update(stamp=stamp, metadata={"n": str(stamp)}))[1]
        elif verb == "delete":
            now = objects.deleted(now, stamp)[1]
        else:
            body = device_worker.body_of(size, stamp)
            now = objects.stored(now, version_of(body, stamp, fragment=device_worker.fragment(number)))[1]
    return now
