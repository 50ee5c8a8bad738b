# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.disks`: what a guest's volumes do, beside the same file in a QEMU that nobody manages.

    python -m bench.disks --repeats 5 --page docs/volume-speed.md

Two guests of one image: a server of a cloud of its own with volumes, and a bare QEMU with a copy of such a volume's
file. Each kind of work is done by turns on all disks, and told by its best run: what else the machine does only ever
takes away.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import orjson

from bench import guests, logins, own_cloud
from bench.client import Client
from bench.report import number
from bench.scenarios.changes import until

NAME = "bench-disks"
LARGE, SMALL = 256, 8  # MiB of one piece of work, in large requests and in small ones
WORK = {
    "write, 1 MiB at a time": f"dd if=/dev/zero of={{disk}} bs=1M count={LARGE} oflag=direct conv=fsync",
    "read, 1 MiB at a time": f"dd if={{disk}} of=/dev/null bs=1M count={LARGE} iflag=direct",
    "write, 4 KiB at a time": f"dd if=/dev/zero of={{disk}} bs=4k count={SMALL * 256} oflag=direct conv=fsync",
    "read, 4 KiB at a time": f"dd if={{disk}} of=/dev/null bs=4k count={SMALL * 256} iflag=direct",
}
BARE = "the file in a bare QEMU"
SHARING = {"OpenStack-API-Version": "compute 2.60"}  # from which on servers may have volumes that can be shared


class Disk(NamedTuple):
    """A disk and the guest that has it."""

    name: str
    address: str
    port: int
    device: str


Speeds = dict[str, dict[str, float]]  # MiB/s by work and disk


def main() -> int:
    return guests.write_page("bench.disks", __doc__, "turns of each kind of work", _measure)


def _measure(folder: Path, key: Path, repeats: int) -> Iterator[str]:
    with own_cloud.OwnCloud(real=True) as own:
        return page(asyncio.run(_speeds(own, folder, key, repeats)), repeats)


def page(found: Mapping[str, Mapping[str, float]], repeats: int) -> Iterator[str]:
    """The table of a run."""
    disks = list(next(iter(found.values())))
    served = [name for name in disks if name != BARE]
    yield "# What a guest's volumes do"
    yield ""
    yield "Written by `python -m bench.disks --page docs/volume-speed.md`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, guests by emulation. `dd` in the guest, "
        f"past its cache, with a flush at the end of what it writes; the best of {repeats} turns, in MiB/s. The bare "
        "QEMU has a copy of the volume's file, opened with the same caching."
    )
    yield ""
    yield f"| work | {BARE} | " + " | ".join(f"{name} | ratio" for name in served) + " |"
    yield "| --- | ---: |" + " ---: | ---: |" * len(served)
    for work, speeds in found.items():
        cells = [f"{number(speeds[name])} | {speeds[name] / speeds[BARE]:.2f}" for name in served]
        yield f"| {work} | {number(speeds[BARE])} | " + " | ".join(cells) + " |"


async def _speeds(own: own_cloud.OwnCloud, folder: Path, key: Path, repeats: int) -> Speeds:
    async with Client(logins.read(own.clouds, "cumulet")) as client:
        await client.authenticate()
        made = await guests.surroundings(client, key, NAME)
        image = folder / "image.qcow2"
        image.write_bytes(await client.send("GET", "image", f"/images/{made['image']}/file"))
        shared = {"volume_type": {"name": NAME, "extra_specs": {"multiattach": "<is> True"}}}
        await client.ask("POST", "volume", "/types", shared)
        volumes = {
            "a volume of its own host": await _volume(client),
            "a volume that can be shared, by NBD with TLS": await _volume(client, volume_type=NAME),
        }
        copy = folder / "volume.qcow2"
        shutil.copyfile(next(own.state.rglob(f"volumes/{next(iter(volumes.values()))}.qcow2")), copy)
        disks = await _server(client, made, key, volumes)
        port = own_cloud.free_port()
        with guests.bare(folder, image, key, port, [f"file={copy},if=virtio,format=qcow2,cache=writeback"]) as bare:
            try:
                await asyncio.to_thread(guests.wait_login, "127.0.0.1", port, key)
                disks.append(Disk(BARE, "127.0.0.1", port, "/dev/vdc"))
                return await asyncio.to_thread(_work, disks, key, repeats)
            finally:
                bare.kill()


async def _volume(client: Client, **more: str) -> str:
    words = {"volume": {"name": NAME, "size": 1, **more}}
    volume = str((await client.ask("POST", "volume", "/volumes", words))["volume"]["id"])
    await until(client, "volume", f"/volumes/{volume}", "volume", "available")
    return volume


async def _server(client: Client, made: Mapping[str, str], key: Path, volumes: Mapping[str, str]) -> list[Disk]:
    """A server that has the volumes, once it lets us in."""
    port = await guests.port(client, made)
    address = str((await guests.address(client, made["outside"], port))["floating_ip_address"])
    body = {
        "name": NAME,
        "imageRef": made["image"],
        "flavorRef": made["flavor"],
        "key_name": NAME,
        "networks": [{"port": port}],
    }
    server = (await client.ask("POST", "compute", "/servers", {"server": body}))["server"]["id"]
    await until(client, "compute", f"/servers/{server}", "server", "ACTIVE")
    await asyncio.to_thread(guests.wait_login, address, 22, key)
    disks = []
    for name, volume in volumes.items():
        words = {"volumeAttachment": {"volumeId": volume}}
        path = f"/servers/{server}/os-volume_attachments"
        found = orjson.loads(await client.send("POST", "compute", path, words, headers=SHARING))
        await until(client, "volume", f"/volumes/{volume}", "volume", "in-use")
        disks.append(Disk(name, address, 22, str(found["volumeAttachment"]["device"])))
    return disks


def _work(disks: Sequence[Disk], key: Path, repeats: int) -> Speeds:
    """The best speed of each kind of work on each disk; the first turn, in which files grow, is not counted."""
    found: Speeds = {work: dict.fromkeys((disk.name for disk in disks), 0.0) for work in WORK}
    with ExitStack() as stack:
        shells = {disk: stack.enter_context(guests.Shell(disk.address, disk.port, key)) for disk in disks}
        for turn in range(repeats + 1):
            for work, command in WORK.items():
                for disk, shell in shells.items():
                    began = time.monotonic()
                    shell.tell(f"sudo {command.format(disk=disk.device)}")
                    speed = (SMALL if "4 KiB" in work else LARGE) / (time.monotonic() - began)
                    print(f"{work}, {disk.name}: {speed:.1f} MiB/s", file=sys.stderr)
                    if turn:
                        found[work][disk.name] = max(found[work][disk.name], speed)
    return found


if __name__ == "__main__":
    sys.exit(main())
