# SPDX-License-Identifier: Apache-2.0
"""The write door, migrations and the outbox, on the real database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, literal, select
from sqlalchemy.exc import DBAPIError

from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db import migrate, sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.outbox import Event, Outbox
from support.waiting import until


@pytest.fixture
def db(empty):
    migrate.migrate(empty, {})
    return empty


def put_lease(tx, name):
    sql.execute(tx, tables.lease.insert().values(name=name, owner="me", until=0.0))


def names(source):
    return set(sql.column(source, select(tables.lease.c.name)))


def test_a_write_returns_its_result_and_is_seen_by_readers(db):
    assert db.write(lambda tx: put_lease(tx, "a") or "result") == "result"
    assert names(db) == {"a"}


def test_a_quick_question_gets_what_the_usual_one_gets(db):
    number = select(func.count()).select_from(tables.lease).where(tables.lease.c.name == "it's a")
    assert sql.quick(db, number) == sql.scalar(db, number) == 0
    assert db.write(lambda tx: put_lease(tx, "it's a") or sql.quick(tx, number)) == 1
    assert sql.quick(db, number) == 1
    assert sql.quick(db, select(tables.lease.c.until).where(tables.lease.c.name == "none")) is None


def test_what_fails_quickly_fails_in_the_usual_words(empty):
    with pytest.raises(DBAPIError, match="kernel_lease"):
        sql.quick(empty, select(tables.lease.c.until))
    assert sql.quick(empty, select(literal(7))) == 7


def test_an_error_undoes_the_whole_function_and_reaches_the_caller(db):
    def half(tx):
        put_lease(tx, "a")
        raise KeyError("b")

    with pytest.raises(KeyError):
        db.write(half)
    assert names(db) == set()


def test_one_failing_function_leaves_its_neighbours_in_the_same_commit_alone(db):
    gate = threading.Event()

    def slow(tx):
        gate.wait(5)

    def one(number):
        def write(tx):
            put_lease(tx, str(number))
            if number % 3 == 0:
                raise ValueError(number)

        try:
            db.write(write)
        except ValueError:
            return

    with ThreadPoolExecutor(17) as pool:
        first = pool.submit(db.write, slow)
        rest = [pool.submit(one, number) for number in range(16)]
        gate.set()
        for future in (first, *rest):
            future.result()
    assert names(db) == {str(number) for number in range(16) if number % 3}


def test_who_writes_alone_does_so_itself(db):
    assert db.write(lambda tx: threading.get_ident()) == threading.get_ident()


def test_what_is_being_written_is_ended_before_the_database_is_closed(db):
    reached, gate = threading.Event(), threading.Event()

    def slow(tx):
        reached.set()
        gate.wait(10)
        return "written"

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(db.write, slow)
        assert reached.wait(10)
        closing_it = pool.submit(db.close)
        gate.set()
        assert writing.result(10) == "written"
        closing_it.result(30)
    if db.is_at_hand:
        with pytest.raises(RuntimeError, match="closed"):
            db.write(slow)


def test_a_nested_write_and_an_outside_read_are_refused(db):
    with pytest.raises(RuntimeError, match=r"inside db\.write"):
        db.write(lambda tx: db.write(lambda inner: None))
    with pytest.raises(RuntimeError, match="outside the transaction"):
        db.write(lambda tx: names(db))


def test_a_transaction_cannot_be_used_after_its_end(db):
    kept = db.write(lambda tx: tx)
    with pytest.raises(RuntimeError, match="has ended"):
        names(kept)


def test_hooks_run_after_the_commit_only(db):
    seen = []

    def good(tx):
        put_lease(tx, "a")
        tx.after_commit(lambda: seen.append("good"))

    def bad(tx):
        tx.after_commit(lambda: seen.append("bad"))
        raise ValueError

    db.write(good)
    with pytest.raises(ValueError):  # noqa: PT011
        db.write(bad)
    assert seen == ["good"]


def test_many_threads_write_without_a_lost_update(db):
    db.write(lambda tx: sql.execute(tx, tables.lease.insert().values(name="n", owner="me", until=0.0)))

    def bump(tx):
        sql.execute(tx, tables.lease.update().values(until=tables.lease.c.until + 1))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: db.write(bump), range(160)))
    assert sql.scalar(db, select(tables.lease.c.until)) == 160


def test_threads_that_read_in_turn_share_a_connection(tmp_path: Path):
    """Each connection to a file holds the schema, statements and pages of its own."""
    with closing(Database.sqlite(tmp_path / "cloud.db")) as db:
        for _ in range(5):
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(sql.scalar, db, select(literal(1))).result() == 1
        assert len(db.dialect._idle) == 1
        with db._use() as one, db._use() as other:
            assert one is not other
        assert len(db.dialect._idle) == 2


def test_two_processes_worth_of_writers_share_one_database(db, again):
    other = again()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (db, other)[n % 2].write(lambda tx: put_lease(tx, str(n))), range(100)))
    other.close()
    assert sql.scalar(db, select(func.count()).select_from(tables.lease)) == 100


def test_migrations_run_once(db, tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    script = folder / "0001_first.sql"
    script.write_text("CREATE TABLE toy_thing (id INTEGER);\n")
    assert migrate.pending(db, {"toy": folder})
    assert migrate.migrate(db, {"toy": folder}) == ["toy/0001_first.sql"]
    assert migrate.migrate(db, {"toy": folder}) == []
    assert not migrate.pending(db, {"toy": folder})


def test_a_broken_migration_leaves_nothing_behind(db, tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    script = folder / "0001_first.sql"
    script.write_text("CREATE TABLE toy_thing (id INTEGER);\nNONSENSE;\n")
    with pytest.raises(Exception, match="NONSENSE"):
        migrate.migrate(db, {"toy": folder})
    script.write_text("CREATE TABLE toy_thing (id INTEGER);\n")
    assert migrate.migrate(db, {"toy": folder}) == ["toy/0001_first.sql"]


def test_the_kernels_scripts_are_its_tables():
    script = migrate.KERNEL_FOLDER / "0001_initial.sql"
    assert script.read_text() == migrate.draft(tables.metadata)


def test_events_are_delivered_in_order_once_committed(db):
    outbox = Outbox(db, Memory(), "a")
    seen: list[Event] = []
    outbox.subscribe("compute", seen.append)

    def fail(tx):
        outbox.publish(tx, "compute.never", {})
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        db.write(fail)
    for number in range(3):
        db.write(lambda tx, n=number: outbox.publish(tx, "compute.instance", {"n": n}, "req-1"))
    db.write(lambda tx: outbox.publish(tx, "computer.other", {}))
    assert outbox.deliver() == 4
    assert [(event.topic, event.payload, event.request_id) for event in seen] == [
        ("compute.instance", {"n": number}, "req-1") for number in range(3)
    ]
    assert outbox.deliver() == 0


def test_a_failing_subscriber_holds_up_nobody(db):
    outbox = Outbox(db, Memory(), "a")
    seen = []
    outbox.subscribe("a", lambda event: 1 / 0)
    outbox.subscribe("a", lambda event: seen.append(event.topic))
    db.write(lambda tx: outbox.publish(tx, "a", {}))
    outbox.deliver()
    assert seen == ["a"]


def test_the_outbox_thread_delivers_what_a_former_life_left(db):
    outbox = Outbox(db, Memory(), "a")
    db.write(lambda tx: outbox.publish(tx, "a", {}))
    delivered = threading.Event()
    second = Outbox(db, Memory(), "a")
    second.subscribe("a", lambda event: delivered.set())
    second._wake.set()
    second.start()
    assert delivered.wait(10)
    second.stop()


def test_who_delivers_events_wakes_nobody_else(db):
    class Counted(Memory):
        told = 0

        def tell(self, tx, topic, key=""):
            self.told += 1
            super().tell(tx, topic, key)

    bus, seen = Counted(), []
    outbox = Outbox(db, bus, "a")
    outbox.subscribe("a", lambda event: seen.append(event.payload))
    outbox.start()
    try:
        db.write(lambda tx: outbox.publish(tx, "a", 1))
        until(lambda: seen == [1])
        told = bus.told
        for number in (2, 3):
            db.write(lambda tx, n=number: outbox.publish(tx, "a", n))
        until(lambda: seen == [1, 2, 3])
        assert bus.told == told
    finally:
        outbox.stop()


def test_json_columns_keep_plain_data(db, tmp_path: Path):
    payload = {"text": "ü\n", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    outbox = Outbox(db, Memory(), "a")
    db.write(lambda tx: outbox.publish(tx, "a", payload))
    assert sql.scalar(db, select(tables.outbox.c.payload)) == payload


def test_copies_that_say_the_same_are_read_once():
    read = sql.Copied().result_processor(None, None)
    assert read('{"ram": 64}') == {"ram": 64}
    assert read('{"ram": 64}') is read('{"ram": 64}')
    assert read(None) is None
