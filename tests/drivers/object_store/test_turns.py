# SPDX-License-Identifier: Apache-2.0
"""Threads that let one another finish, and wait for nobody who hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cumulet.services.object_store.drivers.local import turns
from cumulet.services.object_store.drivers.local.turns import Turns


class Worker:
    """Has a turn until it is told to end it."""

    def __init__(self, asked: Turns) -> None:
        self._asked = asked
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> None:
        with self._asked.take():
            self.begun.set()
            assert self.end.wait(20)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda wait: monkeypatch.setattr(turns, "WAIT", wait)


def test_one_after_the_other(patient: Callable[[float], None]) -> None:
    patient(20.0)
    asked = Turns()
    first, second = Worker(asked), Worker(asked)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert first.begun.wait(20)
        ended = pool.submit(second)
        assert not second.begun.wait(0.05)
        first.end.set()
        assert second.begun.wait(20)
        second.end.set()
        ended.result(20)


def test_nobody_waits_for_what_hangs_and_all_do_again_when_it_is_back(patient: Callable[[float], None]) -> None:
    patient(0.01)
    asked = Turns()
    hanging, next_, third, last = (Worker(asked) for _ in range(4))
    with ThreadPoolExecutor(4) as pool:
        pool.submit(hanging)
        assert hanging.begun.wait(20)
        pool.submit(next_)
        assert next_.begun.wait(20)
        patient(20.0)
        pool.submit(third)
        assert third.begun.wait(10)  # without waiting at all
        for each in (hanging, next_, third):
            each.end.set()
    with ThreadPoolExecutor(2) as pool:
        with asked.take():
            pass
        with asked.take():
            pool.submit(last)
            assert not last.begun.wait(0.05)
        assert last.begun.wait(20)
        last.end.set()
