# SPDX-License-Identifier: Apache-2.0
"""Devices of this machine, opened."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.local.device import CATALOGUE, LocalDevice
from cumulet.services.object_store.drivers.local.index import FILE, LocalIndex
from cumulet.services.object_store.drivers.local.ledger import settle
from cumulet.services.object_store.engine.places import Node


@contextlib.asynccontextmanager
async def opened(folder: Path, name: str, *, durable: bool = True, reserve: int = 0) -> AsyncIterator[Node]:
    """The device `name` in `folder`, made with `files.make`; what a kill has left there is swept.

    DeviceGone where the folder is not that device, Conflict (`DeviceInUse`) where another process has it.
    """
    objects = await LocalDevice.open(folder, name, durable=durable, reserve=reserve)
    try:
        # Behind the lock that the device holds.
        if durable:
            await asyncio.get_running_loop().run_in_executor(None, _settle, folder)
        await objects.sweep()
        indexes = await asyncio.get_running_loop().run_in_executor(None, partial(LocalIndex, folder, durable=durable))
        try:
            yield Node(objects=objects, indexes=indexes)
        finally:
            await indexes.close()
    finally:
        await objects.close()


def _settle(folder: Path) -> None:
    try:
        for name in (CATALOGUE, FILE):
            settle(folder / name)
    except sqlite3.Error as error:
        raise DeviceGone(f"The device does not answer: {error}.", code="DeviceGone") from error
