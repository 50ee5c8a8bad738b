# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a device, says what it begins and what it was told, and is killed at a place.

    python device_worker.py ROOT NAME PLACE

A line of JSON before each write and one after it. The wish for the place is made when the device has some history.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
from pathlib import Path

from cumulet.services.object_store.drivers.local.device import LocalDevice
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import WHOLE, Address, Update, Verdict

SIZES = [0, 100, 65536, 65537, 700_000]
NAMES = 4


def address(number):
    sum_ = hashlib.md5(f"{number}".encode()).hexdigest()
    names = {"account": "a", "container": "c", "object": f"o{number}"}
    return Address(policy=0, partition=number % 2, hash=sum_, fragment=fragment(number), **names)


def fragment(number):
    """Some are fragments, and put in two steps."""
    return number if number > 1 else WHOLE


def body_of(size, stamp):
    return (hashlib.sha256(b"%d" % stamp).digest() * (size // 32 + 1))[:size]


def say(**words):
    os.write(1, (json.dumps(words) + "\n").encode())


async def write(device, verb, number, stamp, size):
    where = address(number)
    if verb == "post":
        return await device.post(where, Update(stamp=stamp, metadata={"n": str(stamp)}))
    if verb == "delete":
        return await device.delete(where, stamp)
    body = body_of(size, stamp)
    async with await device.begin(where, size) as upload:
        await upload.write(body[:300_000])
        await upload.write(body[300_000:])
        version = objects.put(stamp, size, hashlib.md5(body).hexdigest(), "text/plain", fragment=where.fragment)
        if where.fragment == WHOLE:
            return await upload.commit(version)
        assert (await upload.commit(version, pending=True)).verdict is Verdict.DONE
    return await device.confirm(where, stamp)


async def one(device, number, luck, stamp):
    verb = luck.choice(["put", "put", "put", "post", "delete"])
    size = luck.choice(SIZES)
    say(begun=[number, verb, stamp, size])
    outcome = await write(device, verb, number, stamp, size)
    assert outcome.verdict in (Verdict.DONE, Verdict.MISSING), outcome
    say(done=[number, verb, stamp, size])


async def main(root, name, place):
    device = await LocalDevice.open(Path(root), name)
    luck = random.Random(place)
    stamp = 1
    for turn in range(60):
        if turn == 12:
            Path(os.environ["CUMULET_FAULTS"]).write_text(f"{place}\n")
        await asyncio.gather(*(one(device, number, luck, stamp + number) for number in range(NAMES)))
        stamp += NAMES
    say(survived=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
