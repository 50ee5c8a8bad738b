# SPDX-License-Identifier: Apache-2.0
"""`cumulet verify`: boots a real server and runs a command in it by SSH through its floating IP.

The server, its floating IP and its port are removed again. What stays is of use to the user: the keypair `cumulet`, the
security group `ssh`, the network `private` and a router from it to the public network.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cumulet import __version__
from cumulet.cli import Call, credentials, seed, shell
from cumulet.cli.show import Phases
from cumulet.kernel import secrets
from cumulet.kernel.run import Arg, CommandFailed
from cumulet.kernel.run import run as run_program
from cumulet.settings import Settings

MARK = "verified"  # in the state directory: the version that has passed here
SERVER = "cumulet-verify"
KEYPAIR = "cumulet"
GROUP = "ssh"
NETWORK = "private"
ROUTER = "router"
CIDR = "192.168.233.0/24"
FLAVOR = "m1.micro"
USER = "cirros"
COMMAND = "uname -sr; uptime"
SSH_OPTIONS = (
    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes",
)  # fmt: skip


class NotVerified(Exception):
    """A step did not succeed; the message says why."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--once", action="store_true", help="not again where this version has passed already")
    parser.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS", help="for the boot, and for SSH")


def run(call: Call) -> int:
    """Verify, and say how to do the same."""
    mark = call.settings.state / MARK
    if call.arguments.once and mark.exists() and mark.read_text().strip() == __version__:
        _explain(call.settings)
        return 0
    if not seed.client_is_there():
        print("cumulet: the OpenStack client is not installed: pip install 'cumulet[client]'", file=sys.stderr)
        return 1
    from openstack.exceptions import SDKException

    try:
        with seed.connect(call.settings) as cloud:
            words = _verify(cloud, call.settings, call.arguments.timeout)
    except (NotVerified, SDKException, CommandFailed) as error:
        print(f"cumulet: the cloud does not work yet: {error}", file=sys.stderr)
        return 1
    mark.write_text(__version__ + "\n")
    print(f"\nA server answered: {words}")
    _explain(call.settings)
    return 0


def key_path(settings: Settings) -> Path:
    """The private key that fits the keypair `cumulet`."""
    return settings.state / "ssh" / KEYPAIR


def _verify(cloud: Any, settings: Settings, timeout: float) -> str:
    phases = Phases()
    with phases.phase("keypair, security group, network"):
        _keypair(cloud, settings)
        group = _group(cloud)
        network = _network(cloud)
    with ExitStack() as undo:
        with phases.phase("server boots") as phase:
            server = undo.enter_context(_server(cloud, network, group, timeout))
            phase.detail = server.name
        with phases.phase("floating IP") as phase:
            address = undo.enter_context(_floating_ip(cloud, server))
            phase.detail = address
        with phases.phase("a command by SSH"):
            words = _command(settings, address, timeout)
        with phases.phase("server is removed"):
            undo.close()
    return words


def _keypair(cloud: Any, settings: Settings) -> None:
    public = _key(key_path(settings))
    known = cloud.compute.find_keypair(KEYPAIR, ignore_missing=True)
    if known is not None and known.public_key.split()[:2] == public.split()[:2]:
        return
    if known is not None:
        cloud.compute.delete_keypair(known)
    cloud.compute.create_keypair(name=KEYPAIR, public_key=public)


def _key(path: Path) -> str:
    """The public half of the key at `path`, which is made if need be."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if path.exists():
        key: Any = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    else:
        key = Ed25519PrivateKey.generate()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        secrets.write_private(path, key.private_bytes(*form).decode())
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {KEYPAIR}"


def _group(cloud: Any) -> Any:
    project = cloud.current_project_id
    known = next(cloud.network.security_groups(name=GROUP, project_id=project), None)
    if known is not None:
        return known
    group = cloud.network.create_security_group(name=GROUP, description="SSH and ping from everywhere")
    rules: tuple[dict[str, Any], ...] = (
        {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
        {"protocol": "icmp"},
    )
    for rule in rules:
        cloud.network.create_security_group_rule(security_group_id=group.id, direction="ingress", **rule)
    return group


def _network(cloud: Any) -> Any:
    """The network `private`, behind a router to the public network."""
    project = cloud.current_project_id
    network = next(cloud.network.networks(name=NETWORK, project_id=project), None)
    if network is None:
        network = cloud.network.create_network(name=NETWORK)
    subnet = next(cloud.network.subnets(network_id=network.id), None)
    if subnet is None:
        name = f"{NETWORK}-subnet"
        subnet = cloud.network.create_subnet(name=name, network_id=network.id, ip_version=4, cidr=CIDR)
    router = next(cloud.network.routers(name=ROUTER, project_id=project), None)
    if router is None:
        public = cloud.network.find_network(seed.PUBLIC, ignore_missing=False)
        router = cloud.network.create_router(name=ROUTER, external_gateway_info={"network_id": public.id})
    ports = cloud.network.ports(device_id=router.id, network_id=network.id)
    if next(ports, None) is None:
        cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    return network


@contextlib.contextmanager
def _server(cloud: Any, network: Any, group: Any, timeout: float) -> Iterator[Any]:
    image = cloud.image.find_image(seed.IMAGE, ignore_missing=True)
    if image is None:
        raise NotVerified(f"there is no image {seed.IMAGE}: cumulet image build, then cumulet seed")
    flavor = cloud.compute.find_flavor(FLAVOR, ignore_missing=False)
    server = cloud.compute.create_server(
        name=SERVER,
        image_id=image.id,
        flavor_id=flavor.id,
        key_name=KEYPAIR,
        networks=[{"uuid": network.id}],
        security_groups=[{"name": group.name}],
    )
    try:
        yield cloud.compute.wait_for_server(server, wait=timeout, interval=0.5)
    finally:
        cloud.compute.delete_server(server, ignore_missing=True)
        cloud.compute.wait_for_delete(server, wait=timeout, interval=0.5)


@contextlib.contextmanager
def _floating_ip(cloud: Any, server: Any) -> Iterator[str]:
    public = cloud.network.find_network(seed.PUBLIC, ignore_missing=False)
    port = next(cloud.network.ports(device_id=server.id))
    address = cloud.network.create_ip(floating_network_id=public.id, port_id=port.id)
    try:
        yield str(address.floating_ip_address)
    finally:
        cloud.network.delete_ip(address, ignore_missing=True)


def _command(settings: Settings, address: str, timeout: float) -> str:
    argv: list[Arg] = [
        *shell.prefix(settings),
        "ssh",
        "-i",
        key_path(settings),
        *SSH_OPTIONS,
        f"{USER}@{address}",
        COMMAND,
    ]
    end = time.monotonic() + timeout
    while True:
        try:
            done = run_program(argv, timeout=30, check=True)
            return " ".join(done.stdout.decode(errors="replace").split())
        except CommandFailed as error:
            if time.monotonic() > end:
                raise NotVerified(f"no SSH to {address} after {timeout:g} s: {error.output}") from error
            time.sleep(0.5)


def _explain(settings: Settings) -> None:
    """The lines by which a user does the same."""
    beside = Path(sys.executable).with_name("openstack")
    program = str(beside) if beside.exists() else "openstack"
    print(f"\nTry it yourself (credentials: {settings.state}/clouds.yaml and openrc):")
    print(f"  export OS_CLIENT_CONFIG_FILE={credentials.clouds_path(settings)} OS_CLOUD={credentials.CLOUD}")
    print(
        f"  {program} server create --wait --image {seed.IMAGE} --flavor {FLAVOR} --network {NETWORK}"
        f" --key-name {KEYPAIR} --security-group {GROUP} one"
    )
    print(f"  {program} server add floating ip one $({program} floating ip create -f value -c name {seed.PUBLIC})")
    print(f"  ssh -i {key_path(settings)} {USER}@THE-FLOATING-IP")
