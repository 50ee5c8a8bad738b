# SPDX-License-Identifier: Apache-2.0
"""Limits in time of what is asked of devices, most of which answer on the spot."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def within(limit: float, work: Awaitable[T]) -> T:
    """What it returns or raises; TimeoutError after `limit` seconds.

    What does not wait at all needs no timer, of which a small upload would set ten.
    """
    begun = work.__await__()
    try:
        waits_for = next(begun)
    except StopIteration as end:
        answer: T = end.value
        return answer
    async with asyncio.timeout(limit):
        return await _rest(begun, waits_for)


@types.coroutine
def _rest(begun: Generator[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """The rest of it, as `yield from` does it from the beginning."""
    try:
        while True:
            try:
                told = yield waits_for
            except BaseException as error:
                waits_for = begun.throw(error)
            else:
                waits_for = begun.send(told)
    except StopIteration as end:
        answer: T = end.value
        return answer
