# SPDX-License-Identifier: Apache-2.0
"""Threads that let one another finish, and wait for nobody who hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from cumulet.services.object_store.drivers.local import turns
from cumulet.services.object_store.drivers.local.turns import Turn, Turns
from support.waiting import until


class Worker:
    """Has a turn until it is told to end it."""

    def __init__(self, asked: Turns) -> None:
        self.begun, self._end = threading.Event(), threading.Event()
        self._asked, self._turn = asked, Turn()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        asked.ask(self._turn)

    def end(self) -> None:
        self._end.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        self._turn.wait()
        self.begun.set()
        assert self._end.wait(20)
        self._asked.over(self._turn)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda wait: monkeypatch.setattr(turns, "WAIT", wait)


def test_one_after_the_other_in_the_order_in_which_they_asked(patient: Callable[[float], None]) -> None:
    patient(20.0)
    asked = Turns()
    workers = [Worker(asked) for _ in range(3)]
    for at, worker in enumerate(workers):
        assert worker.begun.wait(20)
        assert not any(later.begun.wait(0.02) for later in workers[at + 1 :])
        worker.end()
    again = Worker(asked)
    assert again.begun.wait(20)
    again.end()


def test_nobody_waits_for_what_hangs(patient: Callable[[float], None]) -> None:
    patient(0.01)
    asked = Turns()
    hanging, behind = Worker(asked), Worker(asked)
    assert hanging.begun.wait(20)
    assert behind.begun.wait(20)
    last = Worker(asked)
    patient(20.0)
    hanging.end()  # is not the end of the turn of whoever took its place
    behind.end()
    assert last.begun.wait(20)
    last.end()


def test_nobody_looks_on_when_all_is_quiet(patient: Callable[[float], None]) -> None:
    patient(0.01)
    asked, before = Turns(), set(threading.enumerate())
    for _ in range(2):
        workers = [Worker(asked) for _ in range(2)]
        assert workers[1].begun.wait(20)
        for worker in workers:
            worker.end()
        until(lambda: before.issuperset(threading.enumerate()))
