# SPDX-License-Identifier: Apache-2.0
"""The end of a process is heard of once, by whoever still listens, and no number of a descriptor is used twice."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.kernel.loop import Loop
from cumulet.services.block_storage.drivers.watch import Watch
from support.waiting import until


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as made:
        yield made
        made.kill()


def descriptors() -> int:
    """How many of this process are for processes."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was the listing's own
            count += "pidfd" in str(each.readlink())
    return count


def test_who_listens_hears_once(loop: Loop, process: subprocess.Popen[bytes]) -> None:
    heard: list[tuple[Watch, str]] = []
    watch = Watch(loop, process.pid, lambda one: heard.append((one, threading.current_thread().name)))
    process.kill()
    until(lambda: bool(heard))
    watch.stop()
    loop.wait(_turn())
    assert heard == [(watch, "export-ended")]


def test_who_has_stopped_hears_nothing_and_the_next_one_does(loop: Loop, process: subprocess.Popen[bytes]) -> None:
    heard: list[Watch] = []
    Watch(loop, process.pid, heard.append).stop()
    after = Watch(loop, process.pid, heard.append)
    after_that = Watch(loop, process.pid, heard.append)
    after_that.stop()
    after_that.stop()
    loop.wait(_turn())
    process.kill()
    until(lambda: bool(heard))
    assert heard == [after]


def test_nothing_is_left_open(loop: Loop, process: subprocess.Popen[bytes]) -> None:
    loop.wait(_turn())
    before = descriptors()
    ended = threading.Event()
    for watch in [Watch(loop, process.pid, lambda _: None) for _ in range(8)]:
        watch.stop()
    Watch(loop, process.pid, lambda _: ended.set())
    process.kill()
    assert ended.wait(10)
    loop.wait(_turn())
    assert descriptors() == before


def test_who_is_not_there_is_not_watched(loop: Loop, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    with pytest.raises(ProcessLookupError):
        Watch(loop, process.pid, lambda _: None)


async def _turn() -> None:
    """What was asked of the loop before has been done."""
