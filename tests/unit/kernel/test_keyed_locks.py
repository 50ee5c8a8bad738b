# SPDX-License-Identifier: Apache-2.0
"""Locks by key: one thread at a time for each, also for those who come while another waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cumulet.kernel.keyed_locks import KeyedLocks

PATIENCE = 60.0


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def is_free(locks: KeyedLocks, key: str) -> bool:
    try:
        with locks.hold(key, timeout=0):
            return True
    except TimeoutError:
        return False


def test_a_key_has_one_holder(others: ThreadPoolExecutor) -> None:
    locks = KeyedLocks()
    with locks.hold("a"), locks.hold("a"):
        assert not others.submit(is_free, locks, "a").result(PATIENCE)
        assert others.submit(is_free, locks, "b").result(PATIENCE)
    assert others.submit(is_free, locks, "a").result(PATIENCE)


def test_who_comes_after_a_waiter_waits_too(others: ThreadPoolExecutor) -> None:
    locks, holds, leave = KeyedLocks(), threading.Event(), threading.Event()

    def wait_and_hold() -> None:
        with locks.hold("a"):
            holds.set()
            assert leave.wait(PATIENCE)

    with locks.hold("a"):
        waiting = others.submit(wait_and_hold)
    assert holds.wait(PATIENCE)
    try:
        assert not others.submit(is_free, locks, "a").result(PATIENCE)
    finally:
        leave.set()
    waiting.result(PATIENCE)


def test_what_a_holder_raises_lets_go(others: ThreadPoolExecutor) -> None:
    locks = KeyedLocks()
    with pytest.raises(KeyError), locks.hold("a"):
        raise KeyError
    assert others.submit(is_free, locks, "a").result(PATIENCE)
