# SPDX-License-Identifier: Apache-2.0
"""Several processes on one PostgreSQL: a frozen one loses its work to another, and cannot take it back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db import Database, migrate, sql, tables
from cumulet.kernel.db.dialects import postgres as dialect
from cumulet.kernel.db.outbox import Outbox
from cumulet.kernel.saga import DONE, Flow, Sagas, Step
from support.waiting import until

# argv: database, folder for notes, owner, seconds of a lease
CHILD = """
import sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from cumulet.kernel import saga
from cumulet.kernel.db import Database, sql, tables
from cumulet.kernel.saga import Flow, Sagas, Step
url, notes, owner, lease = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
saga.LEASE = lease
def note(word):
    (notes / f"{word}-{owner}").touch()
def slow(run):
    note("entered")
    while not (notes / f"go-{owner}").exists():
        time.sleep(0.02)
    mark = f"{run.subject} by {owner}"
    return lambda tx: sql.execute(tx, tables.lease.insert().values(name=mark, owner="x", until=0.0))
def last(run):
    note("ended")
flow = Flow("t.f", (Step("one", slow), Step("two", last)))
db = Database.postgres(url)
bus = db.dialect.bus(notes)
bus.start()
sagas = Sagas(db, bus, {"t.f": flow}.__getitem__, owner)
sagas.run(SimpleNamespace(db=db))
note("ready")
threading.Event().wait()
"""


@pytest.fixture
def db(server):
    database = Database.postgres(server.new())
    migrate.migrate(database, {})
    yield database
    database.close()


class Fleet:
    """Processes that run sagas, each under its name."""

    def __init__(self, url: str, notes: Path) -> None:
        self._url = url
        self._notes = notes
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, owner: str, lease: float = 1.5) -> None:
        argv = [sys.executable, "-c", CHILD, self._url, str(self._notes), owner, str(lease)]
        with (self._notes / f"log-{owner}").open("ab") as log:
            self._running[owner] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.await_note("ready", owner)

    def signal(self, owner: str, number: signal.Signals) -> None:
        self._running[owner].send_signal(number)

    def let_go(self, owner: str) -> None:
        (self._notes / f"go-{owner}").touch()

    def await_note(self, word: str, owner: str) -> None:
        until(lambda: self.noted(word, owner) or self._check())

    def noted(self, word: str, owner: str) -> bool:
        return (self._notes / f"{word}-{owner}").exists()

    def words(self, owner: str) -> str:
        return (self._notes / f"log-{owner}").read_text()

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def _check(self) -> None:
        for owner, process in self._running.items():
            assert process.poll() is None, self.words(owner)


@pytest.fixture
def fleet(db, tmp_path):
    made = Fleet(db.dialect.url, tmp_path)
    yield made
    made.close()


def start_saga(db, subject="s"):
    sagas = Sagas(db, Memory(), {}.__getitem__, "tests")
    return db.write(lambda tx: sagas.start(tx, "t.f", subject))


def row(db, saga_id):
    saga = tables.saga.c
    query = select(saga.status, saga.owner, saga.fence, saga.finished_at).where(saga.id == saga_id)
    return sql.tuples(db, query)[0]


def marks(db):
    return set(sql.column(db, select(tables.lease.c.name).where(tables.lease.c.name.like("% by %"))))


def test_a_frozen_replica_loses_its_saga_and_is_fenced_when_it_wakes(db, fleet):
    fleet.start("a")
    saga_id = start_saga(db)
    fleet.await_note("entered", "a")
    fleet.signal("a", signal.SIGSTOP)
    fleet.let_go("b")
    fleet.start("b")
    until(lambda: row(db, saga_id)[0] == DONE)
    assert fleet.noted("ended", "b")
    fleet.let_go("a")
    fleet.signal("a", signal.SIGCONT)
    until(lambda: "was taken over" in fleet.words("a"))
    assert marks(db) == {"s by b"}
    assert not fleet.noted("ended", "a")
    # The one that was fenced is as good as new.
    fleet.signal("b", signal.SIGKILL)
    again = start_saga(db, "other")
    until(lambda: row(db, again)[0] == DONE)
    assert marks(db) == {"s by b", "other by a"}


def test_a_killed_replica_s_saga_waits_for_the_lease_and_no_longer(db, fleet):
    fleet.start("a", lease=3.0)
    saga_id = start_saga(db)
    fleet.await_note("entered", "a")
    fleet.start("b", lease=3.0)
    fleet.let_go("b")
    fleet.signal("a", signal.SIGKILL)
    began = time.monotonic()
    until(lambda: row(db, saga_id)[0] == DONE)
    assert time.monotonic() - began > 0.5
    assert row(db, saga_id)[2] == 2
    assert marks(db) == {"s by b"}


def test_a_replica_that_is_back_under_its_name_goes_on_at_once(db, fleet):
    fleet.start("a", lease=600.0)
    saga_id = start_saga(db)
    fleet.await_note("entered", "a")
    fleet.signal("a", signal.SIGKILL)
    fleet.let_go("a")
    fleet.start("a", lease=600.0)
    until(lambda: row(db, saga_id)[0] == DONE)


def test_a_restart_of_the_database_in_mid_step_costs_no_saga(server, db, fleet):
    fleet.start("a", lease=600.0)
    ids = [start_saga(db, str(number)) for number in range(5)]
    fleet.await_note("entered", "a")
    server.stop()
    fleet.let_go("a")  # all five steps end while there is no database
    until(lambda: "has to wait" in fleet.words("a"))
    server.start()
    for saga_id in ids:
        until(lambda key=saga_id: row(db, key)[0] == DONE)


def test_sagas_of_one_subject_keep_their_order_whoever_commits_first(db):
    sagas = Sagas(db, Memory(), {}.__getitem__, "tests")
    first_in, go_on = threading.Event(), threading.Event()
    seen = {}

    def first(tx):
        seen["first"] = sagas.start(tx, "t.f", "s")
        first_in.set()
        go_on.wait(10)

    def second(tx):
        seen["second"] = sagas.start(tx, "t.f", "s")

    threads = [threading.Thread(target=db.write, args=[fn]) for fn in (first, second)]
    threads[0].start()
    assert first_in.wait(10)
    threads[1].start()
    time.sleep(0.3)
    assert "second" not in seen
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert [saga.id for saga in sagas.unfinished(db, "s")] == [seen["first"], seen["second"]]


def test_two_replicas_share_sagas_and_run_each_once(db, tmp_path):
    ran, lock = [], threading.Lock()

    def work(owner):
        def act(run):
            time.sleep(0.01)
            with lock:
                ran.append((run.subject, owner))

        return act

    databases = [Database.postgres(db.dialect.url) for _ in range(2)]
    replicas = []
    for owner, database in zip("ab", databases, strict=True):
        bus = database.dialect.bus(tmp_path)
        bus.start()
        flow = Flow("t.f", (Step("one", work(owner)),))
        sagas = Sagas(database, bus, {"t.f": flow}.__getitem__, owner)
        sagas.run(SimpleNamespace(db=database))
        replicas.append((bus, sagas))
    for number in range(100):
        bus, sagas = replicas[number % 2]
        databases[number % 2].write(lambda tx, n=number, s=sagas: s.start(tx, "t.f", str(n)))
    left = select(func.count()).select_from(tables.saga).where(tables.saga.c.finished_at.is_(None))
    until(lambda: sql.scalar(db, left) == 0)
    for (bus, sagas), database in zip(replicas, databases, strict=True):
        sagas.stop()
        bus.stop()
        database.close()
    assert sorted(int(subject) for subject, _ in ran) == list(range(100))


def test_events_are_delivered_by_one_replica_and_by_the_next_when_it_leaves(db, tmp_path):
    databases = [Database.postgres(db.dialect.url) for _ in range(2)]
    seen, boxes, buses = [], [], []
    for owner, database in zip("ab", databases, strict=True):
        buses.append(database.dialect.bus(tmp_path))
        buses[-1].start()
        box = Outbox(database, buses[-1], owner)
        box.subscribe("t", lambda event, o=owner: seen.append((o, event.payload)))
        box.start()
        boxes.append(box)
    for number in range(40):
        box, database = boxes[number % 2], databases[number % 2]
        database.write(lambda tx, b=box, n=number: b.publish(tx, "t.x", n))
    until(lambda: len(seen) >= 40)
    assert sorted(number for _, number in seen) == list(range(40))
    assert len({owner for owner, _ in seen}) == 1
    deliverer = "ab".index(seen[0][0])
    boxes[deliverer].stop()
    other = 1 - deliverer
    databases[other].write(lambda tx: boxes[other].publish(tx, "t.x", 40))
    until(lambda: len(seen) == 41)
    assert seen[-1] == ("ab"[other], 40)
    boxes[other].stop()
    for bus, database in zip(buses, databases, strict=True):
        bus.stop()
        database.close()


def test_a_process_that_froze_in_a_transaction_holds_up_nobody_for_long(server, monkeypatch):
    options = {**dialect._OPTIONS, "idle_in_transaction_session_timeout": "1s"}
    monkeypatch.setattr(dialect, "_OPTIONS", options)
    frozen, other = (Database.postgres(url) for url in [server.new()] * 2)
    migrate.migrate(frozen, {})
    runs, inside = [], threading.Event()

    def freeze(tx):
        runs.append(1)
        tx.lock("quota")
        sql.execute(tx, tables.lease.insert().values(name="frozen", owner="x", until=0.0))
        inside.set()
        if len(runs) == 1:
            time.sleep(3)
        sql.column(tx, select(tables.lease.c.name))

    def quick(tx):
        tx.lock("quota")
        sql.execute(tx, tables.lease.insert().values(name="quick", owner="x", until=0.0))

    thread = threading.Thread(target=frozen.write, args=[freeze])
    thread.start()
    assert inside.wait(10)
    began = time.monotonic()
    other.write(quick)
    assert time.monotonic() - began < 2.9
    thread.join(20)
    assert set(sql.column(other, select(tables.lease.c.name))) == {"quick", "frozen"}
    assert len(runs) >= 2
    frozen.close()
    other.close()
