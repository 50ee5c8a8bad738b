# SPDX-License-Identifier: Apache-2.0
"""A moment is everybody's or nobody's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cumulet.kernel.errors import NotReady
from cumulet.kernel.moment import Moment


def test_threads_and_coroutines_share_a_moment() -> None:
    moment, seen, guard = Moment(2), list[str](), threading.Lock()

    def note(what: str) -> None:
        with guard:
            seen.append(what)

    def thread() -> None:
        moment.ready()
        note("still")
        moment.still()
        note("begun")
        moment.begun()
        note("on")

    async def coroutine() -> None:
        await moment.async_ready()
        note("still")
        await moment.async_still()
        note("begun")
        await moment.async_begun()
        note("on")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(thread)
        asyncio.run(coroutine())
        other.result()
    assert seen == ["still"] * 2 + ["begun"] * 2 + ["on"] * 2


def test_nobody_waits_for_one_who_has_failed() -> None:
    moment = Moment(2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(moment.ready)
        moment.fail()
        with pytest.raises(NotReady):
            waiting.result()
    with pytest.raises(NotReady):
        moment.ready()
    with pytest.raises(NotReady):
        asyncio.run(moment.async_still())


def test_one_who_does_not_come_in_time_costs_the_others_their_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cumulet.kernel.moment.STILL_TIME", 0.01)
    moment = Moment(2)
    with pytest.raises(NotReady):
        moment.still()
    late = Moment(2)
    with pytest.raises(NotReady):
        asyncio.run(late.async_begun())
