# SPDX-License-Identifier: Apache-2.0
"""What a new cloud is filled with lets servers ask for a network of their own."""

from __future__ import annotations

from typing import Any

import pytest

from clients.test_sdk_compute import connect
from cumulet.cli import seed

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def admin(cloud: Any) -> Any:
    with connect(cloud, "admin") as found:
        yield found
        found.network.delete_auto_allocated_topology()
        for each in found.network.networks(name=seed.PUBLIC):
            found.network.delete_network(each)
        for each in found.network.subnet_pools(name=seed.POOL):
            found.network.delete_subnet_pool(each)


def test_a_filled_cloud_makes_networks_by_itself(cloud: Any, admin: Any) -> None:
    assert seed.public_network(admin, cloud.settings) == [
        f"network {seed.PUBLIC}",
        f"subnet {cloud.settings.network.external_cidr}",
    ]
    assert seed.default_pool(admin) == [f"subnet pool {seed.POOL_PREFIX}"]
    assert (seed.public_network(admin, cloud.settings), seed.default_pool(admin)) == ([], [])
    assert admin.network.validate_auto_allocated_topology().id == "dry-run=pass"
    made = admin.network.get_network(admin.network.get_auto_allocated_topology().id)
    [subnet] = admin.network.subnets(network_id=made.id)
    assert subnet.cidr.endswith(f"/{seed.POOL_LENGTH}")
