# SPDX-License-Identifier: Apache-2.0
"""Devices to be tested, with what a test does to them from outside."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import sqlite3

from cumulet.kernel import ids
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.local import files
from cumulet.services.object_store.drivers.local.device import CATALOGUE, LocalDevice
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Address


def on_a_loop(story):
    """A test that awaits; its `bench` is closed at the end."""

    @functools.wraps(story)
    def test(bench, **given):
        async def run():
            try:
                await story(bench, **given)
            finally:
                await bench.close()

        asyncio.run(run())

    return test


def address(name="o", *, policy=0, partition=7, container="c", fragment=objects.WHOLE):
    sum_ = hashlib.md5(f"secret/a/{container}/{name}".encode()).hexdigest()
    names = {"account": "a", "container": container, "object": name}
    return Address(policy=policy, partition=partition, hash=sum_, fragment=fragment, **names)


def body_of(size, seed=0):
    return (hashlib.sha256(b"%d" % seed).digest() * (size // 32 + 1))[:size]


def version_of(body, stamp, **more):
    return objects.put(stamp, len(body), hashlib.md5(body).hexdigest(), more.pop("content_type", "text/plain"), **more)


async def put(device, where, body, stamp, owed=(), *, replica=False, pending=False, size=None, piece=100_000, **more):
    async with await device.begin(where, size) as upload:
        for at in range(0, len(body), piece):
            await upload.write(body[at : at + piece])
        return await upload.commit(version_of(body, stamp, **more), owed, replica=replica, pending=pending)


async def content(device, where, start=0, end=None):
    reading = await device.read(where)
    if reading is None:
        return None
    async with reading:
        return b"".join([piece async for piece in reading.chunks(start, end)])


class LocalBench:
    """A folder."""

    def __init__(self, tmp_path):
        self.root = tmp_path / "device"
        self.root.mkdir()
        self.name = ids.new_uuid()
        files.make(self.root, self.name)
        self.opened = []

    async def open(self, **settings):
        device = await LocalDevice.open(self.root, self.name, **settings)
        self.opened.append(device)
        return device

    async def another(self):
        root = self.root.parent / f"device-{len(self.opened)}"
        root.mkdir()
        files.make(root, root.name)
        self.opened.append(await LocalDevice.open(root, root.name))
        return self.opened[-1]

    async def full(self):
        return await self.open(reserve=1 << 60)

    def take_away(self, device):
        self.root.rename(self.root.with_name("elsewhere"))

    def bring_back(self, device):
        self.root.with_name("elsewhere").rename(self.root)

    def rot(self, device, where):
        found = self.bodies(where)
        if found:
            with found[0].open("r+b") as file:
                first = file.read(1)[0]
                file.seek(0)
                file.write(bytes([first ^ 1]))
            return
        with sqlite3.connect(self.root / CATALOGUE) as say:
            hash_ = bytes.fromhex(where.hash)
            ((body,),) = say.execute("SELECT body FROM objects WHERE hash = ?", (hash_,)).fetchall()
            say.execute("UPDATE objects SET body = ? WHERE hash = ?", (bytes([body[0] ^ 1]) + body[1:], hash_))
        say.close()

    def bodies(self, where=None):
        """The files that are there."""
        return sorted(self.root.glob(f"data/*/*-{where.hash if where else ''}*"))

    async def close(self):
        for device in self.opened:
            await device.close()


class FakeBench:
    """Memory."""

    def __init__(self, tmp_path):
        self.opened = []

    async def open(self):
        self.opened.append(FakeDevice(ids.new_uuid()))
        return self.opened[-1]

    async def another(self):
        return await self.open()

    async def full(self):
        device = await self.open()
        device.full = True
        return device

    def take_away(self, device):
        device.gone = True

    def bring_back(self, device):
        device.gone = False

    def rot(self, device, where):
        device.rot(where)

    async def close(self):
        for device in self.opened:
            await device.close()


BENCHES = {"local": LocalBench, "fake": FakeBench}
