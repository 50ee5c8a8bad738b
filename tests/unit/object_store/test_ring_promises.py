# SPDX-License-Identifier: Apache-2.0
"""What is promised of any ring: shares, dispersion, overload, and how little moves.

The plans of `SWIFTS` are what Swift 2.38.3 says of the same devices.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from cumulet.services.object_store.ring import plan
from cumulet.services.object_store.ring.builder import HOUR, Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.shape import Shape

POWER = 7
PLENTY = 100.0  # overload with which weights give way to dispersion

Where = tuple[int, int, int, int]  # region, zone, server, weight

UNEQUAL = [(1, 1, 1, 100)] * 2 + [(1, 2, 1, 100)] * 2 + [(1, 3, 1, 50)] * 2
REGIONS = [(1, 1, 1, 100), (1, 2, 1, 100), (2, 1, 1, 100), (2, 2, 1, 100), (2, 2, 2, 200)]
HEAVY = [(1, 1, 1, 1000), (1, 1, 2, 100), (1, 2, 1, 100), (1, 2, 2, 100)]
FEW = [(1, 1, 1, 100), (1, 2, 1, 100), (1, 2, 2, 100), (1, 2, 3, 100), (1, 2, 3, 100)]
# Replicas, overload, devices; how many replicas of a partition each has; the overload that would disperse all.
SWIFTS = [
    pytest.param(3, 0.0, UNEQUAL, [0.6, 0.6, 0.6, 0.6, 0.3, 0.3], 2 / 3, id="zones"),
    pytest.param(3, 0.1, UNEQUAL, [0.585, 0.585, 0.585, 0.585, 0.33, 0.33], 2 / 3, id="zones-tenth"),
    pytest.param(3, 1.0, UNEQUAL, [0.5] * 6, 2 / 3, id="zones-dispersed"),
    pytest.param(3, 0.0, REGIONS, [0.5, 0.5, 0.5, 0.5, 1.0], 1.0, id="regions"),
    pytest.param(3, 0.2, REGIONS, [0.5, 0.5, 0.6, 0.466667, 0.933333], 1.0, id="regions-fifth"),
    pytest.param(2.5, 0.0, [*HEAVY[1:], (1, 1, 1, 300)], [0.5, 0.5, 0.5, 1.0], 0.0, id="fraction"),
    pytest.param(3, 0.0, HEAVY, [1.0, 2 / 3, 2 / 3, 2 / 3], 0.0, id="heavy"),
    pytest.param(4, 10.0, FEW, [1.0, 1.0, 1.0, 0.5, 0.5], 0.25, id="few"),
]

places = some.tuples(
    some.integers(1, 2), some.integers(1, 3), some.integers(1, 3), some.sampled_from([50, 100, 100, 100, 300])
)
replicas_of = some.sampled_from([1, 2, 2.5, 3, 3.25, 4])


def devices(where: list[Where], first: int = 0) -> list[Device]:
    return [
        Device(id=number, region=r, zone=z, ip=f"10.{r}.{z}.{s}", port=6200, device=f"d{number}", weight=float(weight))
        for number, (r, z, s, weight) in enumerate(where, first)
    ]


def ring(where: list[Where], replicas: float, overload: float) -> Builder:
    builder = Builder(POWER, replicas, 1)
    builder.set_overload(overload)
    for each in devices(where):
        builder.add(each)
    builder.rebalance(0, seed=1)
    return builder


@pytest.mark.parametrize(("replicas", "overload", "where", "targets", "required"), SWIFTS)
def test_plans_are_swifts(replicas: float, overload: float, where: list[Where], targets: list[float], required: float):
    shape = Shape(devices(where))
    made = plan.make(shape, replicas, overload, 256, int(256 * replicas))
    planned = {device.id: target for device, target in zip(shape.devices, made.targets, strict=True)}
    assert [planned[number] for number in range(len(where))] == pytest.approx(targets, abs=1e-5)
    assert made.required == pytest.approx(required)


@settings(max_examples=60, deadline=None)
@given(where=some.lists(places, min_size=4, max_size=14), replicas=replicas_of)
def test_with_overload_enough_no_tier_has_more_than_it_must(where: list[Where], replicas: float) -> None:
    builder = ring(where, replicas, PLENTY)
    paths = {each.id: each.path for each in builder.devices.values()}
    for column in builder.table.T:
        holders = [paths[int(one)] for one in column if one >= 0]
        for level in range(4):
            above = Counter(path[:level] for path in holders)
            inside = Counter(path[: level + 1] for path in holders)
            for tier, count in above.items():
                rooms = Counter(path[: level + 1] for path in paths.values() if path[:level] == tier)
                assert max(inside[each] for each in rooms) <= fewest(list(rooms.values()), count)


def fewest(rooms: list[int], count: int) -> int:
    """The least number of replicas that the fullest of these tiers has, if `count` are spread over so many devices."""
    return next(most for most in range(count + 1) if sum(min(room, most) for room in rooms) >= count)


@settings(max_examples=60, deadline=None)
@given(
    where=some.lists(places, min_size=4, max_size=14),
    replicas=replicas_of,
    overload=some.sampled_from([0.0, 0.05, 0.2, 1.0]),
)
def test_no_device_has_more_than_its_weight_and_the_overload_give_it(
    where: list[Where], replicas: float, overload: float
) -> None:
    builder = ring(where, replicas, overload)
    shape = Shape(list(builder.devices.values()))
    shares = plan.weighted(shape, replicas) * builder.parts
    held = builder.held()
    for device, share in zip(shape.devices, shares, strict=True):
        assert held.get(device.id, 0) <= share * (1 + overload) + 2
        if not overload:
            assert abs(held.get(device.id, 0) - share) < 2


@settings(max_examples=60, deadline=None)
@given(where=some.lists(places, min_size=4, max_size=12), replicas=replicas_of, more=some.lists(places, max_size=4))
def test_no_device_gives_and_takes_in_one_rebalance_of_one_zone(
    where: list[Where], replicas: float, more: list[Where]
) -> None:
    """Where nothing has to be dispersed, what moves goes from those that have too many to those that have too few."""
    flat = [(1, 1, number, weight) for number, (*_, weight) in enumerate(where)]
    builder = ring(flat, replicas, 0.0)
    before = builder.table.copy()
    held = builder.held()
    for each in devices([(1, 1, 100 + n, weight) for n, (*_, weight) in enumerate(more)], len(where)):
        builder.add(each)
    outcome = builder.rebalance(2 * HOUR, seed=2)
    changed = before != builder.table
    assert not set(before[changed].tolist()) & set(builder.table[changed].tolist())
    after = builder.held()
    assert outcome.moved == changed.sum() == sum(max(0, after[one] - held.get(one, 0)) for one in after)


@settings(max_examples=40, deadline=None)
@given(data=some.data())
def test_a_ring_that_has_changed_comes_to_its_shares(data: some.DataObject) -> None:
    """One replica of a partition moves at a time, so after some rebalances; then nothing moves any more."""
    where = data.draw(some.lists(places, min_size=5, max_size=10))
    builder = ring(where, data.draw(some.sampled_from([2, 2.5, 3])), 0.0)
    for each in devices(data.draw(some.lists(places, max_size=4)), len(where)):
        builder.add(each)
    builder.remove(data.draw(some.integers(0, len(where) - 1)))
    now, moved = 0.0, 1
    for _ in range(8):
        now += 2 * HOUR
        moved = builder.rebalance(now, seed=1).moved
        if not moved:
            break
    shape = Shape(list(builder.devices.values()))
    shares = plan.weighted(shape, builder.replicas) * builder.parts
    held = builder.held()
    worst = max(abs(held.get(each.id, 0) - share) for each, share in zip(shape.devices, shares, strict=True))
    assert moved == 0
    assert worst <= 0.05 * builder.parts


@settings(max_examples=30, deadline=None)
@given(where=some.lists(places, min_size=5, max_size=10), replicas=some.floats(1, 4), later=some.floats(1, 4))
@example(where=[(1, 1, 1, 50)] * 5, replicas=math.nextafter(2, 0), later=1.999999)
def test_each_partition_has_a_whole_number_of_replicas_near_the_fraction(
    where: list[Where], replicas: float, later: float
) -> None:
    builder = ring(where, replicas, 0.0)
    for wanted in (replicas, later):
        builder.set_replicas(wanted)
        builder.rebalance(0, seed=1)
        counts = (builder.table >= 0).sum(axis=0)
        assert builder.replicas == pytest.approx(wanted, abs=1e-6)
        assert counts.sum() == math.floor(builder.replicas * builder.parts)
        assert set(counts.tolist()) <= {math.floor(builder.replicas), math.ceil(builder.replicas)}
        assert (np.diff(counts) <= 0).all()
