# SPDX-License-Identifier: Apache-2.0
"""Answers to requests that take long: blanks keep the connection alive until there is something to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from cumulet.services.object_store.api.message import TRUE, Request


def wanted(request: Request) -> bool:
    return request.query.get("heartbeat", "").lower() in TRUE


async def beating(
    work: Callable[[], Awaitable[bytes]], every: float, *, at_once: bool = True, separator: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """What `work` returns, behind a blank for each `every` seconds that it takes, and `separator` if there was one.

    The work ends with whoever hears it.
    """
    task = asyncio.ensure_future(work())
    beaten = at_once
    try:
        if at_once:
            yield b" "
        while not (await asyncio.wait((task,), timeout=every))[0]:
            beaten = True
            yield b" "
        yield (separator if beaten else b"") + task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
