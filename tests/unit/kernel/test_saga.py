# SPDX-License-Identifier: Apache-2.0
"""Sagas: order, undo, retry, cancel, fence, and what a kill leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from cumulet.kernel import clock
from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db import Database, migrate, sql, tables
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.saga import DONE, FAILED, Flow, Saga, Sagas, Step, places


@pytest.fixture
def db(empty):
    migrate.migrate(empty, {})
    return empty


class Bench:
    """Sagas over a database, with flows made by the test and a record of what ran."""

    def __init__(self, db, *flows, owner="a", packages=None, bus=None):
        self.db = db
        self.ran = []
        self.flows = {flow.name: flow for flow in flows}
        self.sagas = Sagas(db, bus or Memory(), self.flows.__getitem__, owner, packages)

    def go(self):
        self.sagas.run(SimpleNamespace(db=self.db))

    def start(self, flow, subject="s", **args):
        return self.db.write(lambda tx: self.sagas.start(tx, flow, subject, args, "req-1"))

    def ended(self, saga_id, timeout=10) -> Saga:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            saga = self.sagas.find(self.db, saga_id)
            if saga.finished_at is not None:
                return saga
            time.sleep(0.01)
        raise AssertionError(f"still {saga}")


@pytest.fixture
def bench(db):
    made = []

    def make(*flows, owner="a", packages=None, bus=None):
        made.append(Bench(db, *flows, owner=owner, packages=packages, bus=bus))
        return made[-1]

    yield make
    for item in made:
        item.sagas.stop()


def mark(ran, word, commit=None):
    def act(run):
        ran.append(word)
        return commit

    return act


def put_lease(name):
    return lambda tx: sql.execute(tx, tables.lease.insert().values(name=name, owner="x", until=0.0))


def lease_names(db):
    return set(sql.column(db, select(tables.lease.c.name)))


def test_steps_run_in_order_and_keep_state_and_rows(db, bench):
    ran = []

    def first(run):
        ran.append(("first", run.args["word"], run.subject, run.request_id))
        run.state["made"] = 7
        return put_lease("row")

    def second(run):
        ran.append(("second", run.state["made"], lease_names(db)))

    a = bench(Flow("t.f", (Step("one", first), Step("two", second))))
    a.go()
    saga = a.ended(a.start("t.f", word="hello"))
    assert saga.status == DONE
    assert ran == [("first", "hello", "s", "req-1"), ("second", 7, {"row"})]


def test_each_process_runs_the_flows_of_its_own_packages(bench):
    ran = []
    flows = (Flow("bulk_data.f", (Step("one", mark(ran, "data")),)), Flow("t.f", (Step("one", mark(ran, "control")),)))
    data = bench(*flows, owner="data", packages=["bulk_data"])
    data.go()
    others = data.start("t.f")
    data.ended(data.start("bulk_data.f", "another"))
    assert ran == ["data"]
    control = bench(*flows, owner="control", packages=["t", "u"])
    control.go()
    control.ended(others)
    assert ran == ["data", "control"]


def test_rows_that_the_database_refuses_fail_the_step(db, bench):
    db.write(put_lease("taken"))
    flow = Flow("t.f", (Step("one", lambda run: put_lease("taken")),), failed=lambda run: put_lease("told"))
    a = bench(flow)
    a.go()
    saga = a.ended(a.start("t.f"))
    assert saga.status == FAILED
    assert "IntegrityError" in saga.error
    assert lease_names(db) == {"taken", "told"}


def test_an_undo_whose_rows_are_refused_is_tried_again(db, bench):
    names = iter(["taken", "free"])
    db.write(put_lease("taken"))

    def breaks(run):
        raise Conflict("no room")

    a = bench(Flow("t.f", (Step("one", breaks, lambda run: put_lease(next(names))),)))
    a.go()
    assert a.ended(a.start("t.f")).status == FAILED
    assert lease_names(db) == {"taken", "free"}


def test_a_failed_step_is_undone_backwards_itself_first(db, bench):
    ran = []

    def breaks(run):
        ran.append("three")
        raise Conflict("no room")

    flow = Flow(
        "t.f",
        (
            Step("one", mark(ran, "one"), mark(ran, "undo one")),
            Step("two", mark(ran, "two")),
            Step("three", breaks, mark(ran, "undo three")),
        ),
        failed=lambda run: ran.append(f"failed: {run.error}") or put_lease("failed"),
    )
    a = bench(flow)
    a.go()
    saga = a.ended(a.start("t.f"))
    assert (saga.status, saga.error) == (FAILED, "no room")
    assert ran == ["one", "two", "three", "undo three", "undo one", "failed: no room"]
    assert lease_names(db) == {"failed"}


def test_a_bug_in_a_step_undoes_too(db, bench):
    ran = []
    flow = Flow("t.f", (Step("one", mark(ran, "one"), mark(ran, "undo one")), Step("two", lambda run: 1 / 0)))
    a = bench(flow)
    a.go()
    saga = a.ended(a.start("t.f"))
    assert saga.status == FAILED
    assert "ZeroDivisionError" in saga.error
    assert ran == ["one", "undo one"]


def test_a_commit_that_is_refused_undoes_its_step(db, bench):
    ran = []

    def refused(tx):
        put_lease("half")(tx)
        raise Conflict("taken meanwhile")

    flow = Flow("t.f", (Step("one", lambda run: refused, mark(ran, "undo one")),))
    a = bench(flow)
    a.go()
    saga = a.ended(a.start("t.f"))
    assert (saga.status, saga.error, ran) == (FAILED, "taken meanwhile", ["undo one"])
    assert lease_names(db) == set()


def test_not_ready_is_tried_again(db, bench):
    tries = []

    def later(run):
        tries.append(1)
        if len(tries) < 3:
            raise NotReady("host away")

    a = bench(Flow("t.f", (Step("one", later),)))
    a.go()
    assert a.ended(a.start("t.f")).status == DONE
    assert len(tries) == 3


def test_a_failing_undo_is_tried_again(db, bench):
    tries = []

    def undo(run):
        tries.append(1)
        if len(tries) < 3:
            raise OSError("busy")

    a = bench(Flow("t.f", (Step("one", lambda run: 1 / 0, undo),)))
    a.go()
    assert a.ended(a.start("t.f")).status == FAILED
    assert len(tries) == 3


def test_sagas_of_one_subject_wait_for_each_other_and_others_do_not(db, bench):
    gate, ran = threading.Event(), []

    def slow(run):
        gate.wait(10)
        ran.append("slow")

    a = bench(Flow("t.slow", (Step("one", slow),)), Flow("t.next", (Step("one", lambda run: ran.append(run.subject)),)))
    a.go()
    first, second, other = a.start("t.slow"), a.start("t.next"), a.start("t.next", "other")
    a.ended(other)
    assert ran == ["other"]
    gate.set()
    a.ended(first)
    a.ended(second)
    assert ran == ["other", "slow", "s"]


class Mute(Memory):
    """Nobody is woken."""

    def tell(self, tx, topic, key=""):
        return None


def test_what_begins_here_need_not_be_found(db, bench, monkeypatch):
    if not db.is_at_hand:
        pytest.skip("with a server between, sagas are found by looking")
    monkeypatch.setattr("cumulet.kernel.saga.RESCAN", 60.0)
    gate, ran = threading.Event(), []

    def slow(run):
        gate.wait(10)
        ran.append(run.args["words"])

    a = bench(
        Flow("t.slow", (Step("one", slow),)), Flow("t.next", (Step("one", lambda run: ran.append("next")),)), bus=Mute()
    )
    a.go()
    first = a.start("t.slow", words=("as", "stored"))
    held = a.sagas.find(db, first)
    assert (held.owner, held.fence, held.lease_until > clock.now()) == ("a", 1, True)
    second = a.start("t.next")
    assert a.sagas.find(db, second).owner is None
    gate.set()
    a.ended(first)
    a.ended(second)
    assert ran == [["as", "stored"], "next"]


def test_a_saga_of_a_transaction_that_is_undone_never_begins(db, bench):
    ran = []
    a = bench(Flow("t.f", (Step("one", mark(ran, "one")),)))
    a.go()

    def write(tx):
        a.sagas.start(tx, "t.f", "undone")
        raise KeyError("undo")

    with pytest.raises(KeyError):
        db.write(write)
    a.ended(a.start("t.f"))
    assert ran == ["one"]


def test_a_cancelled_saga_undoes_what_it_did(db, bench):
    ran, reached, gate = [], threading.Event(), threading.Event()

    def wait(run):
        reached.set()
        gate.wait(10)

    flow = Flow("t.f", (Step("one", wait, mark(ran, "undo one")), Step("two", mark(ran, "two"))))
    a = bench(flow)
    a.go()
    saga_id = a.start("t.f")
    assert reached.wait(10)
    assert db.write(lambda tx: a.sagas.cancel(tx, "s")) == 1
    gate.set()
    saga = a.ended(saga_id)
    assert (saga.status, saga.error, ran) == (FAILED, "cancelled", ["undo one"])


def test_an_owner_that_lost_its_lease_cannot_commit(db, bench):
    reached, gate = threading.Event(), threading.Event()

    def wait(run):
        reached.set()
        gate.wait(10)
        return put_lease(f"by {threading.current_thread().name}")

    a = bench(Flow("t.f", (Step("one", wait),)))
    a.go()
    saga_id = a.start("t.f")
    assert reached.wait(10)
    taken = {"owner": "b", "fence": tables.saga.c.fence + 1, "lease_until": clock.now() + 60}
    db.write(lambda tx: sql.execute(tx, update(tables.saga).values(taken)))
    gate.set()
    time.sleep(0.3)
    saga = a.sagas.find(db, saga_id)
    assert (saga.owner, saga.step, saga.finished_at) == ("b", 0, None)
    assert lease_names(db) == set()


def test_a_step_may_send_its_saga_back(bench):
    """What was done before is done anew, with what the steps remember; what is undone is undone once."""
    ran = []

    def second(run):
        tried = run.state.setdefault("tried", 0) + 1
        ran.append(f"second {tried}")
        run.state["tried"] = tried
        if tried == 3:
            raise Conflict("enough")
        run.go_on_at = "first"
        return None

    steps = Step("first", mark(ran, "first"), mark(ran, "no first")), Step("second", second, mark(ran, "no second"))
    a = bench(Flow("t.f", steps))
    a.go()
    assert a.ended(a.start("t.f")).status == FAILED
    assert ran == ["first", "second 1", "first", "second 2", "first", "second 3", "no second", "no first"]


def test_what_still_runs_here_is_not_taken_again(db, bench):
    """Its lease may run out where nobody had the time to extend it; nobody else has taken it."""
    ran, begun, go_on = [], threading.Event(), threading.Event()

    def slow(run):
        ran.append("slow")
        begun.set()
        go_on.wait(10)

    a = bench(Flow("t.f", (Step("one", slow),)), Flow("t.other", (Step("one", mark(ran, "other")),)))
    a.go()
    held = a.start("t.f")
    assert begun.wait(10)
    db.write(lambda tx: sql.execute(tx, update(tables.saga).values(lease_until=0.0)))
    a.ended(a.start("t.other", "another"))  # it has looked at what there is since
    go_on.set()
    assert (a.ended(held).status, ran) == (DONE, ["slow", "other"])


def test_another_owner_takes_over_after_the_lease_only(db, bench):
    ran = []
    flow = Flow("t.f", (Step("one", mark(ran, "one")),))
    a = bench(flow, owner="b")
    saga_id = a.start("t.f")
    end = clock.now() + 1.5
    dead = {"owner": "a", "lease_until": end}
    db.write(lambda tx: sql.execute(tx, update(tables.saga).values(dead)))
    a.go()
    assert a.ended(saga_id).finished_at > end
    assert ran == ["one"]


CHILD = """
import sys, threading
from pathlib import Path
from types import SimpleNamespace
from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db import Database, migrate, sql, tables
from cumulet.kernel.saga import Flow, Sagas, Step
log = Path(sys.argv[2])
def act(word):
    def do(run):
        with log.open("a") as sink:
            sink.write(word + "\\n")
        return lambda tx: sql.execute(tx, tables.lease.insert().values(name=word, owner="x", until=0.0))
    return do
flow = Flow("t.f", (Step("one", act("one")), Step("two", act("two")), Step("three", act("three"))))
db = Database.sqlite(Path(sys.argv[1]), durable=False)
migrate.migrate(db, {})
sagas = Sagas(db, Memory(), {"t.f": flow}.__getitem__, "a")
if sys.argv[3] == "first":
    db.write(lambda tx: sagas.start(tx, "t.f", "s"))
sagas.run(SimpleNamespace(db=db))
while sagas.unfinished(db, "s"):
    threading.Event().wait(0.02)
"""


@pytest.mark.parametrize(
    ("step", "moment"), [("one", "before"), ("two", "before"), ("two", "inside"), ("two", "after"), ("three", "inside")]
)
def test_a_killed_process_resumes_at_the_interrupted_step(tmp_path, step, moment):
    faults = tmp_path / "faults"
    faults.write_text(f"t.f.{step}:{moment}")
    argv = [sys.executable, "-c", CHILD, str(tmp_path / "s.db"), str(tmp_path / "log")]
    environment = {**os.environ, "CUMULET_FAULTS": str(faults)}
    killed = subprocess.run([*argv, "first"], env=environment, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert subprocess.run([*argv, "again"], env=environment, timeout=60).returncode == 0
    steps = ["one", "two", "three"]
    if moment == "inside":
        steps.insert(steps.index(step), step)
    assert (tmp_path / "log").read_text().split() == steps
    db = Database.sqlite(tmp_path / "s.db")
    assert lease_names(db) == {"one", "two", "three"}
    db.close()


def test_the_places_of_a_flow_are_named_for_the_kill_tests():
    steps = (Step("one", lambda run: None), Step("two", lambda run: None, lambda run: None))
    assert places([Flow("t.f", steps)]) == [
        *(f"t.f.{step}:{moment}" for step in ("one", "two") for moment in ("before", "inside", "after")),
        "t.f.two:undo",
        "t.f.two:undone",
        "t.f.failed:undo",
        "t.f.failed:undone",
    ]
