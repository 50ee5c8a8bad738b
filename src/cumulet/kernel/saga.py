# SPDX-License-Identifier: Apache-2.0
"""Durable slow work: named steps that checkpoint in the same commit as the rows that they change.

A flow is a list of steps. A step does its work outside the database and returns a function `commit(tx)` with the rows
that follow from it; the kernel commits those rows together with the saga's progress. After a crash the interrupted step
runs again, so steps are idempotent. When a step fails, the undo of it and of the steps before it run backwards, then
the flow's `failed` says in one last commit what became of the subject. Sagas of one subject run one after the other,
in the order in which they were started. A saga is held under a lease, and each checkpoint is fenced: an owner that
lost the lease finds its commit refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from sqlalchemy import Float, Select, and_, bindparam, exists, false, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from cumulet.kernel import clock, faults, log
from cumulet.kernel.bus import Bus
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Away, Busy, Source, Tx
from cumulet.kernel.errors import CumuletError, NotReady

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud

LOG = logging.getLogger(__name__)

TOPIC = "kernel.saga"
LEASE = 30.0  # seconds that an owner holds a saga without a word
RESCAN = 1.0  # seconds: how late a saga can be whose wake-up was lost
PATIENCE = 600.0  # seconds that one step may keep answering "not ready"
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds between attempts of one step
KEEP = 86_400.0  # seconds that an ended saga can be looked up
WORKERS = 32  # threads; most of them are parked, waiting for hosts

RUNNING, UNDOING, DONE, FAILED = "running", "undoing", "done", "failed"

# Kept: to make a statement costs ten times as much as to run it.
_STARTED = (
    "flow", "subject", "request_id", "args", "state", "status", "step", "cancelled", "attempts", "wake_at",
    "step_since", "owner", "lease_until", "fence", "created_at",
)  # fmt: skip
_START = (
    tables.saga.insert()
    .values({name: bindparam(f"new_{name}", type_=tables.saga.c[name].type) for name in _STARTED})
    .returning(tables.saga.c.id)
)
_UNFINISHED = (
    select(tables.saga.c.id)
    .where(tables.saga.c.subject == bindparam("subject"), tables.saga.c.finished_at.is_(None))
    .limit(1)
)
_CANCELLED = select(tables.saga.c.cancelled).where(tables.saga.c.id == bindparam("saga"))
_TAKE = (
    update(tables.saga)
    .where(tables.saga.c.id.in_(bindparam("ids", expanding=True)))
    .values(owner=bindparam("new_owner"), lease_until=bindparam("until"), fence=tables.saga.c.fence + 1)
)

Commit = Callable[[Tx], Any]


class Fenced(Exception):
    """Another owner holds the saga now; this one's work is void."""


class Saga(msgspec.Struct):
    """A row of the saga table. Times are seconds since the epoch; `step` counts from 0.

    `error` is why it is undone or, of one that runs, why its step waits.
    """

    id: int
    flow: str
    subject: str
    request_id: str
    args: dict[str, Any]
    state: dict[str, Any]
    status: str
    step: int
    cancelled: bool
    error: str | None
    attempts: int
    wake_at: float
    step_since: float
    owner: str | None
    lease_until: float
    fence: int
    created_at: float
    finished_at: float | None


@dataclass
class Run:
    """What a step is given.

    `args` are what the saga was started with, never changed. `state` is the steps' own memory: what a step puts there
    is kept with its checkpoint. `subject` is the id of what the saga is about. `error` is set while undoing. A step
    that names another in `go_on_at` ends well, and the saga goes on there: back at one that has to be done anew.
    """

    cloud: Cloud
    id: int
    subject: str
    args: Mapping[str, Any]
    state: dict[str, Any]
    request_id: str
    error: str | None = None
    go_on_at: str | None = None


Action = Callable[[Run], Commit | None]


@dataclass(frozen=True)
class Step:
    """One idempotent piece of a flow; `undo` takes back what `do` may have done, wholly or in part."""

    name: str
    do: Action
    undo: Action | None = None


@dataclass(frozen=True)
class Flow:
    """A slow action. `failed(run)` is asked for the last commit after everything was undone; `run.error` says why."""

    name: str
    steps: tuple[Step, ...]
    failed: Action = field(default=lambda run: None)


class Sagas:
    """Starts sagas, and runs those that this process gets hold of.

    It looks for flows of `packages` alone (the part of their names before the dot), or of all where None is given.
    """

    def __init__(
        self,
        db: Database,
        bus: Bus,
        find_flow: Callable[[str], Flow],
        owner: str,
        packages: Collection[str] | None = None,
    ) -> None:
        self._db = db
        self._bus = bus
        self._find_flow = find_flow
        self._owner = owner
        self._packages = packages
        # Made once: building it takes ten times as long as running it, and it is run whenever a saga starts or ends.
        self._due = _due(packages)
        # Replicas that look at the same time each take others.
        self._due_locked = self._due.with_for_update(of=tables.saga, skip_locked=True)
        self._cloud: Cloud | None = None
        self._begun = False
        self._pool = ThreadPoolExecutor(WORKERS, "saga")
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._held: dict[int, int] = {}  # id to fence
        self._dropped: dict[int, int] = {}  # likewise: held in the database, but nobody here works on them
        self._threads: list[threading.Thread] = []

    def start(
        self, tx: Tx, flow: str, subject: str, args: Mapping[str, Any] | None = None, request_id: str = ""
    ) -> int:
        """Write a saga; it begins once the transaction has committed. Returns its id."""
        now = clock.now()
        # The ids of one subject's sagas must rise in the order of their commits.
        tx.lock(f"saga:{subject}")
        mine = self._may_begin(tx, flow, subject)
        saga = Saga(
            id=0,
            flow=flow,
            subject=subject,
            request_id=request_id,
            args=orjson.loads(orjson.dumps(dict(args or {}))),
            state={},
            status=RUNNING,
            step=0,
            cancelled=False,
            error=None,
            attempts=0,
            wake_at=now,
            step_since=now,
            owner=self._owner if mine else None,
            lease_until=now + LEASE if mine else 0.0,
            fence=1 if mine else 0,
            created_at=now,
            finished_at=None,
        )
        saga.id = int(sql.insert_one(tx, _START, {f"new_{name}": getattr(saga, name) for name in _STARTED}))
        if mine:
            tx.after_commit(lambda: self._begin(saga))
        else:
            self._bus.tell(tx, TOPIC, str(saga.id))
        return saga.id

    def cancel(self, tx: Tx, subject: str) -> int:
        """Ask the unfinished sagas of `subject` to undo what they did; returns how many there were."""
        values = {"cancelled": True, "wake_at": clock.now()}
        found = sql.change(tx, tables.saga, values, subject=subject, finished_at=None, status=RUNNING)
        if found:
            self._bus.tell(tx, TOPIC)
        return found

    def unfinished(self, source: Source, subject: str) -> list[Saga]:
        """The sagas of `subject` that have not ended, oldest first."""
        return sql.find_all(source, tables.saga, Saga, ("id",), subject=subject, finished_at=None)

    def find(self, source: Source, saga_id: int) -> Saga | None:
        return sql.find(source, tables.saga, Saga, id=saga_id)

    def run(self, cloud: Cloud) -> None:
        """Begin to work: take back what a former life of this owner held, then whatever is free."""
        self._cloud = cloud
        own = tables.saga.c.owner == self._owner
        self._db.write(lambda tx: sql.execute(tx, update(tables.saga).where(own).values(owner=None, lease_until=0.0)))
        self._bus.hear(TOPIC, lambda _: self._wake.set())
        for name, target in (("saga-scan", self._scan_loop), ("saga-lease", self._lease_loop)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._begun = True

    @property
    def stopping(self) -> bool:
        """Whether this process ends: a step that would take long had better raise NotReady, and go on elsewhere."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Take no more work; steps under way are given up, and resumed by the next owner."""
        self._stop.set()
        self._wake.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads:
            thread.join(5)

    def prune(self) -> None:
        """Forget sagas that ended long ago."""
        old = tables.saga.c.finished_at < clock.now() - KEEP
        self._db.write(lambda tx: sql.execute(tx, tables.saga.delete().where(old)))

    def _may_begin(self, tx: Tx, flow: str, subject: str) -> bool:
        """Whether a saga is held from its first row on, and need not be found: the first one of its subject, here.

        With a server between, the look at the others would meet their transactions.
        """
        ours = self._packages is None or flow.partition(".")[0] in self._packages
        if not ours or not self._begun or self._stop.is_set() or len(self._held) >= WORKERS:
            return False
        return self._db.is_at_hand and sql.scalar(tx, _UNFINISHED, {"subject": subject}) is None

    def _begin(self, saga: Saga) -> None:
        """Work on a saga that is held already."""
        self._held[saga.id] = saga.fence
        try:
            self._pool.submit(self._work, saga)
        except RuntimeError:  # this process ends: the next one takes back what was its own
            del self._held[saga.id]

    def _scan_loop(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(RESCAN)
            self._wake.clear()
            try:
                self._release()
                for saga in self._claim():
                    self._pool.submit(self._work, saga)
            except Away:
                LOG.warning("sagas wait for the database")
            except Exception:
                if not self._stop.is_set():
                    LOG.exception("sagas could not be scanned")

    def _release(self) -> None:
        """Give back what could not be worked on, most likely because the database was away."""
        for saga_id, fence in list(self._dropped.items()):
            saga = tables.saga.c
            mine = [saga.id == saga_id, saga.owner == self._owner, saga.fence == fence]
            free = update(tables.saga).where(*mine).values(owner=None)
            self._db.write(lambda tx, f=free: sql.execute(tx, f), loose=True)  # type: ignore[misc]
            del self._dropped[saga_id]

    def _claim(self) -> list[Saga]:
        room = WORKERS - len(self._held)
        if room <= 0 or not sql.column(self._db, self._due, {}):
            return []

        def take(tx: Tx) -> list[Saga]:
            # What runs here is this process's own, though its lease ran out while nothing could be done for it.
            ids = [each for each in sql.column(tx, self._due_locked, {}) if each not in self._held][:room]
            if not ids:
                return []
            sql.execute(tx, _TAKE, {"ids": ids, "new_owner": self._owner, "until": clock.now() + LEASE})
            return sql.find_all(tx, tables.saga, Saga, ("id",), id=ids)

        taken = self._db.write(take, loose=True)
        self._held.update({saga.id: saga.fence for saga in taken})
        return taken

    def _lease_loop(self) -> None:
        saga = tables.saga
        while not self._stop.wait(LEASE / 3):
            held = dict(self._held)
            if not held:
                continue
            values = {"lease_until": clock.now() + LEASE}
            mine = or_(*(and_(saga.c.id == key, saga.c.fence == fence) for key, fence in held.items()))
            extend = update(saga).where(saga.c.owner == self._owner, mine).values(values)
            try:
                self._db.write(lambda tx, e=extend: sql.execute(tx, e), loose=True)  # type: ignore[misc]
            except NotReady as error:
                LOG.warning("the leases of %d sagas are not extended: %s", len(held), error)

    def _work(self, saga: Saga) -> None:
        log.request_id.set(saga.request_id)
        try:
            while not self._stop.is_set() and saga.finished_at is None and saga.wake_at <= clock.now():
                self._advance(saga)
        except Fenced:
            LOG.warning("saga %s %s was taken over", saga.id, saga.flow)
        except (Away, Busy) as error:
            LOG.warning("saga %s %s has to wait: %s", saga.id, saga.flow, error)
            self._dropped[saga.id] = saga.fence
        except Exception:
            if not self._stop.is_set():
                LOG.exception("saga %s %s could not be advanced", saga.id, saga.flow)
            self._dropped[saga.id] = saga.fence
        finally:
            if self._held.get(saga.id) == saga.fence:
                del self._held[saga.id]
            self._wake.set()

    def _advance(self, saga: Saga) -> None:
        assert self._cloud is not None
        flow = self._find_flow(saga.flow)
        error = saga.error if saga.status == UNDOING else None
        run = Run(self._cloud, saga.id, saga.subject, saga.args, dict(saga.state), saga.request_id, error)
        if saga.status == RUNNING:
            self._forward(saga, flow, run)
        elif saga.step >= 0:
            step = flow.steps[saga.step]
            self._backward(saga, run, f"{flow.name}.{step.name}", step.undo, step=saga.step - 1)
        else:
            ending = {"status": FAILED, "finished_at": clock.now(), "owner": None}
            self._backward(saga, run, f"{flow.name}.{FAILED}", flow.failed, **ending)

    def _forward(self, saga: Saga, flow: Flow, run: Run) -> None:
        if self._cancelled(saga):
            return self._turn_back(saga, run, "cancelled", saga.step - 1)
        step = flow.steps[saga.step]
        place = f"{flow.name}.{step.name}"
        try:
            faults.point(f"{place}:before")
            commit = step.do(run)
            faults.point(f"{place}:inside")
        except NotReady as error:
            return self._wait(saga, run, error)
        except CumuletError as error:
            LOG.info("saga %s %s: %s", saga.id, place, error.message)
            return self._turn_back(saga, run, error.message, saga.step)
        except Exception as error:
            LOG.exception("saga %s: step %s failed", saga.id, place)
            return self._turn_back(saga, run, f"{type(error).__name__}: {error}", saga.step)
        following = saga.step + 1 if run.go_on_at is None else [each.name for each in flow.steps].index(run.go_on_at)
        last = following == len(flow.steps)
        ending = {"status": DONE, "finished_at": clock.now(), "owner": None} if last else {}
        try:
            self._commit(saga, run, commit, step=following, **ending)
        except (Away, Busy):
            raise  # no reason to undo anything: the step runs again
        except NotReady as error:
            return self._wait(saga, run, error)
        except CumuletError as error:
            return self._turn_back(saga, run, error.message, saga.step)
        except IntegrityError as error:
            # To run again what the database refuses would never end.
            LOG.exception("saga %s: the rows of step %s are refused", saga.id, place)
            return self._turn_back(saga, run, f"{type(error).__name__}: {error.orig}", saga.step)
        faults.point(f"{place}:after")

    def _backward(self, saga: Saga, run: Run, place: str, undo: Action | None, **values: Any) -> None:
        """Take one step back; where that cannot be done it is tried again for a while, then given up."""
        try:
            commit = None
            if undo is not None:
                faults.point(f"{place}:undo")
                commit = undo(run)
                faults.point(f"{place}:undone")
            self._commit(saga, run, commit, **values)
        except (Fenced, Away, Busy):
            raise
        except Exception as error:
            if clock.now() - saga.step_since <= PATIENCE:
                LOG.warning("saga %s: undo of %s has to wait: %s", saga.id, place, error)
                return self._later(saga, str(error))
            LOG.exception("saga %s: undo of %s is given up", saga.id, place)
            self._commit(saga, run, None, **values)

    def _cancelled(self, saga: Saga) -> bool:
        return bool(sql.scalar(self._db, _CANCELLED, {"saga": saga.id}))

    def _turn_back(self, saga: Saga, run: Run, error: str, step: int) -> None:
        run.error = error
        self._commit(saga, run, None, status=UNDOING, step=step, error=error)

    def _wait(self, saga: Saga, run: Run, error: NotReady) -> None:
        """Try the step again, for a while."""
        if clock.now() - saga.step_since > PATIENCE:
            return self._turn_back(saga, run, error.message, saga.step)
        return self._later(saga, error.message)

    def _later(self, saga: Saga, reason: str) -> None:
        pause = BACKOFF[min(saga.attempts, len(BACKOFF) - 1)]
        LOG.info("saga %s %s waits %.1f s: %s", saga.id, saga.flow, pause, reason)
        values: dict[str, Any] = {"attempts": saga.attempts + 1, "wake_at": clock.now() + pause, "owner": None}
        if saga.status == RUNNING:
            values["error"] = reason
        self._db.write(lambda tx: self._update(tx, saga, values), loose=True)

    def _commit(self, saga: Saga, run: Run, commit: Commit | None, **values: Any) -> None:
        if "step" in values and (values["step"] != saga.step or run.go_on_at is not None):
            moved = {"attempts": 0, "step_since": clock.now()}
            values = {**moved, **({"error": None} if saga.status == RUNNING else {}), **values}

        def write(tx: Tx) -> None:
            self._update(tx, saga, {**values, "state": run.state})
            if commit is not None:
                commit(tx)

        self._db.write(write, loose=commit is None)
        saga.state = run.state
        for name, value in values.items():
            setattr(saga, name, value)

    def _update(self, tx: Tx, saga: Saga, values: Mapping[str, Any]) -> None:
        if sql.change(tx, tables.saga, values, id=saga.id, owner=self._owner, fence=saga.fence) != 1:
            raise Fenced
        if "wake_at" in values:
            saga.wake_at = values["wake_at"]


def _due(packages: Collection[str] | None) -> Select[Any]:
    """Ids of the sagas of these packages that are due, free, and the oldest unfinished one of their subject."""
    saga = tables.saga
    ours = [saga.c.flow.startswith(f"{package}.", autoescape=True) for package in sorted(packages or ())]
    earlier = tables.saga.alias("earlier")
    now = bindparam("now", callable_=lambda: clock.now(), type_=Float)
    return (
        select(saga.c.id)
        .where(
            saga.c.finished_at.is_(None),
            saga.c.wake_at <= now,
            true() if packages is None else or_(false(), *ours),
            or_(saga.c.owner.is_(None), saga.c.lease_until < now),
            ~exists(
                select(earlier.c.id).where(
                    earlier.c.subject == saga.c.subject, earlier.c.finished_at.is_(None), earlier.c.id < saga.c.id
                )
            ),
        )
        .order_by(saga.c.id)
        .limit(WORKERS)
    )


def places(flows: Iterable[Flow]) -> list[str]:
    """Every named place of `flows` at which a process may die (`kernel.faults`).

    `before` and `inside` a step, `after` its commit; before (`undo`) and after (`undone`) a step is taken back, the
    latter before its commit; the same two of the flow's `failed`.
    """
    return [
        place
        for flow in flows
        for place in (
            *(f"{flow.name}.{step.name}:{moment}" for step in flow.steps for moment in ("before", "inside", "after")),
            *(f"{flow.name}.{step.name}:{moment}" for step in flow.steps if step.undo for moment in ("undo", "undone")),
            *(f"{flow.name}.{FAILED}:{moment}" for moment in ("undo", "undone")),
        )
    ]
