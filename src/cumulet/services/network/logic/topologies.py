# SPDX-License-Identifier: Apache-2.0
"""A network for projects that have none: with a subnet of each default pool, behind a router that leads outside."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.network.logic import access, default_external, interfaces, networks, routers, subnets
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common, visibility
from cumulet.services.network.store import topologies as store
from cumulet.services.network.types import Network, Router, Subnet, SubnetPool
from cumulet.services.network.types.topologies import Topology

_COMMON: dict[str, Any] = {"admin_state_up": True, "availability_zone_hints": [], "description": ""}


def check(source: Source, ctx: Context) -> None:
    """Raise AutoAllocationFailure where a topology could not be made."""
    _outside(source)
    if not _pools(source, ctx):
        raise fault("AutoAllocationFailure", reason="No default subnetpools defined")


def provide(cloud: Cloud, tx: Tx, ctx: Context, project_id: str) -> Topology:
    """The project's topology, made where it has none yet: all of it, or nothing."""
    tx.lock(f"network:topology:{project_id}")
    found = store.find(tx, project_id)
    if found is not None:
        return found
    outside = _outside(tx)
    try:
        made = _make_network(cloud, tx, ctx, project_id)
    except CumuletError as error:
        if isinstance(error, (Invalid, NotFound)) or error.code == "SubnetAllocationError":
            raise fault("AutoAllocationFailure", reason="Unable to provide project private network") from error
        raise
    try:
        router = _make_router(cloud, tx, ctx, project_id, outside, made)
    except Invalid as error:
        raise fault("AutoAllocationFailure", reason="Unable to provide external connectivity") from error
    topology = Topology(project_id, made[0].network_id, router.id)
    store.add(tx, topology)
    return topology


def delete(cloud: Cloud, tx: Tx, ctx: Context, topology: Topology) -> None:
    """Remove router, subnets and network; refused as each of them would be where somebody uses it."""
    if topology.router_id is not None:
        router = access.must(tx, Router, topology.router_id)
        for subnet in common.find_all(tx, Subnet, network_id=[topology.network_id]):
            with suppress(NotFound):
                interfaces.remove(cloud, tx, ctx, router, {"subnet_id": subnet.id})
        routers.delete(cloud, tx, ctx, router.id)
    networks.delete(cloud, tx, ctx, topology.network_id)
    store.remove(tx, topology.project_id)


def _outside(source: Source) -> Network:
    found = default_external.find(source)
    if found is None:
        raise fault("AutoAllocationFailure", reason="No default router:external network")
    return found


def _pools(source: Source, ctx: Context) -> list[SubnetPool]:
    """The default pools that the caller may see, that of IPv4 first."""
    found = visibility.find_visible(source, ctx, SubnetPool, access.sees_all(ctx), is_default=[True])
    return sorted(found, key=lambda pool: pool.ip_version)


def _make_network(cloud: Cloud, tx: Tx, ctx: Context, project_id: str) -> list[Subnet]:
    """A network; its subnets."""
    pools = _pools(tx, ctx)
    if not pools:
        raise NotFound("No default subnetpools defined")
    values = {"name": "auto_allocated_network", "project_id": project_id, "shared": False, "router:external": False}
    more = {"is_default": False, "mtu": 0, "port_security_enabled": True}
    network = networks.create(cloud, tx, ctx, {**_COMMON, **values, **more})
    return [
        subnets.create(
            cloud,
            tx,
            ctx,
            {
                "name": f"auto_allocated_subnet_v{pool.ip_version}",
                "project_id": project_id,
                "network_id": network.id,
                "ip_version": pool.ip_version,
                "subnetpool_id": pool.id,
                "enable_dhcp": True,
                "description": "",
            },
        )
        for pool in pools
    ]


def _make_router(cloud: Cloud, tx: Tx, ctx: Context, project_id: str, outside: Network, inside: list[Subnet]) -> Router:
    values = {"name": "auto_allocated_router", "project_id": project_id}
    gateway = {"external_gateway_info": {"network_id": outside.id}}
    router = routers.create(cloud, tx, ctx, {**_COMMON, **values, **gateway})
    for subnet in inside:
        interfaces.add(cloud, tx, ctx, router, {"subnet_id": subnet.id})
    return router
