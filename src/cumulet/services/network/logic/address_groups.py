# SPDX-License-Identifier: Apache-2.0
"""What can be done with address groups: named lists of addresses that security group rules admit."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, sharing
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import address_groups as store
from cumulet.services.network.store import common
from cumulet.services.network.types.address_groups import AddressGroup


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> AddressGroup:
    """A new group from its attributes; what means the same address is kept once."""
    now = clock.utcnow()
    addresses = normalized(values.get("addresses", []))
    group = AddressGroup(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        addresses=addresses,
        description=values["description"],
        revision_number=1 if addresses else 0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, group)
    return group


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> AddressGroup:
    common.change(tx, AddressGroup, key, {name: values[name] for name in ("name", "description") if name in values})
    return access.must(tx, AddressGroup, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a group that no rule names."""
    lock(tx, key)
    if store.groups_admitting(tx, [key]):
        raise fault("AddressGroupInUse", id=key)
    sharing.forget(tx, key)
    common.remove(tx, AddressGroup, [key])


def add_addresses(tx: Tx, key: str, wanted: list[str]) -> AddressGroup:
    """Let the group grow by addresses that it does not have yet."""
    lock(tx, key)
    group = access.must(tx, AddressGroup, key)
    coming = normalized(wanted)
    known = [address for address in coming if address in set(group.addresses)]
    if known:
        raise fault("AddressesAlreadyExist", addresses=known, id=key)
    if coming:
        common.change(tx, AddressGroup, key, {"addresses": [*group.addresses, *coming]})
    return access.must(tx, AddressGroup, key)


def remove_addresses(tx: Tx, key: str, wanted: list[str]) -> AddressGroup:
    """Take addresses from the group, all of which it has."""
    lock(tx, key)
    group = access.must(tx, AddressGroup, key)
    going = normalized(wanted)
    unknown = [address for address in going if address not in set(group.addresses)]
    if unknown:
        raise fault("AddressesNotFound", addresses=unknown, id=key)
    left = [address for address in group.addresses if address not in set(going)]
    if going:
        common.change(tx, AddressGroup, key, {"addresses": left})
    return access.must(tx, AddressGroup, key)


def normalized(addresses: Iterable[str]) -> list[str]:
    """The networks that addresses and CIDRs mean, their host bits cleared, each once."""
    return list(dict.fromkeys(str(ipaddress.ip_network(address, strict=False)) for address in addresses))


def lock(tx: Tx, key: str) -> None:
    """Have the group to oneself till the commit: no rule begins or ceases to name it meanwhile."""
    tx.lock(f"network:address_group:{key}")
