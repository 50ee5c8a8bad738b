# SPDX-License-Identifier: Apache-2.0
"""The `openstack` command on the running cloud, and what a server needs."""

from __future__ import annotations

import os

import pytest

from clients.object_tools import Owner
from clients.openstack_command import OpenStackCommand
from support.cloud import RunningCloud


@pytest.fixture(scope="session")
def openstack(cloud):
    return OpenStackCommand(cloud)


@pytest.fixture(scope="session")
def swift(cloud):
    """Where the object store is, at work."""
    return cloud.objects_url()


@pytest.fixture(scope="session")
def bare_store(tmp_path_factory):
    """A cloud of identity and the object store alone: what programs do with objects is no matter of the database."""
    cloud = RunningCloud(tmp_path_factory.mktemp("bare-store"), ("identity", "object_store"))
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def owner(bare_store):
    """Somebody who keeps files in the object store."""
    return Owner(bare_store)


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    """A file that can be an image."""
    path = tmp_path_factory.mktemp("images") / "disk.raw"
    path.write_bytes(os.urandom(1 << 20))
    return path


@pytest.fixture(scope="module")
def image(openstack, picture):
    made = openstack(f"image create --file {picture} --disk-format raw --container-format bare --public cli-image")[
        "id"
    ]
    yield made
    openstack.text(f"image delete {made}")


@pytest.fixture(scope="module")
def flavor(openstack):
    made = openstack("flavor create --vcpus 1 --ram 128 --disk 1 cli-flavor")["id"]
    yield made
    openstack.text(f"flavor delete {made}")


@pytest.fixture(scope="module")
def network(openstack):
    """A network with a subnet, behind a router to an external network, from which floating addresses come."""
    openstack("network create --external cli-outside")
    openstack("subnet create --network cli-outside --subnet-range 198.51.100.0/24 --no-dhcp cli-outside")
    made = openstack("network create cli-inside")["id"]
    openstack("subnet create --network cli-inside --subnet-range 10.77.0.0/24 cli-inside")
    openstack("router create cli-router")
    openstack.text("router set --external-gateway cli-outside cli-router")
    openstack.text("router add subnet cli-router cli-inside")
    yield made
    openstack.text("router remove subnet cli-router cli-inside")
    openstack.text("router delete cli-router")
    openstack.text("network delete cli-inside cli-outside")


@pytest.fixture(scope="module")
def server(openstack, image, flavor, network):
    """A server that runs."""
    made = openstack(f"server create --image {image} --flavor {flavor} --network {network} --wait cli-server")
    assert made["status"] == "ACTIVE"
    yield made["id"]
    openstack.text(f"server delete --wait {made['id']}")
