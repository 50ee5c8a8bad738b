# SPDX-License-Identifier: Apache-2.0
"""Rows that are kept in memory are what the device has, whatever happens beside a read."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cumulet.services.object_store.drivers.local.hot import HotRows, Row, Shelf
from drivers.object_store.device_benches import LocalBench, address, body_of, content, on_a_loop, put, version_of

O = address()  # noqa: E741
BODY = b"x" * 1000
ROW = Row(version_of(BODY, 1), BODY)


@pytest.fixture
def bench(tmp_path):
    return LocalBench(tmp_path)


def keep(hot, where, row=ROW):
    hot.keep(where, row, hot.ask(where))


@on_a_loop
async def test_read_again_while_the_catalogue_can_not_be_read(bench):
    device = await bench.open()
    await put(device, O, b"small", 100)
    await put(device, address("large"), body_of(200_000), 100)
    assert await content(device, O) == b"small"
    with sqlite3.connect(bench.root / "catalogue.db", isolation_level=None) as say:
        say.execute("UPDATE objects SET body = zeroblob(5), file = NULL")
    say.close()
    assert await content(device, O) == b"small"
    assert (await device.head(O)).size == 5
    assert await content(device, address("large")) is None  # files of bodies are looked for each time


@on_a_loop
async def test_a_device_that_is_opened_again_is_read_anew(bench):
    device = await bench.open()
    await put(device, O, b"small", 100)
    assert await content(device, O) == b"small"
    await device.close()
    bench.rot(device, O)
    assert await content(await bench.open(), O) != b"small"


def test_the_room_is_shared_and_goes_to_what_was_read_last():
    shelf = Shelf(10_000, doubt=0)
    one, other = HotRows(shelf), HotRows(shelf)
    for number in range(4):
        keep(one, address(f"{number}"))
    assert one.get(address("0"))
    assert other.get(address("0")) is None
    keep(other, O)
    assert [bool(one.get(address(f"{number}"))) for number in range(4)] == [True, False, True, True]
    keep(other, address("huge"), Row(ROW.version, bytes(20_000)))
    assert not any(one.get(address(f"{number}")) for number in range(4))
    keep(one, O)
    assert one.get(O)
    one.clear()
    assert one.get(O) is None


def test_a_walk_through_more_than_there_is_room_for_does_not_empty_it():
    hot = HotRows(Shelf(100_000))
    places = [address(f"{number}") for number in range(60)]
    found = 0
    for turn in range(40):
        for where in places:
            if hot.get(where):
                found += turn > 0
            else:
                keep(hot, where)
    assert found > 39 * len(places) // 3


def test_a_change_that_does_not_begin_is_over():
    hot = HotRows(Shelf())

    def start():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        hot.during(O, start)
    keep(hot, O)
    assert hot.get(O) == ROW


class Writer:
    """Goes a step on: hands a change on, has it in the catalogue, is told of that."""

    def __init__(self, hot):
        self.hot = hot
        self.row = self.acknowledged = 0
        self.change = None

    def step(self):
        if self.change is None:
            self.change = self.hot.during(O, Future)
        elif self.row == self.acknowledged:
            self.row += 1
        else:
            self.change.set_result(None)
            self.change, self.acknowledged = None, self.row


class Reader:
    """Goes a step on: finds a row that is kept, or asks, looks into the catalogue, and has kept what it saw."""

    def __init__(self, hot, writer, see):
        self.hot, self.writer, self.see = hot, writer, see
        self.asked = self.found = None

    def step(self):
        if self.found is not None:
            self.hot.keep(O, Row(ROW.version, b"%d" % self.found), self.asked)
            self.asked = self.found = None
        elif self.asked is not None:
            self.found = self.writer.row
            self.see(self.found)
        elif (row := self.hot.get(O)) is not None:
            self.see(int(row.body))
        else:
            self.asked = self.hot.ask(O)


@settings(max_examples=500)
@given(some.lists(some.integers(0, 2), max_size=40))
def test_nothing_older_is_seen_than_what_was_acknowledged_or_seen(steps):
    seen = 0

    def see(found):
        nonlocal seen
        assert found >= seen
        assert found >= writer.acknowledged
        seen = found

    hot = HotRows(Shelf())
    writer = Writer(hot)
    everybody = [writer, Reader(hot, writer, see), Reader(hot, writer, see)]
    for number in steps:
        everybody[number].step()
    while writer.change is not None:
        writer.step()
    for _ in range(4):
        Reader(hot, writer, see).step()
    assert hot.get(O) is None or int(hot.get(O).body) == writer.row
