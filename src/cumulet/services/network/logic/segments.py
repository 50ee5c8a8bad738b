# SPDX-License-Identifier: Apache-2.0
"""What carries a network: its kind, its physical network, its number, and how long its packets may be."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.network.contract import ProviderSegment, TypeDriver
from cumulet.services.network.logic import network_types
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.logic.network_types.own import PHYSICAL
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import FLAT, TUNNEL, Network

PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")

Segment = tuple[str, str | None, int | None]


def choose(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> Segment:
    """Type, physical network and number of a new network, as an administrator wants it or as is free."""
    kind, physical, number = (values.get(name) for name in PROVIDER)
    tx.lock("network:segments")
    if kind is None:
        if physical is not None or number is not None:
            raise invalid("network_type required")
        kind, physical = _for_projects(cloud, tx, values["router:external"])
    driver = network_types.offered(cloud, tx, kind)
    reason = driver.refuse(ProviderSegment(physical_network=physical, segmentation_id=number))
    if reason is not None:
        raise invalid(reason)
    if number is not None and not driver.numbers:
        raise invalid(f"segmentation_id prohibited for {kind} provider network")
    if physical is not None and _is_taken(tx, physical):
        raise fault("FlatNetworkInUse", physical=physical)
    return kind, physical, _number(cloud, tx, kind, driver, number) if driver.numbers else None


def mtu(cloud: Cloud, kind: str, wanted: int) -> int:
    """The network's MTU in bytes: what was asked for, within what its packets can be carried in."""
    most = int(cloud.settings.network.mtu) - network_types.find(kind).overhead
    if wanted == 0:
        return most
    if not 68 <= wanted <= most:
        raise invalid(f"Requested MTU is too big, maximum is {most}" if wanted > most else "MTU is too small")
    return wanted


def _for_projects(cloud: Cloud, tx: Tx, external: bool) -> tuple[str, str | None]:
    """What a network is where nobody says: the first external one is on the physical network, others are tunnels."""
    kinds = cloud.settings.network.type_drivers
    if external and FLAT in kinds and not _is_taken(tx, PHYSICAL):
        return FLAT, PHYSICAL
    if TUNNEL not in kinds:
        raise fault("NoNetworkAvailable")
    return TUNNEL, None


def _is_taken(tx: Tx, physical: str) -> bool:
    return bool(common.find_all(tx, Network, physical_network=[physical]))


def _number(cloud: Cloud, tx: Tx, kind: str, driver: TypeDriver, wanted: int | None) -> int:
    """The number that was asked for, or one that is free; no two networks have the same, of whatever kind."""
    taken = lookups.segments_taken(tx)
    if wanted is None:
        first, _, last = cloud.settings.network.segments.partition("-")
        given = range(int(first), int(last) + 1) if kind == TUNNEL else driver.numbers
        free = next((number for number in given if number not in taken), None)
        if free is None:
            raise fault("NoNetworkAvailable")
        return free
    if wanted not in driver.numbers:
        raise invalid(f"segmentation_id out of range ({driver.numbers[0]} through {driver.numbers[-1]})")
    if wanted in taken:
        raise fault("TunnelIdInUse", segment=wanted)
    return wanted
