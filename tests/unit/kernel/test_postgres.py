# SPDX-License-Identifier: Apache-2.0
"""What is PostgreSQL's alone: transactions that meet, locks, a server that comes and goes, its refusals."""

from __future__ import annotations

import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hearing import Heard
from sqlalchemy import func, select, text

from cumulet.kernel import clock
from cumulet.kernel.bus import ANY
from cumulet.kernel.db import Database, migrate, sql, tables
from cumulet.kernel.db.dialects import postgres as dialect
from cumulet.kernel.db.tx import Away, Busy
from cumulet.kernel.errors import Conflict, Invalid
from support import postgres


@pytest.fixture
def url(server):
    return server.new()


@pytest.fixture
def open_database(url):
    opened = []

    def make(**words):
        opened.append(Database.postgres(words.pop("url", url), **words))
        return opened[-1]

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def db(open_database):
    database = open_database()
    migrate.migrate(database, {})
    return database


def put(tx, name, until=0.0):
    sql.execute(tx, tables.lease.insert().values(name=name, owner="me", until=until))


def count(source):
    return sql.scalar(source, select(func.count()).select_from(tables.lease))


def names(source):
    return set(sql.column(source, select(tables.lease.c.name)))


def test_a_check_and_what_follows_from_it_are_one(db):
    def only_if_alone(tx, name):
        if count(tx):
            raise Conflict("there is one already")
        time.sleep(0.05)
        put(tx, name)

    def attempt(name):
        try:
            db.write(lambda tx: only_if_alone(tx, name))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, map(str, range(8)))) == 1


def test_a_scan_that_cannot_be_avoided_is_not_compiled(db):
    """A scan is said to cost so much that the server would, for a tenth of a second and more."""
    query = select(tables.lease.c.name).order_by(tables.lease.c.until)

    def plan(tx):
        return "\n".join(sql.column(tx, text(f"EXPLAIN {query}")))

    found = db.write(plan)
    assert "Seq Scan" in found
    assert "JIT" not in found


def test_a_lock_lines_writers_up_so_that_none_is_run_again(db):
    db.write(lambda tx: put(tx, "n"))
    runs = []

    def bump(tx):
        runs.append(1)
        tx.lock("quota")
        sql.execute(tx, tables.lease.update().values(until=tables.lease.c.until + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: db.write(bump), range(80)))
    assert sql.scalar(db, select(tables.lease.c.until)) == 80
    assert len(runs) < 4 * 80  # once to learn that the lock is taken, once with it, and few chance meetings


def test_a_name_that_came_meanwhile_is_seen_at_the_second_look(db):
    def make(tx):
        if "x" in names(tx):
            raise Conflict("taken")
        time.sleep(0.02)
        put(tx, "x")

    with ThreadPoolExecutor(6) as pool:
        outcomes = [future.exception() for future in [pool.submit(db.write, make) for _ in range(6)]]
    assert [type(each) for each in outcomes].count(type(None)) == 1
    assert [type(each) for each in outcomes].count(Conflict) == 5


def test_a_failed_statement_that_was_passed_over_is_not_committed(db):
    db.write(lambda tx: put(tx, "a"))
    tries = []

    def careless(tx):
        tries.append(1)
        put(tx, f"b{len(tries)}")
        if len(tries) == 1:
            with pytest.raises(Exception, match="duplicate key"):
                put(tx, "a")

    db.write(careless)
    assert names(db) == {"a", "b2"}


def test_values_that_do_not_fit_are_the_callers_fault(db):
    for value in ("x" * 256, "a\0b"):
        with pytest.raises(Invalid):
            db.write(lambda tx, v=value: put(tx, v))
    with pytest.raises(Invalid):
        sql.column(db, select(tables.lease.c.name).where(tables.lease.c.name == "a\0b"))
    assert count(db) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_of_the_server_is_not_noticed(server, db, how):
    def burst(number):
        db.write(lambda tx: put(tx, f"{how}-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(burst, range(8)))
        server.stop(how)
        server.start()
        list(pool.map(lambda _: count(db), range(8)))
        list(pool.map(burst, range(8, 16)))
    assert count(db) == 16


def test_a_server_that_is_away_is_said_to_be(server, db):
    server.stop()
    try:
        with pytest.raises(Away):
            count(db)
        with pytest.raises(Away):
            db.write(lambda tx: put(tx, "a"))
    finally:
        server.start()
    db.write(lambda tx: put(tx, "a"))
    assert count(db) == 1


def test_a_broken_transaction_runs_again_but_a_broken_commit_does_not(url, db):
    runs = []

    def cut(tx):
        runs.append(1)
        put(tx, "a")
        if len(runs) == 1:
            victim = tx._connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            postgres.execute(url, f"SELECT pg_terminate_backend({victim})")

    with pytest.raises(Away):  # the commit was the first statement to fail
        db.write(cut)
    assert (len(runs), count(db)) == (1, 0)

    def cut_earlier(tx):
        cut(tx)
        count(tx)

    runs.clear()
    db.write(cut_earlier)
    assert (len(runs), count(db)) == (2, 1)


def test_threads_share_few_connections(url, open_database):
    database = open_database(connections=3)
    migrate.migrate(database, {})
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda number: database.write(lambda tx: put(tx, str(number))) or count(database), range(48)))
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    assert postgres.execute(url, query)[0][0] <= 3
    assert count(database) == 48


def test_who_gets_no_turn_is_told_so(db, monkeypatch):
    monkeypatch.setattr("cumulet.kernel.db.dialects.postgres.PATIENCE", 0.3)
    db.write(lambda tx: put(tx, "a"))

    def unlucky(tx):
        count(tx)
        db_two.write(lambda other: sql.execute(other, tables.lease.update().values(until=tables.lease.c.until + 1)))
        sql.execute(tx, tables.lease.update().values(until=0.0))

    db_two = Database.postgres(db.dialect.url)
    try:
        with pytest.raises(Busy):
            db.write(unlucky)
    finally:
        db_two.close()


def test_one_replica_at_a_time_does_what_is_done_alone(open_database):
    inside, most = [], []

    def enter(database):
        with database.alone("start"):
            inside.append(1)
            most.append(len(inside))
            migrate.migrate(database, {})
            inside.pop()

    databases = [open_database() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(enter, databases))
    assert most == [1, 1, 1]
    query = select(func.count()).select_from(tables.migration)
    assert sql.scalar(databases[0], query) == len(list(migrate.KERNEL_FOLDER.glob("*.sql")))


def test_a_migration_may_take_its_time(open_database, monkeypatch):
    options = {**dialect._OPTIONS, "statement_timeout": "200ms"}
    monkeypatch.setattr(dialect, "_OPTIONS", options)
    database = open_database()

    def slow(tx):
        tx._connection().exec_driver_sql("SELECT pg_sleep(0.4)")

    with pytest.raises(Busy):
        database.write(slow)
    with database.alone("start"):
        database.write(slow)
    with pytest.raises(Busy):
        database.write(slow)


def test_a_database_that_orders_by_language_is_refused(server, open_database):
    statement = "CREATE DATABASE spoken TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    postgres.execute(server.url("postgres"), statement)
    with pytest.raises(RuntimeError, match="LC_COLLATE 'C'"):
        migrate.migrate(open_database(url=server.url("spoken")), {})


def test_clocks_that_differ_are_refused(open_database):
    clock.set_source(lambda: time.time() + 60)
    try:
        with pytest.raises(RuntimeError, match="clock"):
            open_database().dialect.check()
    finally:
        clock.set_source()


def test_passwords_are_in_no_log_and_no_error(open_database, caplog):
    caplog.set_level(logging.DEBUG)
    database = open_database(url="postgresql://cumulet:hunter2@127.0.0.1:9/nothing")
    with pytest.raises(Away) as told:
        count(database)
    assert "hunter2" not in caplog.text + str(told.value) + repr(told.value.__cause__)


@pytest.fixture
def replicas(db, open_database, tmp_path):
    pair = (Heard(db.dialect.bus(tmp_path)), Heard(open_database().dialect.bus(tmp_path)))
    yield pair
    for each in pair:
        each.bus.stop()


def test_whoever_was_deaf_is_woken_for_everything(url, db, replicas):
    _, there = replicas
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    postgres.execute(url, cut)
    there.wait_for(ANY)
    there.keys.clear()
    db.write(lambda tx: replicas[0].bus.tell(tx, "things", "10"))
    there.wait_for("10")


def test_a_restarted_server_is_listened_to_again(server, db, replicas):
    server.stop(signal.SIGINT)
    server.start()
    for each in replicas:
        each.wait_for(ANY)
    db.write(lambda tx: replicas[0].bus.tell(tx, "things", "11"))
    replicas[1].wait_for("11")
