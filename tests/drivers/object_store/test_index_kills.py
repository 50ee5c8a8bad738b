# SPDX-License-Identifier: Apache-2.0
"""A process that is killed takes no acknowledged row of an index with it; counts are those of the rows."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.local.index import LocalIndex
from cumulet.services.object_store.types.indexes import Key, Listing, ObjectRow

BOX = Key("a", "box")
WRITER = """
import asyncio, sys
from pathlib import Path
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone
from cumulet.services.object_store.drivers.local.index import LocalIndex
from cumulet.services.object_store.types.indexes import Key, ObjectRow

async def write():
    index = LocalIndex(Path(sys.argv[1]))
    box = Key("a", "box")
    await index.put(box, 1)

    async def put(name, stamp):
        await index.merge_objects(box, [ObjectRow(name, stamp, 3, deleted=stamp % 3 == 0)])
        print(name, stamp, flush=True)

    stamp = 1
    while True:
        stamp += 1
        await asyncio.gather(*(put(f"{number:02}", stamp) for number in range(20)))

asyncio.run(write())
"""


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    last: dict[str, int] = {}
    for _ in range(2):
        last = _written_until_killed(tmp_path, at_least=max(last.values(), default=0) * 20 + 150)
        found = asyncio.run(_look(tmp_path))
        for name, stamp in last.items():
            assert found.get(name, -1) >= stamp


def _written_until_killed(folder, at_least: int) -> dict[str, int]:
    last: dict[str, int] = {}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        try:
            for count, line in enumerate(writer.stdout, 1):
                name, stamp = line.split()
                last[name] = int(stamp)
                if count == at_least:
                    break
        finally:
            os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().splitlines()
        for line in (each for each in rest if len(each.split()) == 2 and each is not rest[-1]):
            name, stamp = line.split()
            last[name] = max(last.get(name, 0), int(stamp))
    assert len(last) == 20
    return last


async def _look(folder) -> dict[str, int]:
    """Stamps by name, tombstones too."""
    index = LocalIndex(folder)
    try:
        assert await index.audit(BOX) == []
        rows = {row.name: row.stamp for _, row in await index.object_rows(BOX, 0)}
        info, listed = await index.list_objects(BOX, Listing())
        assert info.total.objects == len(listed)
        assert [each[1] for each in await index.owed()] == [BOX]
        assert max(change for change, _ in await index.object_rows(BOX, 0)) == info.change
        return rows
    finally:
        await index.close()


def test_a_device_that_is_full_says_so_and_goes_on(tmp_path):
    asyncio.run(_fill(tmp_path))


async def _fill(folder):
    index = LocalIndex(folder)
    try:
        await index.put(BOX, 1)
        count = "PRAGMA page_count"
        pages = index._ledger.submit(lambda connection: connection.execute(count).fetchone()[0]).result()
        bound = f"PRAGMA max_page_count = {pages + 2}"
        index._ledger.submit(lambda connection: connection.execute(bound).fetchone()).result()
        with pytest.raises(DeviceFull):
            await index.merge_objects(BOX, [ObjectRow(f"{number:06}", 5) for number in range(2000)])
        assert await index.audit(BOX) == []
        assert await index.merge_objects(BOX, [ObjectRow("a", 5)]) == 1
    finally:
        await index.close()


def test_a_device_that_was_closed_says_so(tmp_path):
    asyncio.run(_close(tmp_path))


async def _close(folder):
    index = LocalIndex(folder)
    await index.put(BOX, 1)
    await index.close()
    for call in (index.put(BOX, 2), index.info(BOX), index.merge_objects(BOX, [ObjectRow("a", 5)])):
        with pytest.raises(DeviceGone):
            await call
