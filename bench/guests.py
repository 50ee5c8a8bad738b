# SPDX-License-Identifier: Apache-2.0
"""Real guests: what servers need around them, the same image in a QEMU that nobody manages, and logins."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bench.client import Client
from cumulet.cli.seed import IMAGE, PUBLIC
from cumulet.services.compute.drivers.qemu import configdrive

USER = "cirros"
CIDR = "10.124.0.0/24"
KNOCK = 0.05  # seconds between two attempts to reach the guest
PATIENCE = 300.0
SSH = (
    "ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes",
)  # fmt: skip


def write_page(
    program: str, about: str | None, repeated: str, measure: Callable[[Path, Path, int], Iterator[str]]
) -> int:
    """Run `python -m PROGRAM`, which is `about` something and has `repeats`; the exit status.

    `measure` gives the page's lines, for a folder, a key to log in with, and how often to repeat what is `repeated`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--repeats", type=int, default=3, help=repeated)
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table there")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"cumulet-{program.rpartition('.')[2]}-") as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        text = "\n".join(measure(Path(folder), key, words.repeats)) + "\n"
    print(text)
    if words.page is not None:
        words.page.write_text(text)
    return 0


async def address(client: Client, outside: str, port: str) -> dict[str, Any]:
    """A floating IP of the port."""
    words = {"floatingip": {"floating_network_id": outside, "port_id": port}}
    found: dict[str, Any] = (await client.ask("POST", "network", "/floatingips", words))["floatingip"]
    return found


async def port(client: Client, made: Mapping[str, str]) -> str:
    """A port of the surroundings that lets TCP in."""
    words = {"port": {"network_id": made["network"], "security_groups": [made["group"]]}}
    return str((await client.ask("POST", "network", "/ports", words))["port"]["id"])


async def surroundings(client: Client, key: Path, name: str) -> dict[str, str]:
    """What has to be there before: a keypair, a network that leads outside, its group; and what the seed has made."""

    async def make(service: str, path: str, kind: str, words: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await client.ask("POST", service, path, {kind: words}))[kind]
        return found

    await make("compute", "/os-keypairs", "keypair", {"name": name, "public_key": key.with_suffix(".pub").read_text()})
    network = (await make("network", "/networks", "network", {"name": name}))["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": CIDR}
    subnet_id = (await make("network", "/subnets", "subnet", subnet))["id"]
    outside = (await client.ask("GET", "network", f"/networks?name={PUBLIC}"))["networks"][0]["id"]
    gateway = {"name": name, "external_gateway_info": {"network_id": outside}}
    router = (await make("network", "/routers", "router", gateway))["id"]
    await client.ask("PUT", "network", f"/routers/{router}/add_router_interface", {"subnet_id": subnet_id})
    group = (await make("network", "/security-groups", "security_group", {"name": name}))["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "ethertype": "IPv4"}
    await make("network", "/security-group-rules", "security_group_rule", rule)
    image = (await client.ask("GET", "image", f"/images?name={IMAGE}"))["images"][0]["id"]
    flavor = (await client.ask("GET", "compute", "/flavors?sort_key=memory_mb"))["flavors"][0]["id"]
    return {"network": network, "outside": outside, "group": group, "image": image, "flavor": flavor}


def bare(folder: Path, image: Path, key: Path, port: int, disks: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """The image in a QEMU that nobody manages, with SSH at `port` of loopback; `disks` as `-drive` has them."""
    disk, drive, name = folder / "disk.qcow2", folder / "config.iso", folder.name
    disk.unlink(missing_ok=True)
    backing = ["-F", "qcow2", "-b", str(image)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk), "1G"], check=True)
    public = key.with_suffix(".pub").read_text()
    metadata = {"uuid": name, "name": name, "hostname": name, "public_keys": {name: public}}
    configdrive.make(drive, {"openstack/latest/meta_data.json": json.dumps(metadata).encode()})
    argv = [
        "qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "256", "-smp", "1", "-display", "none", "-nodefaults",
        "-drive", f"file={disk},if=virtio", "-drive", f"file={drive},if=virtio,format=raw,readonly=on",
        *(word for each in disks for word in ("-drive", each)),
        "-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-rng-pci",
    ]  # fmt: skip
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL)


def wait_greeting(address: str, port: int) -> None:
    """Until the guest's SSH server speaks."""
    wait_for(lambda: _greets(address, port) or None, KNOCK)


def wait_login(address: str, port: int, key: Path) -> None:
    """Until a command by SSH is done."""
    wait_for(lambda: tell(address, port, key, "true") is not None or None, KNOCK)


def tell(address: str, port: int, key: Path, command: str) -> str | None:
    """What the guest answers to a command, both streams; None where it failed."""
    argv = [*SSH, "-i", str(key), "-p", str(port), f"{USER}@{address}", command]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode == 0 else None


class Shell:
    """A shell in a guest that stays open, so that a command costs no login."""

    def __init__(self, address: str, port: int, key: Path) -> None:
        argv = [*SSH, "-i", str(key), "-p", str(port), f"{USER}@{address}", "sh"]
        self._ssh = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._ssh.kill()
        self._ssh.wait()

    def tell(self, command: str) -> None:
        """Returns once the command is done; RuntimeError where it failed."""
        assert self._ssh.stdin is not None
        assert self._ssh.stdout is not None
        self._ssh.stdin.write(f"{command} >/dev/null 2>&1; echo ended $?\n")
        said = self._ssh.stdout.readline()
        if said != "ended 0\n":
            raise RuntimeError(f"{command}: {said}")


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1) as stream:
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_for(look: Callable[[], Any], pause: float) -> Any:
    end = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"nothing after {PATIENCE:g} s")
        time.sleep(pause)
    return found
