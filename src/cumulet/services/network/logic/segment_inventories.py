# SPDX-License-Identifier: Apache-2.0
"""How many IPv4 addresses segments have, in placement: by a provider for each, named as Neutron names it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.store import common
from cumulet.services.network.store import segments as store
from cumulet.services.network.types import Subnet
from cumulet.services.placement.contract import Inventory, PlacementContract

CLASS = "IPV4_ADDRESS"


def settle(cloud: Cloud, tx: Tx, keys: Iterable[str]) -> None:
    """Let placement know what these segments have; one without addresses to give out has no provider."""
    wanted = set(keys)
    if not wanted or not cloud.contracts.offers(PlacementContract):
        return
    placement = cloud.contracts.use(PlacementContract)
    there = of_segments(tx, wanted)
    for key in sorted(wanted):
        if key in there:
            placement.ensure_provider(tx, key, f"Neutron segment id {key}")
            placement.set_inventory(tx, key, {CLASS: there[key]})
        else:
            placement.retire_provider(tx, key)


def settle_all(cloud: Cloud) -> None:
    """The same of all segments that subnets are on: ports come and go without a word to placement."""
    if not store.with_subnets(cloud.db):
        return
    cloud.db.write(lambda tx: settle(cloud, tx, store.with_subnets(tx)))


def of_segments(source: Source, keys: set[str]) -> dict[str, Inventory]:
    """The addresses of each segment; reserved are those of gateways, of DHCP, and of ports that no server has."""
    total, reserved = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    subnets = common.find_all(source, Subnet, segment_id=keys, ip_version=[4])
    held = store.addresses_of_others(source, [subnet.id for subnet in subnets])
    for subnet in subnets:
        key, size = subnet.segment_id or "", sum(_size(pool) for pool in subnet.allocation_pools)
        if size:
            gateway = subnet.gateway_ip is not None
            total[key] += size + gateway
            reserved[key] += gateway + subnet.enable_dhcp
        reserved[key] += held.get(subnet.id, 0)
    return {key: _inventory(total[key], reserved[key]) for key in keys if total[key]}


def _inventory(total: int, reserved: int) -> Inventory:
    return Inventory(total=total, reserved=min(total, reserved), max_unit=1)


def _size(pool: dict[str, str]) -> int:
    return int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1
