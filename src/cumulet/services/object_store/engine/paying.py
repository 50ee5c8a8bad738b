# SPDX-License-Identifier: Apache-2.0
"""What devices owe no more, told to them in batches: a kill before that costs a row that is brought twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone, ObjectDevice

DELAY = 0.2  # seconds
MOST = 500  # ids of a device that wait


class Payer:
    """A device that does not answer within `limit` seconds owes it on."""

    def __init__(self, limit: float, delay: float = DELAY) -> None:
        self._limit = limit
        self._delay = delay
        self._due: dict[ObjectDevice, list[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._job: asyncio.Task[None] | None = None

    def paid(self, device: ObjectDevice, ids: Sequence[int]) -> None:
        """`device` is told soon that the updates `ids` were brought."""
        if not ids:
            return
        due = self._due.setdefault(device, [])
        due += ids
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._start)
        elif len(due) >= MOST:
            self._timer.cancel()
            self._start()

    async def flush(self) -> None:
        """Tell all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._start()
        while self._job is not None:
            await self._job

    def _start(self) -> None:
        self._timer = None
        if self._job is None:
            self._job = asyncio.ensure_future(self._pay())

    async def _pay(self) -> None:
        try:
            while self._due:
                device, ids = self._due.popitem()
                with contextlib.suppress(DeviceGone, DeviceFull, TimeoutError):
                    async with asyncio.timeout(self._limit):
                        await device.paid(ids)
        finally:
            self._job = None
