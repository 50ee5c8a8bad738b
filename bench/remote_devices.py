# SPDX-License-Identifier: Apache-2.0
"""What a device of another process costs beside one of one's own: CPU of both processes for each request.

    python -m bench.remote_devices FOLDER

FOLDER is on the disk to be measured on. Bodies are summed by the caller, as the engine does for several replicas.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.drivers.local.device import LocalDevice
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote.connection import Connection, Here
from cumulet.services.object_store.drivers.remote.devices import node
from cumulet.services.object_store.drivers.remote.server import DeviceServer
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import Address

WHERE = ("127.0.0.1", 6200, "d0")
CELLS = [(1 << 10, 1500, (1, 8, 32)), (16 << 20, 10, (1, 4))]  # bytes, requests, how many at once
PIECE = 1 << 18
NAMES = 200


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def address(name):
    sum_ = hashlib.md5(name.encode()).hexdigest()
    return Address(policy=0, partition=1, hash=sum_, account="AUTH_a", container="c", object=name)


async def put(device, name, body, etag):
    async with await device.begin(address(name), len(body), summed=True) as upload:
        for at in range(0, len(body), PIECE):
            await upload.write(body[at : at + PIECE])
        await upload.commit(objects.put(stamps.now(), len(body), etag, "text/plain", metadata={"x-object-meta-a": "b"}))


async def get(device, name, size):
    async with await device.read(address(name)) as reading:
        assert sum([len(piece) async for piece in reading.chunks()]) == size


async def many(work, count, at_once):
    numbers = iter(range(count))

    async def some():
        for number in numbers:
            await work(number)

    await asyncio.gather(*(some() for _ in range(at_once)))


async def measure(device, theirs):
    """Prints a line for each kind of request; `theirs` tells the CPU of the other process."""
    for size, count, levels in CELLS:
        body = os.urandom(size)
        etag = hashlib.md5(body).hexdigest()
        kinds = {
            "PUT": lambda number: put(device, f"{size}-{number % NAMES}", body, etag),  # noqa: B023
            "GET": lambda number: get(device, f"{size}-{number % min(NAMES, count)}", size),  # noqa: B023
        }
        for at_once in levels:
            for kind, work in kinds.items():
                before = cpu(), await theirs(), time.monotonic()
                await many(work, count, at_once)
                after = cpu(), await theirs(), time.monotonic()
                ours, other, wall = ((late - early) * 1000 / count for early, late in zip(before, after, strict=True))
                print(f"{kind} {size:>9} x{at_once:<3} {ours:8.3f} + {other:.3f} ms CPU, {wall:.3f} ms", flush=True)


async def serve(root, socket):
    device = await LocalDevice.open(Path(root), "d0")

    async def used(_body):
        return cpu()

    server = DeviceServer({WHERE: Node(objects=device, indexes=FakeIndex())}, {"cpu": used})
    await server.listen_here(Path(socket))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.close()
    await device.close()


async def main(folder):
    root = Path(tempfile.mkdtemp(dir=folder))
    try:
        await own(root / "own")
        await other(root / "other", root / "s")
    finally:
        shutil.rmtree(root)


async def own(root):
    root.mkdir()
    files.make(root, "d0")
    device = await LocalDevice.open(root, "d0")
    print("a device of this process")
    await measure(device, lambda: asyncio.sleep(0, 0.0))
    await device.close()


async def other(root, socket):
    root.mkdir()
    files.make(root, "d0")
    words = [sys.executable, "-m", "bench.remote_devices", str(root), str(socket)]
    process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE)
    connection = Connection(Here(socket))
    connection.start()
    try:
        assert await connection.linked(30), connection.trouble
        print("a device of another process: this one + that one")
        await measure(node(connection, WHERE).objects, lambda: connection.call("cpu", None, 10))
    finally:
        await connection.stop()
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]) if len(sys.argv) == 3 else main(*sys.argv[1:]))
