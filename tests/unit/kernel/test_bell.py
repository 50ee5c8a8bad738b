# SPDX-License-Identifier: Apache-2.0
"""Signals wake the main thread, whatever it was doing when they came."""

from __future__ import annotations

import signal
import threading

from cumulet.kernel.bell import Bell


def test_signals_that_come_at_any_moment_wake_the_main_thread() -> None:
    bell = Bell()
    before = signal.getsignal(signal.SIGALRM)
    bell.ring_at(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)
    try:
        assert all(bell.wait(30) for _ in range(5000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGALRM, before)


def test_signals_that_come_to_another_thread_wake_the_main_thread() -> None:
    """As they do once a frozen process goes on: the main thread has not woken yet."""
    bell, may_end = Bell(), threading.Event()
    before = signal.getsignal(signal.SIGALRM)
    bell.ring_at(signal.SIGALRM)
    other = threading.Thread(target=may_end.wait)
    other.start()
    assert other.ident is not None
    sender = threading.Timer(0.2, signal.pthread_kill, [other.ident, signal.SIGALRM])
    try:
        sender.start()
        assert bell.wait(30)
    finally:
        may_end.set()
        for thread in (sender, other):
            thread.join()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGALRM, before)


def test_several_rings_are_one() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_another_thread_rings() -> None:
    bell = Bell()
    threading.Timer(0.05, bell.ring).start()
    assert bell.wait(30)
