# SPDX-License-Identifier: Apache-2.0
"""What can be done with address scopes, and what they ask of the pools in them."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, prefixes, sharing
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.types import AddressScope, Subnet, SubnetPool

TYPE = "address_scope"


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> AddressScope:
    """A new scope from its attributes."""
    scope = AddressScope(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        ip_version=values["ip_version"],
        shared=values["shared"],
        granted=False,
        created_at=clock.utcnow(),
    )
    common.add(tx, scope)
    if scope.shared:
        sharing.add(tx, TYPE, scope.id, scope.project_id)
    return scope


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> AddressScope:
    """Change the name, or share it with everybody; that cannot be taken back by this."""
    sharing.lock(tx, key)
    scope = access.must(tx, AddressScope, key)
    if not values.get("shared", True) and sharing.is_shared_with(tx, ctx.project_id, scope):
        raise fault("AddressScopeUpdateError", id=key, reason="Shared address scope can't be unshared")
    common.set_quietly(tx, AddressScope, [key], {name: values[name] for name in ("name",) if name in values})
    if values.get("shared"):
        sharing.share_with_all(tx, TYPE, key, ctx.project_id or scope.project_id)
    return access.must(tx, AddressScope, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a scope that no pool is in."""
    lock(tx, key)
    if pools_in(tx, key):
        raise fault("AddressScopeInUse", id=key)
    sharing.forget(tx, key)
    common.remove(tx, AddressScope, [key])


def check_pool(tx: Tx, ctx: Context, scope_id: str, pool_id: str, version: int, wanted: list[str]) -> AddressScope:
    """Refuse a pool with the prefixes `wanted` that does not fit the scope, which is locked till the commit."""
    lock(tx, scope_id)
    scope = access.get(tx, ctx, AddressScope, scope_id)
    if version != scope.ip_version:
        raise fault(
            "IllegalSubnetPoolIpVersionAssociationToAddressScope",
            pool_id=pool_id, scope_id=scope_id, ip_version=scope.ip_version,
        )  # fmt: skip
    _check_networks(tx, pool_id, version)
    for other in pools_in(tx, scope_id):
        if other.id != pool_id and prefixes.overlap(other.prefixes, wanted):
            raise fault("AddressScopePrefixConflict")
    return scope


def check_owned(tx: Tx, ctx: Context, pool: SubnetPool) -> None:
    """Refuse to change a pool in a scope of another project."""
    if pool.address_scope_id is None:
        return
    scope = access.get(tx, ctx, AddressScope, pool.address_scope_id)
    if not ctx.is_admin and scope.project_id != ctx.project_id:
        words = f"subnetpool {pool.id} cannot be updated when associated with shared address scope {scope.id}"
        raise fault("IllegalSubnetPoolUpdate", reason=words)


def pools_in(source: Source, scope_id: str) -> list[SubnetPool]:
    """The pools of the scope."""
    return common.find_all(source, SubnetPool, address_scope_id=[scope_id])


def of_networks(source: Source, subnets: list[Subnet]) -> dict[tuple[str, int], str]:
    """The scope of each network and IP version, as far as its subnets come from pools that have one."""
    cut = [subnet for subnet in subnets if subnet.subnetpool_id is not None]
    if not cut:
        return {}
    pools = common.by_id(source, SubnetPool, {subnet.subnetpool_id or "" for subnet in cut})
    found = {}
    for subnet in cut:
        scope = pools[subnet.subnetpool_id or ""].address_scope_id
        if scope is not None:
            found[subnet.network_id, subnet.ip_version] = scope
    return found


def lock(tx: Tx, key: str) -> None:
    """Have the scope to oneself till the commit."""
    tx.lock(f"network:address_scope:{key}")


def _check_networks(tx: Tx, pool_id: str, version: int) -> None:
    """Refuse where a network of the pool's would come to have subnets in the scope beside others that are not."""
    cut = common.find_all(tx, Subnet, subnetpool_id=[pool_id])
    beside = common.find_all(tx, Subnet, network_id={subnet.network_id for subnet in cut}, ip_version=[version])
    if {subnet.id for subnet in beside} - {subnet.id for subnet in cut}:
        raise fault("NetworkAddressScopeAffinityError")
