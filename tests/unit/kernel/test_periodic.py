# SPDX-License-Identifier: Apache-2.0
"""Periodic work: one replica at a time, and a failure stops nothing."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from cumulet.kernel import clock
from cumulet.kernel.db import lease, migrate
from cumulet.kernel.periodic import Periodic, Timers


@pytest.fixture
def db(empty):
    migrate.migrate(empty, {})
    return empty


def test_a_lease_has_one_holder_until_it_ends(db):
    assert lease.take(db, "work", "a", 10)
    assert lease.take(db, "work", "a", 10)
    assert not lease.take(db, "work", "b", 10)
    assert lease.take(db, "other", "b", 10)
    later = clock.now() + 11
    clock.set_source(lambda: later)
    try:
        assert lease.take(db, "work", "b", 10)
        assert not lease.take(db, "work", "a", 10)
    finally:
        clock.set_source()


def test_work_goes_on_after_a_failure_and_for_one_replica_only(db):
    ran, enough = [], threading.Event()

    def work(owner):
        def act(cloud):
            ran.append(owner)
            if len(ran) >= 4:
                enough.set()
            raise ValueError("not today")

        return act

    cloud = SimpleNamespace(db=db)
    timers = [Timers(cloud, owner, [Periodic("work", 0.05, work(owner))]) for owner in ("a", "b")]
    for timer in timers:
        timer.start()
    assert enough.wait(10)
    assert len(set(ran)) == 1
    for timer in timers:
        timer.stop()
    assert lease.take(db, "work", "c", 1)
