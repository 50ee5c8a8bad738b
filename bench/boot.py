# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.boot`: how long a real server takes from the request to the first login, phase by phase.

    python -m bench.boot --repeats 5 --page docs/fast-boot.md

In a cloud of its own, with its image and its networks; beside it the same image in a bare QEMU. Each phase is told by
its least time over the runs: what else the machine does only ever adds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench import guests, logins, own_cloud, processes
from bench.client import Client
from bench.report import number
from bench.scenarios.changes import until

NAME = "bench-boot"
LOOK = 0.005  # seconds between two looks at the machine's processes
PHASES = {
    "answered": "the API has answered 202",
    "QEMU": "QEMU's process is there",
    "ACTIVE": "the API says ACTIVE",
    "greeting": "the guest's SSH server greets",
    "login": "a command by SSH is done",
}
Times = dict[str, float]


class Watch:
    """Seconds since it was made, noted by name, and QEMU's CPU seconds at the end."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.times: Times = {}

    def mark(self, name: str) -> None:
        self.times[name] = time.monotonic() - self._began


def main() -> int:
    return guests.write_page("bench.boot", __doc__, "servers that are booted, one after the other", _measure)


def _measure(folder: Path, key: Path, repeats: int) -> Iterator[str]:
    with own_cloud.OwnCloud(real=True) as own:
        login = logins.read(own.clouds, "cumulet")
        served, image = asyncio.run(_servers(login, key, repeats, folder))
    return page(served, [_bare(folder, image, key) for _ in range(repeats)])


def page(served: Sequence[Times], bare: Sequence[Times]) -> Iterator[str]:
    """The table of a run: seconds since the request, or since QEMU was started."""
    yield "# From the request to the first login"
    yield ""
    yield "Written by `python -m bench.boot --page docs/fast-boot.md`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, {len(served)} servers one after the "
        "other, each time the least of them. Seconds since the request was sent; for the bare QEMU, which has the same "
        "image, a config drive and QEMU's own user network, since it was started. *Since QEMU* counts from its process "
        "on."
    )
    yield ""
    yield "| until | server s | since QEMU s | bare QEMU s |"
    yield "| --- | ---: | ---: | ---: |"
    least, alone = _least(served), _least(bare)
    since = _least([{name: moment - times["QEMU"] for name, moment in times.items()} for times in served])
    for name, words in PHASES.items():
        later = number(since[name]) if since[name] > 0 else ""
        yield f"| {words} | {number(least[name])} | {later} | {number(alone[name]) if name in alone else ''} |"
    yield f"| CPU seconds of QEMU until then | {number(least['CPU'])} | | {number(alone['CPU'])} |"


def _least(runs: Sequence[Mapping[str, float]]) -> Times:
    return {name: min(run[name] for run in runs) for name in runs[0]}


async def _servers(login: logins.Login, key: Path, repeats: int, folder: Path) -> tuple[list[Times], Path]:
    """Boot `repeats` servers; their times, and a copy of the image that they were made from."""
    async with Client(login) as client:
        await client.authenticate()
        made = await guests.surroundings(client, key, NAME)
        found = [await _server(client, made, key) for _ in range(repeats)]
        image = folder / "image.qcow2"
        image.write_bytes(await client.send("GET", "image", f"/images/{made['image']}/file"))
        return found, image


async def _server(client: Client, made: Mapping[str, str], key: Path) -> Times:
    """One server from the request to the first login; it is gone again afterwards."""
    port = await guests.port(client, made)
    address = await guests.address(client, made["outside"], port)
    body = {
        "name": NAME,
        "imageRef": made["image"],
        "flavorRef": made["flavor"],
        "key_name": NAME,
        "networks": [{"port": port}],
    }
    watch = Watch()
    server = (await client.ask("POST", "compute", "/servers", {"server": body}))["server"]["id"]
    watch.mark("answered")
    pid = await asyncio.to_thread(_appears, server)
    watch.mark("QEMU")
    await until(client, "compute", f"/servers/{server}", "server", "ACTIVE")
    watch.mark("ACTIVE")
    await asyncio.to_thread(_log_in, watch, str(address["floating_ip_address"]), 22, key)
    watch.times["CPU"] = processes.read_table()[pid].seconds
    for service, path in (
        ("compute", f"/servers/{server}"),
        ("network", f"/floatingips/{address['id']}"),
    ):
        await client.send("DELETE", service, path)
    while await client.ask("GET", "compute", f"/servers?uuid={server}") != {"servers": []}:
        await asyncio.sleep(guests.KNOCK)
    await client.send("DELETE", "network", f"/ports/{port}")
    return watch.times


def _bare(folder: Path, image: Path, key: Path) -> Times:
    """The same image in a QEMU that nobody manages."""
    port = own_cloud.free_port()
    watch = Watch()
    with guests.bare(folder, image, key, port) as guest:
        try:
            _log_in(watch, "127.0.0.1", port, key)
            watch.times["CPU"] = processes.read_table()[guest.pid].seconds
        finally:
            guest.kill()
    return watch.times


def _appears(server_id: str) -> int:
    """Wait for the QEMU of a server; its process id."""
    word = server_id.encode()

    def is_it(entry: Path) -> bool:
        with suppress(OSError):
            argv = (entry / "cmdline").read_bytes()
            return b"qemu-system" in argv.partition(b"\0")[0] and word in argv
        return False

    def look() -> int | None:
        found = (int(entry.name) for entry in processes.PROC.iterdir() if entry.name.isdigit() and is_it(entry))
        return next(found, None)

    pid: int = guests.wait_for(look, LOOK)
    return pid


def _log_in(watch: Watch, address: str, port: int, key: Path) -> None:
    """Note when the guest greets, and when a command in it is done."""
    guests.wait_greeting(address, port)
    watch.mark("greeting")
    guests.wait_login(address, port, key)
    watch.mark("login")


if __name__ == "__main__":
    sys.exit(main())
