# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.boot`: how long a real server takes from the request to the first login, phase by phase.

    python -m bench.boot --repeats 5 --page docs/fast-boot.md

In a cloud of its own, with its image and its networks; beside it the same image in a bare QEMU. Each phase is told by
its least time over the runs: what else the machine does only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import logins, own_cloud, processes
from bench.client import Client
from bench.report import number
from bench.scenarios.changes import until
from cumulet.cli.seed import IMAGE, PUBLIC
from cumulet.services.compute.drivers.qemu import configdrive

USER = "cirros"
NAME = "bench-boot"
CIDR = "10.124.0.0/24"
LOOK = 0.005  # seconds between two looks at the machine's processes
KNOCK = 0.05  # seconds between two attempts to reach the guest
PATIENCE = 300.0
PHASES = {
    "answered": "the API has answered 202",
    "QEMU": "QEMU's process is there",
    "ACTIVE": "the API says ACTIVE",
    "greeting": "the guest's SSH server greets",
    "login": "a command by SSH is done",
}
SSH = (
    "ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes",
)  # fmt: skip

Times = dict[str, float]


class Watch:
    """Seconds since it was made, noted by name, and QEMU's CPU seconds at the end."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.times: Times = {}

    def mark(self, name: str) -> None:
        self.times[name] = time.monotonic() - self._began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="servers that are booted, one after the other")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table there")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cumulet-boot-") as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with own_cloud.OwnCloud(real=True) as own:
            login = logins.read(own.clouds, "cumulet")
            served, image = asyncio.run(_servers(login, key, words.repeats, Path(folder)))
        bare = [_bare(Path(folder), image, key) for _ in range(words.repeats)]
    text = "\n".join(page(served, bare)) + "\n"
    print(text)
    if words.page is not None:
        words.page.write_text(text)
    return 0


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
        made = await _surroundings(client, key)
        found = [await _server(client, made, key) for _ in range(repeats)]
        image = folder / "image.qcow2"
        image.write_bytes(await client.send("GET", "image", f"/images/{made['image']}/file"))
        return found, image


async def _surroundings(client: Client, key: Path) -> dict[str, str]:
    """What has to be there before: a keypair, a network that leads outside, its group; and what the seed has made."""

    async def make(service: str, path: str, kind: str, words: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await client.ask("POST", service, path, {kind: words}))[kind]
        return found

    await make("compute", "/os-keypairs", "keypair", {"name": NAME, "public_key": key.with_suffix(".pub").read_text()})
    network = (await make("network", "/networks", "network", {"name": NAME}))["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": CIDR}
    subnet_id = (await make("network", "/subnets", "subnet", subnet))["id"]
    outside = (await client.ask("GET", "network", f"/networks?name={PUBLIC}"))["networks"][0]["id"]
    gateway = {"name": NAME, "external_gateway_info": {"network_id": outside}}
    router = (await make("network", "/routers", "router", gateway))["id"]
    await client.ask("PUT", "network", f"/routers/{router}/add_router_interface", {"subnet_id": subnet_id})
    group = (await make("network", "/security-groups", "security_group", {"name": NAME}))["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "ethertype": "IPv4"}
    await make("network", "/security-group-rules", "security_group_rule", rule)
    image = (await client.ask("GET", "image", f"/images?name={IMAGE}"))["images"][0]["id"]
    flavor = (await client.ask("GET", "compute", "/flavors"))["flavors"][0]["id"]
    return {"network": network, "outside": outside, "group": group, "image": image, "flavor": flavor}


async def _server(client: Client, made: Mapping[str, str], key: Path) -> Times:
    """One server from the request to the first login; it is gone again afterwards."""
    words = {"port": {"network_id": made["network"], "security_groups": [made["group"]]}}
    port = (await client.ask("POST", "network", "/ports", words))["port"]["id"]
    floating = {"floatingip": {"floating_network_id": made["outside"], "port_id": port}}
    address = (await client.ask("POST", "network", "/floatingips", floating))["floatingip"]
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
        await asyncio.sleep(KNOCK)
    await client.send("DELETE", "network", f"/ports/{port}")
    return watch.times


def _bare(folder: Path, image: Path, key: Path) -> Times:
    """The same image in a QEMU that nobody manages."""
    disk, drive, port = folder / "disk.qcow2", folder / "config.iso", own_cloud.free_port()
    disk.unlink(missing_ok=True)
    backing = ["-F", "qcow2", "-b", str(image)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk), "1G"], check=True)
    public = key.with_suffix(".pub").read_text()
    metadata = {"uuid": NAME, "name": NAME, "hostname": NAME, "public_keys": {NAME: public}}
    configdrive.make(drive, {"openstack/latest/meta_data.json": json.dumps(metadata).encode()})
    argv = [
        "qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "256", "-smp", "1", "-display", "none", "-nodefaults",
        "-drive", f"file={disk},if=virtio", "-drive", f"file={drive},if=virtio,format=raw,readonly=on",
        "-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-rng-pci",
    ]  # fmt: skip
    watch = Watch()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as guest:
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

    return _until(look, LOOK)


def _log_in(watch: Watch, address: str, port: int, key: Path) -> None:
    """Note when the guest greets, and when a command in it is done."""
    _until(lambda: _greets(address, port) or None, KNOCK)
    watch.mark("greeting")
    argv = [*SSH, "-i", str(key), "-p", str(port), f"{USER}@{address}", "true"]
    _until(lambda: subprocess.run(argv, check=False, capture_output=True).returncode == 0 or None, KNOCK)
    watch.mark("login")


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1) as stream:
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


def _until(look: Callable[[], Any], pause: float) -> Any:
    end = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"nothing after {PATIENCE:g} s")
        time.sleep(pause)
    return found


if __name__ == "__main__":
    sys.exit(main())
