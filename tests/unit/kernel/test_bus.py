# SPDX-License-Identifier: Apache-2.0
"""Wake-ups between processes, on both engines."""

from __future__ import annotations

import socket

import pytest
from hearing import Heard

from cumulet.kernel.bus import ANY
from cumulet.kernel.db import Database, migrate


@pytest.fixture
def databases(engine, tmp_path, request):
    """One database, as two processes of a cloud open it."""
    if engine == "sqlite":
        pair = [Database.sqlite(tmp_path / "db", durable=False) for _ in range(2)]
    else:
        url = request.getfixturevalue("server").new()
        pair = [Database.postgres(url) for _ in range(2)]
    migrate.migrate(pair[0], {})
    yield pair
    for each in pair:
        each.close()


@pytest.fixture
def listeners(databases, tmp_path):
    pair = [Heard(each.dialect.bus(tmp_path)) for each in databases]
    yield pair
    for each in pair:
        each.bus.stop()


def test_a_wake_up_is_heard_in_both_processes_after_the_commit_once(databases, listeners):
    db, (here, there) = databases[0], listeners

    def fail(tx):
        here.bus.tell(tx, "things", "never")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        db.write(fail)
    for topic, key in (("things", "7"), ("others", "8"), ("things", "9")):
        db.write(lambda tx, topic=topic, key=key: here.bus.tell(tx, topic, key))
    databases[1].write(lambda tx: there.bus.tell(tx, "things", "10"))
    for each in listeners:
        each.wait_for("7", "9", "10")
        assert sorted(key for key in each.keys if key != ANY) == ["10", "7", "9"]


def test_many_wake_ups_at_once_are_all_heard(databases, listeners):
    wanted = [f"{number:0>60}" for number in range(3000)]

    def write(tx):
        for key in wanted:
            listeners[0].bus.tell(tx, "things", key)

    databases[0].write(write)
    for each in listeners:
        each.wait_for(*wanted)


def test_a_process_that_died_is_forgotten(tmp_path):
    dead = tmp_path / "wake" / "dead"
    dead.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(dead))
    db = Database.sqlite(tmp_path / "db", durable=False)
    here, there = Heard(db.dialect.bus(tmp_path)), Heard(db.dialect.bus(tmp_path))
    db.write(lambda tx: here.bus.tell(tx, "things", "1"))
    there.wait_for("1")
    here.bus.stop()
    there.bus.stop()
    db.close()
    assert list(dead.parent.iterdir()) == []
