# SPDX-License-Identifier: Apache-2.0
"""Rings: every replica has a place, those of one partition are apart, each device has its share, little moves."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.ring.builder import HOUR, Builder
from cumulet.services.object_store.ring.devices import Device

HOURS = 24


def device(number: int, region: int = 1, zone: int = 1, server: int = 1, weight: float = 100.0) -> Device:
    return Device(
        id=number,
        region=region,
        zone=zone,
        ip=f"10.{region}.{zone}.{server}",
        port=6200,
        device=f"d{number}",
        weight=weight,
    )


def ring(devices: list[Device], power: int = 8, replicas: float = 3, overload: float = 0.0) -> Builder:
    builder = Builder(power, replicas, HOURS)
    builder.set_overload(overload)
    for each in devices:
        builder.add(each)
    return builder


def spread(zones: int, servers: int, disks: int, **more: float) -> list[Device]:
    """So many zones of so many servers with so many disks."""
    places = [(zone, server) for zone in range(zones) for server in range(servers) for _ in range(disks)]
    return [device(number, zone=zone, server=server, **more) for number, (zone, server) in enumerate(places)]


def together(builder: Builder, key) -> int:
    """The most replicas of one partition in one tier."""
    keys = {each.id: key(each) for each in builder.devices.values()}
    return max(max(map([keys[one] for one in ids].count, {keys[one] for one in ids})) for ids in columns(builder))


def columns(builder: Builder) -> list[list[int]]:
    return [[int(one) for one in column if one >= 0] for column in builder.table.T]


def test_replicas_are_in_different_zones_and_devices_have_equal_shares() -> None:
    builder = ring(spread(4, 2, 3))
    outcome = builder.rebalance(0, seed=1)
    assert outcome.moved == builder.slots == 3 * 256
    assert outcome.dispersion == 0
    assert together(builder, lambda each: each.zone) == 1
    assert set(builder.held().values()) == {32}


def test_with_fewer_zones_than_replicas_servers_are_different() -> None:
    builder = ring(spread(2, 3, 2))
    builder.rebalance(0, seed=1)
    assert together(builder, lambda each: each.zone) == 2
    assert together(builder, lambda each: each.ip) == 1


def test_shares_follow_weights() -> None:
    builder = ring(
        [device(number, zone=number, weight=weight) for number, weight in enumerate((100, 100, 50, 50))], 10, 2
    )
    assert builder.rebalance(0, seed=1).balance < 0.5
    held = builder.held()
    assert abs(held[0] - 2 * held[2]) <= 2


def test_a_light_zone_is_filled_as_far_as_the_overload_lets_it() -> None:
    light = [*spread(2, 1, 2), device(10, zone=2, weight=50.0), device(11, zone=2, weight=50.0)]
    strict, loose = ring(light, overload=0.0), ring(light, overload=1.0)
    for builder in (strict, loose):
        builder.rebalance(0, seed=1)
    assert strict.balance() < 1
    assert strict.dispersion() > 0
    assert loose.dispersion() == 0


def test_a_device_that_is_removed_gives_its_replicas_away_at_once_and_no_others_move() -> None:
    builder = ring(spread(4, 2, 3))
    builder.rebalance(0, seed=1)
    before = builder.table.copy()
    had = builder.held()[5]
    builder.remove(5)
    outcome = builder.rebalance(1, seed=2)
    assert outcome.removed == [5]
    assert 5 not in builder.held()
    assert outcome.moved == had == (builder.table != before).sum()
    assert outcome.dispersion == 0


def test_a_new_device_takes_its_share_and_nobody_elses_replicas_move() -> None:
    builder = ring(spread(4, 2, 3))
    builder.rebalance(0, seed=1)
    before = builder.table.copy()
    builder.add(device(99, zone=1, server=1))
    outcome = builder.rebalance(HOURS * HOUR, seed=2)
    changed = builder.table != before
    assert (builder.table[changed] == 99).all()
    assert outcome.moved == builder.held()[99]
    assert abs(builder.held()[99] - builder.slots / 25) < 1.5


def test_what_moved_stays_for_some_hours() -> None:
    builder = ring(spread(4, 2, 3))
    builder.rebalance(0, seed=1)
    for number in range(6):
        builder.add(device(100 + number, zone=number % 4, server=1))
    first = builder.rebalance(HOURS * HOUR, seed=2)
    assert builder.min_part_seconds_left(HOURS * HOUR) == HOURS * HOUR
    moved = builder.moved_at > 0
    before = builder.table.copy()
    builder.add(device(200, zone=0, server=0))
    builder.rebalance(HOURS * HOUR + 60, seed=3)
    assert not (builder.table != before)[:, moved].any()
    assert first.moved


def test_one_replica_of_a_partition_moves_at_a_time() -> None:
    builder = ring(spread(1, 1, 6))
    builder.rebalance(0, seed=1)
    before = builder.table.copy()
    for number in range(6):
        builder.add(device(100 + number, zone=2 + number % 2))
    builder.rebalance(HOURS * HOUR, seed=2)
    assert ((builder.table != before).sum(axis=0) <= 1).all()


def test_a_device_without_weight_is_emptied_one_replica_of_a_partition_at_a_time() -> None:
    builder = ring(spread(4, 2, 3))
    builder.rebalance(0, seed=1)
    empty = [0, 6, 12]
    for number in empty:
        builder.change(device(number, zone=number // 6, server=0, weight=0.0))
    before = builder.table.copy()
    builder.rebalance(HOUR, seed=2)
    assert (builder.table == before).all()  # nothing may move yet
    now = 0
    while set(empty) & set(builder.held()):
        now += HOURS * HOUR
        before = builder.table.copy()
        outcome = builder.rebalance(now, seed=3)
        changed = builder.table != before
        assert (changed.sum(axis=0) <= 1).all()
        assert outcome.moved
    assert now <= 3 * HOURS * HOUR
    assert builder.balance() < 5
    assert outcome.dispersion == 0


def test_a_fraction_of_a_replica() -> None:
    builder = ring(spread(4, 2, 3), replicas=2.5)
    builder.rebalance(0, seed=1)
    numbers = [len(column) for column in columns(builder)]
    assert numbers == [3] * 128 + [2] * 128
    assert builder.dispersion() == 0
    builder.set_replicas(3)
    before = builder.table.copy()
    builder.rebalance(1, seed=2)
    assert (builder.table[:, :128] == before[:, :128]).all()
    assert set(map(len, columns(builder))) == {3}
    builder.set_replicas(2)
    builder.rebalance(2, seed=3)
    assert set(map(len, columns(builder))) == {2}


def test_too_few_devices_are_refused_and_change_nothing() -> None:
    builder = ring([device(0), device(1), device(2, weight=0.0)])
    with pytest.raises(Invalid, match="3 replicas need as many devices"):
        builder.rebalance(0)
    assert not builder.table.size


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"weight": -1.0}, id="weight"),
        pytest.param({"weight": math.inf}, id="endless"),
        pytest.param({"port": 0}, id="port"),
        pytest.param({"zone": -1}, id="zone"),
        pytest.param({"device": ".."}, id="folder"),
        pytest.param({"device": "a/b"}, id="path"),
        pytest.param({"ip": ""}, id="address"),
        pytest.param({"id": -1}, id="id"),
    ],
)
def test_what_is_no_device_is_refused(wrong: dict) -> None:
    words = {"id": 0, "ip": "10.0.0.1", "port": 6200, "device": "d0", "weight": 1.0}
    with pytest.raises(Invalid):
        Builder(4, 1, 0).add(Device(**{**words, **wrong}))


def test_the_same_seed_makes_the_same_ring() -> None:
    one, other = ring(spread(4, 2, 3)), ring(spread(4, 2, 3))
    one.rebalance(0, seed=7)
    other.rebalance(0, seed=7)
    assert (one.table == other.table).all()


@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_whatever_happens_to_a_ring(data: some.DataObject) -> None:
    """Every replica that is to be there is on a device that is there, no device has two of one partition."""
    builder = Builder(data.draw(some.integers(4, 7)), data.draw(some.sampled_from([1, 2, 2.5, 3, 3.25])), 1)
    builder.set_overload(data.draw(some.sampled_from([0.0, 0.1, 2.0])))
    now = 0.0
    places = some.tuples(
        some.integers(1, 2), some.integers(1, 3), some.integers(1, 2), some.sampled_from([1, 50, 100, 300])
    )
    for _ in range(data.draw(some.integers(1, 4))):
        for region, zone, server, weight in data.draw(some.lists(places, max_size=6)):
            builder.add(device(builder.next_id(), region, zone, server, weight))
        for each in data.draw(
            some.lists(some.sampled_from(sorted(builder.devices) or [None]), max_size=2, unique=True)
        ):
            if each is not None:
                builder.remove(each)
        for each in data.draw(some.lists(some.sampled_from(sorted(builder.devices) or [None]), max_size=1)):
            if each is not None:
                builder.change(msgspec.structs.replace(builder.device(each), weight=0.0))
        now += data.draw(some.sampled_from([60, 2 * HOUR]))
        if sum(each.weight > 0 for each in builder.devices.values()) < builder.replicas:
            continue
        before, held_back = builder.table, builder.moved_at + HOUR > now
        gone = np.isin(before, sorted(builder.leaving)) if before.size else None
        builder.rebalance(now, seed=1)
        found = columns(builder)
        assert sum(map(len, found)) == builder.slots
        assert {one for column in found for one in column} <= set(builder.devices)
        assert all(len(set(column)) == len(column) for column in found)
        if gone is not None:
            assert (builder.table == before)[:, held_back][~gone[:, held_back]].all()
