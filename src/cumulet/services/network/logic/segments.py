# SPDX-License-Identifier: Apache-2.0
"""What carries a network: segments of some kind, on a physical network, with a number; and how long packets may be."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.network.contract import ProviderSegment, TypeDriver
from cumulet.services.network.logic import addressing, network_types, segment_ranges
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import common
from cumulet.services.network.store import segments as store
from cumulet.services.network.types import FLAT, PHYSICAL, TUNNEL, Network
from cumulet.services.network.types.segments import Segment

PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
SEGMENTS = "segments"
LOCK = segment_ranges.LOCK
VLAN = "vlan"


_OF_FIRST = ("physical_network", "segmentation_id", "segment_physical", "segment_number")


class Carrier(NamedTuple):
    """What a segment is, or is wanted to be: its type, physical network and number as in the API, None for none."""

    kind: str
    physical: str | None
    number: int | None


def choose(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> list[Carrier]:
    """What carries a new network, as an administrator wants it or as is free.

    Nobody else takes any of it before the transaction's end.
    """
    wanted = _wanted(cloud, tx, values)
    tx.lock(LOCK)
    if not wanted:
        wanted = [_for_projects(cloud, tx, values["router:external"])]
    found: list[Carrier] = []
    for each in wanted:
        found.append(_reserved(tx, each, values["project_id"], found))
    return found


def reserve(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> Carrier:
    """One more segment, of attributes of the segment itself. Nobody else takes its number before the end."""
    kind, physical, number = (values.get(name) for name in ("network_type", "physical_network", "segmentation_id"))
    wanted = _validated(cloud, tx, Carrier(kind or "", physical, number))
    tx.lock(LOCK)
    return _reserved(tx, wanted, None, [])


def settle(cloud: Cloud, tx: Tx, network_id: str) -> None:
    """Let the network's row say what its segments are now."""
    held = [carrier(each) for each in store.of_networks(tx, [network_id]).get(network_id, [])]
    common.set_quietly(tx, Network, [network_id], columns(cloud, held))


def rows(network_id: str, carriers: Iterable[Carrier], now: datetime) -> list[Segment]:
    """The segments of a new network."""
    return [
        Segment(
            id=ids.new_uuid(),
            network_id=network_id,
            network_type=each.kind,
            physical_network=each.physical or "",
            segmentation_id=kept_number(each),
            position=position,
            name=None,
            description="",
            revision_number=0,
            created_at=now,
            updated_at=now,
        )
        for position, each in enumerate(carriers)
    ]


def columns(cloud: Cloud, carriers: list[Carrier]) -> dict[str, Any]:
    """What the network's row says of its segments; to the release before, as much as it would have made itself.

    One without segments keeps the type that it had.
    """
    if not carriers:
        return {"segment_count": 0, **dict.fromkeys(_OF_FIRST)}
    first = carriers[0]
    return {
        "network_type": first.kind,
        "physical_network": first.physical if first.kind == FLAT else None,
        "segmentation_id": first.number if first.kind == TUNNEL and network_types.are_own(cloud) else None,
        "segment_count": len(carriers),
        "segment_physical": first.physical,
        "segment_number": first.number,
    }


def kept_number(carrier: Carrier) -> int | None:
    """The number as the segment's row has it."""
    return 0 if carrier.number is None and carrier.physical is not None else carrier.number


def carriers(source: Source, networks: Iterable[Network]) -> dict[str, list[Carrier]]:
    """What carries each network. The table is read only where one has not just one segment."""
    listed = list(networks)
    several = [network.id for network in listed if network.segment_count > 1]
    held = store.of_networks(source, several) if several else {}
    return {
        network.id: [carrier(each) for each in held[network.id]] if network.id in held else _of_row(network)
        for network in listed
    }


def carrier(segment: Segment) -> Carrier:
    """What the segment is, as in the API."""
    return Carrier(segment.network_type, segment.physical_network or None, segment.segmentation_id or None)


def on_host(source: Source, networks: Iterable[Network], physical: Container[str]) -> list[Network]:
    """The networks as a host carries them that has a way to these physical networks.

    Of several segments that is the first that the host has, which stands in the row then.
    """
    listed = list(networks)
    several = [network.id for network in listed if network.segment_count > 1]
    held = store.of_networks(source, several) if several else {}
    return [_carried(network, held.get(network.id, []), physical) for network in listed]


def mtu(cloud: Cloud, kinds: Iterable[str], wanted: int) -> int:
    """The network's MTU in bytes: what was asked for, within what its packets can be carried in."""
    overhead = max((network_types.find(kind).overhead for kind in kinds), default=0)
    most = int(cloud.settings.network.mtu) - overhead
    if wanted == 0:
        return most
    if wanted > most:
        raise invalid(f"Requested MTU is too big, maximum is {most}")
    return wanted


def check_mtu(network_id: str, mtu: int, version: int) -> None:
    """Refuse (409) an MTU in bytes that is too small for packets of an IP version."""
    least = next((least for least in (addressing.LEAST_MTU[4], addressing.LEAST_MTU[version]) if mtu < least), None)
    if least is not None:
        raise fault("NetworkMTUSubnetConflict", id=network_id, mtu=least)


def renumber(cloud: Cloud, tx: Tx, network: Network, values: dict[str, Any]) -> dict[str, Any]:
    """Give the network another number, as far as that is possible; what its row says then."""
    given = [name for name in (*PROVIDER[:2], SEGMENTS) if values.get(name) is not None]
    shown = dict(zip(PROVIDER, (network.network_type, network.segment_physical), strict=False))
    refused = [name for name in given if network.segment_count != 1 or values[name] != shown.get(name)]
    if refused:
        raise invalid(
            "Plugin does not support updating the following provider network attributes: " + ", ".join(refused)
        )
    number = values.get(PROVIDER[2])
    if not number:
        return {}
    if network.segment_count != 1:
        raise invalid("Provider network attributes can be updated only in provider networks with a single segment.")
    if network.network_type != VLAN:
        raise invalid("Only VLAN type networks can be updated.")
    tx.lock(LOCK)
    wanted = _validated(cloud, tx, Carrier(VLAN, network.segment_physical, number))
    found = _reserved(tx, wanted, network.project_id, [])
    store.renumber(tx, network.id, number)
    return {"segment_number": found.number}


def _carried(network: Network, segments: list[Segment], physical: Container[str]) -> Network:
    found = next((each for each in segments if not each.physical_network or each.physical_network in physical), None)
    if found is None:
        return network
    kind, name, number = carrier(found)
    return msgspec.structs.replace(network, network_type=kind, segment_physical=name, segment_number=number)


def _of_row(network: Network) -> list[Carrier]:
    if not network.segment_count:
        return []
    return [Carrier(network.network_type, network.segment_physical, network.segment_number)]


def _wanted(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> list[Carrier]:
    """What an administrator asked for, judged; nothing where nobody did."""
    if any(values.get(name) is not None for name in PROVIDER):
        if values.get(SEGMENTS) is not None:
            raise fault("SegmentsSetInConjunctionWithProviders")
        return [_validated(cloud, tx, _asked(values))]
    found = [_validated(cloud, tx, _asked(each)) for each in values.get(SEGMENTS) or []]
    whole = [each for each in found if each.number is not None or not network_types.find(each.kind).numbers]
    if len(set(whole)) != len(whole):
        raise fault("SegmentsContainDuplicateEntry")
    return found


def _asked(values: dict[str, Any]) -> Carrier:
    kind, physical, number = (values.get(name) for name in PROVIDER)
    if kind is None:
        raise invalid("network_type required")
    return Carrier(kind, physical, number)


def _validated(cloud: Cloud, source: Source, wanted: Carrier) -> Carrier:
    driver = network_types.offered(cloud, source, wanted.kind)
    known = network_types.known(cloud, source, wanted.kind)
    reason = driver.refuse(
        ProviderSegment(physical_network=wanted.physical, segmentation_id=wanted.number, known=known)
    )
    if reason is not None:
        raise invalid(reason)
    if wanted.number is not None and not driver.numbers:
        raise invalid(f"segmentation_id prohibited for {wanted.kind} provider network")
    if wanted.number is not None and wanted.number not in driver.numbers:
        raise invalid(f"segmentation_id out of range ({driver.numbers[0]} through {driver.numbers[-1]})")
    return wanted


def _for_projects(cloud: Cloud, tx: Tx, external: bool) -> Carrier:
    """What a network is where nobody says: the first external one is on the physical network, others are tunnels."""
    kinds = cloud.settings.network.type_drivers
    if external and FLAT in kinds and not store.is_taken(tx, FLAT, PHYSICAL, 0):
        return Carrier(FLAT, PHYSICAL, None)
    if TUNNEL not in kinds:
        raise fault("NoNetworkAvailable")
    return Carrier(TUNNEL, None, None)


def _reserved(tx: Tx, wanted: Carrier, project_id: str | None, now: list[Carrier]) -> Carrier:
    """The segment with its number, which nobody has; `now` is what the same network takes besides."""
    driver = network_types.find(wanted.kind)
    if driver.numbers and wanted.number is None:
        return _numbered(tx, wanted, driver, project_id, now)
    kept = kept_number(wanted)
    if kept is not None and (wanted in now or store.is_taken(tx, wanted.kind, wanted.physical or "", kept)):
        raise _in_use(wanted)
    return wanted


def _numbered(tx: Tx, wanted: Carrier, driver: TypeDriver, project_id: str | None, now: list[Carrier]) -> Carrier:
    """The lowest number that is free; NoNetworkAvailable."""
    taken = {(each.physical or "", each.number) for each in now if each.kind == wanted.kind}
    found = segment_ranges.pick(tx, wanted.kind, wanted.physical, driver.numbers, project_id, taken)
    if found is None:
        raise fault("NoNetworkAvailable")
    physical, number = found
    return Carrier(wanted.kind, physical or None, number)


def _in_use(carrier: Carrier) -> CumuletError:
    if carrier.number is None:
        return fault("FlatNetworkInUse", physical=carrier.physical)
    if carrier.physical is not None:
        return fault("VlanIdInUse", number=carrier.number, physical=carrier.physical)
    return fault("TunnelIdInUse", segment=carrier.number)
