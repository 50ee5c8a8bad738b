# SPDX-License-Identifier: Apache-2.0
"""`cumulet seed`: what every user of a new cloud expects: an image and definitions, flavors, a public network.

Made by the public API. Each thing is made only where nothing of its name is there, so that running it again changes
nothing.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cumulet.cli import Call, credentials, guest
from cumulet.cli.show import Phases
from cumulet.settings import Settings

MARK = "seeded"  # in the state directory, once a cloud has been filled: what a user removes then stays away
IMAGE = "cumulet"
PUBLIC = "public"
POOL = "default"
POOL_PREFIX, POOL_LENGTH = "10.192.0.0/12", 26  # for networks that are made for projects that have none
# Name, MiB of memory, GiB of disk, processors: the sizes that tutorials and tests speak of.
FLAVORS = (
    ("m1.micro", 256, 1, 1),
    ("m1.tiny", 512, 1, 1),
    ("m1.small", 2048, 20, 1),
    ("m1.medium", 4096, 40, 2),
    ("m1.large", 8192, 80, 4),
)


class NotFilled(Exception):
    """The cloud refused something; the message says what."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(call: Call) -> int:
    """Fill the running cloud."""
    if not client_is_there():
        print("cumulet: the OpenStack client is not installed: pip install 'cumulet[client]'", file=sys.stderr)
        return 1
    phases = Phases()
    with phases.phase("guest image") as phase:
        image = guest.find_or_build(call.settings, phase)
    try:
        with phases.phase("image, flavors, public network") as phase:
            phase.detail = ", ".join(seed(call.settings, image)) or "all there"
    except NotFilled as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0


def client_is_there() -> bool:
    """Whether the OpenStack SDK can be imported."""
    return find_spec("openstack") is not None


def is_done(settings: Settings) -> bool:
    """Whether this cloud has been filled once."""
    return (settings.state / MARK).exists()


def connect(settings: Settings, cloud: str = credentials.CLOUD) -> Any:
    """An `openstack.connection.Connection` as the admin, or as what else `clouds.yaml` holds."""
    from openstack.config import OpenStackConfig
    from openstack.connection import Connection

    config = OpenStackConfig(config_files=[str(credentials.clouds_path(settings))], load_envvars=False)
    return Connection(config=config.get_one(cloud))


def seed(settings: Settings, image: Path | None) -> list[str]:
    """Make what is not there; the names of what was made. Without `image` the cloud is not marked as filled.

    Raises NotFilled.
    """
    from openstack.exceptions import SDKException

    try:
        with connect(settings) as cloud:
            made = [*_flavors(cloud), *public_network(cloud, settings), *default_pool(cloud), *definitions(cloud)]
            if image is not None:
                made += _image(cloud, image)
                (settings.state / MARK).touch()
    except SDKException as error:
        raise NotFilled(f"the cloud runs, but could not be filled: {error}") from error
    return made


def _flavors(cloud: Any) -> list[str]:
    known = {flavor.name for flavor in cloud.compute.flavors()}
    made = []
    for name, memory, disk, processors in FLAVORS:
        if name not in known:
            cloud.compute.create_flavor(name=name, ram=memory, disk=disk, vcpus=processors)
            made.append(name)
    return made


def definitions(cloud: Any) -> list[str]:
    """Make the usual metadata definitions that are not there."""
    from openstack import exceptions

    from cumulet.services.image.logic.definitions import read

    address = "/metadefs/namespaces"
    known = {each["namespace"] for each in cloud.image.get(f"{address}?limit=1000").json()["namespaces"]}
    wanted = [words for words in read() if words["namespace"] not in known]
    for words in wanted:
        exceptions.raise_from_response(cloud.image.post(address, json=words))
    return [f"{len(wanted)} metadata definitions"] if wanted else []


def _image(cloud: Any, path: Path) -> list[str]:
    if next(cloud.image.images(name=IMAGE), None) is not None:
        return []
    cloud.image.create_image(
        IMAGE,
        filename=str(path),
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        min_disk=1,
        wait=True,
    )
    return [f"image {IMAGE}"]


def public_network(cloud: Any, settings: Settings) -> list[str]:
    """The network outside with its subnet, the default one unless there is another; what was made of it."""
    choices = settings.network
    made = []
    network = cloud.network.find_network(PUBLIC, ignore_missing=True)
    if network is None:
        alone = not any(each.is_default for each in cloud.network.networks(is_router_external=True))
        network = cloud.network.create_network(name=PUBLIC, is_router_external=True, is_default=alone)
        made.append(f"network {PUBLIC}")
    if not list(cloud.network.subnets(network_id=network.id)):
        first, _, last = choices.external_allocation.partition("-")
        cloud.network.create_subnet(
            name=f"{PUBLIC}-subnet",
            network_id=network.id,
            ip_version=6 if ":" in choices.external_cidr else 4,
            cidr=choices.external_cidr,
            gateway_ip=choices.external_gateway,
            allocation_pools=[{"start": first.strip(), "end": last.strip()}],
            is_dhcp_enabled=False,
        )
        made.append(f"subnet {choices.external_cidr}")
    return made


def default_pool(cloud: Any) -> list[str]:
    """A pool that subnets come from whose ranges nobody names, unless there is one; what was made of it."""
    if any(pool.ip_version == 4 for pool in cloud.network.subnet_pools(is_default=True)):
        return []
    cloud.network.create_subnet_pool(
        name=POOL, prefixes=[POOL_PREFIX], default_prefix_length=POOL_LENGTH, is_shared=True, is_default=True
    )
    return [f"subnet pool {POOL_PREFIX}"]
