# SPDX-License-Identifier: Apache-2.0
"""What can be done with subnet pools, and how subnets are cut from them."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, address_scopes, prefixes, quotas, rbac_policies, sharing
from cumulet.services.network.logic.faults import bad, fault, invalid
from cumulet.services.network.store import common
from cumulet.services.network.types import EVERYBODY, Network, Subnet, SubnetPool

BITS = {4: 32, 6: 128}
SHORTEST = {4: 8, 6: 64}  # the least prefix length where none is named
QUOTA_UNIT = {4: 32, 6: 64}  # quotas count networks of so many bits
_PLAIN = ("name", "is_default", "default_quota", "description")
_LENGTHS = ("min_prefixlen", "max_prefixlen", "default_prefixlen")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> SubnetPool:
    """A new pool from its attributes; prefixes that touch are merged."""
    quotas.take(cloud, tx, values["project_id"], subnetpool=1)
    version = _version(values["prefixes"])
    if values["is_default"]:
        _check_no_default(tx, version)
    shortest = values.get("min_prefixlen", SHORTEST[version])
    longest = values.get("max_prefixlen", BITS[version])
    usual = values.get("default_prefixlen", shortest)
    _check_lengths(version, shortest, longest, usual)
    key, scope_id = ids.new_uuid(), values.get("address_scope_id")
    if scope_id is not None:
        address_scopes.check_pool(tx, ctx, scope_id, key, version, values["prefixes"])
    now = clock.utcnow()
    pool = SubnetPool(
        id=key,
        project_id=values["project_id"],
        name=values["name"],
        ip_version=version,
        prefixes=prefixes.compact(values["prefixes"]),
        default_prefixlen=usual,
        min_prefixlen=shortest,
        max_prefixlen=longest,
        default_quota=values.get("default_quota"),
        is_default=values["is_default"],
        shared=values["shared"],
        description=values["description"],
        tags=[],
        revision_number=0,
        created_at=now,
        updated_at=now,
        **common.optional(SubnetPool, values),
    )
    common.add(tx, pool)
    if pool.shared:
        rbac_policies.check_pool(tx, pool, EVERYBODY)
        sharing.add(tx, "subnetpool", pool.id, pool.project_id)
    return pool


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> SubnetPool:
    """Change attributes; the prefixes can only grow."""
    lock(tx, key)
    pool = access.must(tx, SubnetPool, key)
    address_scopes.check_owned(tx, ctx, pool)
    changes = {name: values[name] for name in (*_PLAIN, *_LENGTHS) if name in values}
    changes |= common.optional(SubnetPool, values)
    if values.get("is_default") and not pool.is_default:
        _check_no_default(tx, pool.ip_version)
    _check_lengths(pool.ip_version, *(values.get(name, getattr(pool, name)) for name in _LENGTHS))
    if "prefixes" in values:
        _check_version(pool, values["prefixes"])
        if not prefixes.covers(values["prefixes"], pool.prefixes):
            raise fault("IllegalSubnetPoolPrefixUpdate", msg="Existing prefixes must be a subset of the new prefixes")
        changes["prefixes"] = prefixes.compact(values["prefixes"])
    _check_scope(tx, ctx, msgspec.structs.replace(pool, **changes))
    common.change(tx, SubnetPool, key, changes)
    return access.must(tx, SubnetPool, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a pool that no subnet is cut from."""
    lock(tx, key)
    if cut_from(tx, key):
        raise fault("SubnetPoolDeleteError", reason="Subnet pool has existing allocations")
    sharing.forget(tx, key)
    common.remove(tx, SubnetPool, [key])


def add_prefixes(tx: Tx, ctx: Context, key: str, wanted: list[str]) -> SubnetPool:
    """Let the pool grow."""
    lock(tx, key)
    pool = access.must(tx, SubnetPool, key)
    _check_version(pool, wanted)
    _grow(tx, ctx, pool, wanted)
    return access.must(tx, SubnetPool, key)


def remove_prefixes(tx: Tx, key: str, going: list[str]) -> SubnetPool:
    """Take from the pool what no subnet is cut from; what is not in it is no matter."""
    lock(tx, key)
    pool = access.must(tx, SubnetPool, key)
    _check_version(pool, going)
    if not prefixes.overlap(pool.prefixes, going):
        return pool
    if prefixes.overlap([subnet.cidr for subnet in cut_from(tx, key)], going):
        raise fault(
            "IllegalSubnetPoolPrefixUpdate", msg="One or more the prefixes to be removed is in use by a subnet."
        )
    common.change(tx, SubnetPool, key, {"prefixes": prefixes.without(pool.prefixes, going)})
    return access.must(tx, SubnetPool, key)


def onboard(tx: Tx, ctx: Context, key: str, network_id: str) -> list[Subnet]:
    """Make the network's subnets of the pool's IP version part of the pool, which grows by them."""
    network = access.get(tx, ctx, Network, network_id)
    if not ctx.is_admin and network.project_id != ctx.project_id:
        raise fault("NotAuthorized")
    lock(tx, key)
    pool = access.must(tx, SubnetPool, key)
    taken = [subnet.cidr for subnet in cut_from(tx, key)]
    coming = common.find_all(tx, Subnet, network_id=[network_id], ip_version=[pool.ip_version])
    for subnet in coming:
        if prefixes.overlap([subnet.cidr], taken):
            raise fault(
                "IllegalSubnetPoolUpdate",
                reason=f"Onboarding subnet {subnet.id}: {subnet.cidr} conflicts with allocated prefixes in subnet pool "
                f"{key}",
            )
    _grow(tx, ctx, pool, [subnet.cidr for subnet in coming])
    for subnet in coming:
        common.change(tx, Subnet, subnet.id, {"subnetpool_id": key})
    return coming


def wanted_by(tx: Tx, ctx: Context, values: dict[str, Any]) -> SubnetPool | None:
    """The pool that a new subnet's attributes ask for, locked till the commit; None where they ask for none."""
    key = values.get("subnetpool_id")
    if values.get("use_default_subnetpool"):
        if key is not None:
            raise bad("subnets", "subnetpool_id and use_default_subnetpool cannot both be specified")
        found = _default(tx, values["ip_version"])
        if found is None:
            raise bad("subnets", f"No default subnetpool found for IPv{values['ip_version']}")
        key = found.id
    if key is None:
        return None
    lock(tx, key)
    pool = access.get(tx, ctx, SubnetPool, key)
    if pool.ip_version != values["ip_version"]:
        words = f"Cannot allocate IPv{values['ip_version']} subnet from IPv{pool.ip_version} subnet pool"
        raise bad("subnets", words)
    return pool


def allocate(tx: Tx, pool: SubnetPool, project_id: str, cidr: str | None, length: int | None) -> str:
    """A network of the pool that nothing is cut from: `cidr` itself, or any of `length` bits (None: the usual)."""
    bits = ipaddress.ip_network(cidr).prefixlen if cidr is not None else length
    bits = pool.default_prefixlen if bits is None else bits
    if bits > pool.max_prefixlen:
        raise fault("MaxPrefixSubnetAllocationError", prefixlen=bits, max_prefixlen=pool.max_prefixlen)
    if bits < pool.min_prefixlen:
        raise fault("MinPrefixSubnetAllocationError", prefixlen=bits, min_prefixlen=pool.min_prefixlen)
    cut = cut_from(tx, pool.id)
    _check_quota(pool, [subnet for subnet in cut if subnet.project_id == project_id], bits)
    available = prefixes.without(pool.prefixes, [subnet.cidr for subnet in cut])
    if cidr is not None:
        if not prefixes.covers(available, [cidr]):
            reason = "Cannot allocate requested subnet from the available set of prefixes"
            raise fault("SubnetAllocationError", reason=reason)
        return cidr
    found = prefixes.room_for(available, bits)
    if found is None:
        raise fault("SubnetAllocationError", reason=f"Insufficient prefix space to allocate subnet size /{bits}")
    return found


def check_affinity(tx: Tx, network: Network, version: int, pool: SubnetPool | None) -> None:
    """All subnets of a network and an IP version come from the same pool, or from pools of the same address scope, or
    from none.
    """
    others = common.find_all(tx, Subnet, network_id=[network.id], ip_version=[version])
    scope_id = address_scopes.of_networks(tx, others).get((network.id, version))
    if pool is not None and scope_id is not None:
        if pool.address_scope_id != scope_id:
            raise fault("NetworkAddressScopeAffinityError")
        return
    if any(other.subnetpool_id != (pool.id if pool is not None else None) for other in others):
        raise fault("NetworkSubnetPoolAffinityError")


def cut_from(source: Source, key: str) -> list[Subnet]:
    """The subnets that are cut from the pool."""
    return common.find_all(source, Subnet, subnetpool_id=[key])


def lock(tx: Tx, key: str) -> None:
    """Have the pool to oneself till the commit."""
    tx.lock(f"network:subnetpool:{key}")


def _default(source: Source, version: int) -> SubnetPool | None:
    found = common.find_all(source, SubnetPool, is_default=[True], ip_version=[version])
    return found[0] if found else None


def _check_no_default(tx: Tx, version: int) -> None:
    tx.lock("network:default-subnetpool")
    if _default(tx, version) is not None:
        raise invalid(
            "A default subnetpool for this IP family has already been set. Only one default may exist per IP family"
        )


def _grow(tx: Tx, ctx: Context, pool: SubnetPool, more: list[str]) -> None:
    """Add prefixes, as far as the pool's address scope lets it."""
    address_scopes.check_owned(tx, ctx, pool)
    grown = msgspec.structs.replace(pool, prefixes=prefixes.compact([*pool.prefixes, *more]))
    _check_scope(tx, ctx, grown)
    common.change(tx, SubnetPool, pool.id, {"prefixes": grown.prefixes})


def _check_scope(tx: Tx, ctx: Context, pool: SubnetPool) -> None:
    """Refuse what the pool is to be where it does not fit its address scope."""
    if pool.address_scope_id is not None:
        address_scopes.check_pool(tx, ctx, pool.address_scope_id, pool.id, pool.ip_version, pool.prefixes)


def _version(wanted: list[str]) -> int:
    versions = {ipaddress.ip_network(prefix, strict=False).version for prefix in wanted}
    if not versions:
        raise fault("EmptySubnetPoolPrefixList")
    if len(versions) > 1:
        raise fault("PrefixVersionMismatch")
    return versions.pop()


def _check_version(pool: SubnetPool, wanted: list[str]) -> None:
    if _version([*pool.prefixes, *wanted]) != pool.ip_version:
        raise fault("PrefixVersionMismatch")


def _check_lengths(version: int, shortest: int, longest: int, usual: int) -> None:
    bounds = (
        ("min_prefixlen", shortest, "max_prefixlen", longest, shortest > longest),
        ("max_prefixlen", longest, "ip_version_max", BITS[version], longest > BITS[version]),
        ("default_prefixlen", usual, "min_prefixlen", shortest, usual < shortest),
        ("default_prefixlen", usual, "max_prefixlen", longest, usual > longest),
    )
    for name, length, base, base_length, broken in bounds:
        if broken:
            raise fault(
                "IllegalSubnetPoolPrefixBounds",
                prefix_type=name, prefixlen=length, base_prefix_type=base, base_prefixlen=base_length,
            )  # fmt: skip


def _check_quota(pool: SubnetPool, own: list[Subnet], bits: int) -> None:
    if not pool.default_quota:
        return
    unit = QUOTA_UNIT[pool.ip_version]
    lengths = [ipaddress.ip_network(subnet.cidr).prefixlen for subnet in own]
    if sum(2.0 ** (unit - length) for length in [*lengths, bits]) > pool.default_quota:
        raise fault("SubnetPoolQuotaExceeded")
