# SPDX-License-Identifier: Apache-2.0
"""The file in which a device writes things down: one writer, groups, and nobody's failure but one's own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cumulet.services.object_store.drivers.local.ledger import Ledger

SCHEMA = "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY);"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db", SCHEMA)
    yield made
    made.close()


def add(number: int) -> Callable[[sqlite3.Connection], int]:
    return lambda say: say.execute("INSERT INTO t VALUES (?)", (number,)).rowcount


def numbers(ledger: Ledger) -> list[int]:
    with ledger.reading() as say:
        return [number for (number,) in say.execute("SELECT n FROM t ORDER BY n")]


def test_each_answers_for_itself(ledger: Ledger) -> None:
    held = threading.Event()
    first = ledger.submit(lambda _: held.wait(20))
    works = [ledger.submit(add(number)) for number in (1, 2, 2, 3)]
    held.set()
    assert first.result(20)
    assert [works[at].result(20) for at in (0, 1, 3)] == [1, 1, 1]
    with pytest.raises(sqlite3.IntegrityError):
        works[2].result(20)
    assert numbers(ledger) == [1, 2, 3]


def test_what_fails_alone_leaves_nothing_and_ends_nothing(ledger: Ledger) -> None:
    def fail(say: sqlite3.Connection) -> None:
        say.execute("INSERT INTO t VALUES (1)")
        say.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(sqlite3.IntegrityError):
        ledger.submit(fail).result(20)
    assert (numbers(ledger), ledger.failed) == ([], "")
    assert ledger.submit(add(2)).result(20) == 1
    assert numbers(ledger) == [2]


def test_who_gives_up_before_its_turn_disturbs_nobody(ledger: Ledger) -> None:
    begun, held = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> bool:
        begun.set()
        return held.wait(20)

    first = ledger.submit(hold)
    assert begun.wait(20)
    assert not first.cancel()
    second, third = ledger.submit(add(1)), ledger.submit(add(2))
    assert second.cancel()
    held.set()
    assert (first.result(20), third.result(20)) == (True, 1)
    assert numbers(ledger) == [2]


def test_what_is_written_stays(tmp_path: Path) -> None:
    schema = "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY);"
    for count in (1, 2):
        made = Ledger(tmp_path / "ledger.db", schema)
        made.submit(add(count))
        made.close()
        with pytest.raises(RuntimeError, match="is closed"):
            made.submit(add(9))
    again = Ledger(tmp_path / "ledger.db", schema)
    assert numbers(again) == [1, 2]
    again.close()


def test_a_reader_makes_no_file_where_the_disk_was(tmp_path: Path) -> None:
    folder = tmp_path / "a %?#"
    folder.mkdir()
    made = Ledger(folder / "one.db", SCHEMA)
    folder.rename(tmp_path / "away")
    folder.mkdir()
    with pytest.raises(sqlite3.OperationalError), made.reading():
        pass
    assert not list(folder.iterdir())
    made.close()
