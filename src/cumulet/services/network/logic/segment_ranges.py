# SPDX-License-Identifier: Apache-2.0
"""Ranges of numbers that networks get without asking: made by administrators, and by default of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, network_types
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import common
from cumulet.services.network.store import segment_ranges as store
from cumulet.services.network.store import segments as segment_store
from cumulet.services.network.store.segment_ranges import Offer
from cumulet.services.network.types.segment_ranges import RANGED, SegmentRange

LOCK = "network:segments"  # held by whoever gives out numbers, or changes what may be given out
SHOWN = 1 << 16  # free numbers of a range that answers name
_VLAN = "vlan"

Span = tuple[int, int]
Place = tuple[str, int]


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> SegmentRange:
    """A new range from its attributes."""
    tx.lock(LOCK)
    kind = values.get("network_type")
    if kind not in RANGED or kind not in cloud.settings.network.type_drivers:
        raise fault("NetworkSegmentRangeNetTypeNotSupported", type=kind)
    _check_numbers(kind, values["minimum"], values["maximum"])
    physical = _physical(kind, values.get("physical_network"))
    _check_alone(tx, kind, physical, (values["minimum"], values["maximum"]))
    made = _row(kind, physical, values["minimum"], values["maximum"], is_default=False, **_owner(values))
    common.add(tx, made)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> SegmentRange:
    """Change its name or its bounds; what is used stays inside."""
    tx.lock(LOCK)
    before = access.must(tx, SegmentRange, key)
    _check_own(before)
    first, last = values.get("minimum", before.minimum), values.get("maximum", before.maximum)
    held = used(tx, before)
    if held and (first > min(held) or last < max(held)):
        raise fault("NetworkSegmentRangeReferencedByProject", id=key)
    _check_numbers(before.network_type, first, last)
    _check_alone(tx, before.network_type, before.physical_network, (first, last), but=key)
    names = ("name", "description", "minimum", "maximum")
    common.change(tx, SegmentRange, key, {name: values[name] for name in names if name in values})
    return access.must(tx, SegmentRange, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a range of which nothing is used."""
    tx.lock(LOCK)
    before = access.must(tx, SegmentRange, key)
    _check_own(before)
    if used(tx, before):
        raise fault("NetworkSegmentRangeReferencedByProject", id=key)
    common.remove(tx, SegmentRange, [key])


def used(source: Source, one: SegmentRange) -> dict[int, str]:
    """Who owns the network of each number of the range that is used."""
    return store.used(source, one.network_type, one.physical_network, one.minimum, one.maximum)


def available(one: SegmentRange, taken: Iterable[int]) -> list[int]:
    """The numbers that are free, the lowest `SHOWN` of them at most."""
    held = set(taken)
    end = min(one.maximum, one.minimum + SHOWN + len(held) - 1)
    return [number for number in range(one.minimum, end + 1) if number not in held][:SHOWN]


def follow(cloud: Cloud, tx: Tx) -> None:
    """Let the default ranges be those of the settings."""
    tx.lock(LOCK)
    wanted = dict.fromkeys(network_types.default_ranges(cloud))
    there = {_place(one): one for one in store.defaults(tx)}
    common.remove(tx, SegmentRange, [one.id for place, one in there.items() if place not in wanted])
    common.add(tx, *(_row(*place, is_default=True) for place in wanted if place not in there))


def pick(
    tx: Tx, kind: str, physical: str | None, numbers: range, project_id: str | None, taken: set[tuple[str, int | None]]
) -> Place | None:
    """Physical network ("": none) and number for a network of the project; None where none is free.

    Out of the project's own ranges, else out of shared ones without those of other projects. Kinds without ranges give
    out all their `numbers`. `taken` are places that are as good as used.
    """
    if kind not in RANGED:
        whole = (numbers[0], numbers[-1])
        return _first(tx, kind, physical or "", whole, taken)
    found = [each for each in store.offers(tx, kind) if physical in (None, each.physical)]
    others = [each for each in found if each.project_id not in (None, project_id)]
    own = [each for each in found if each.project_id is not None and each.project_id == project_id]
    for each in (*own, *(each for each in found if each.shared)):
        place = _of_offer(tx, kind, each, others if each.shared else [], taken)
        if place is not None:
            return place
    return None


def _of_offer(tx: Tx, kind: str, offer: Offer, others: list[Offer], taken: set[tuple[str, int | None]]) -> Place | None:
    """What is free of one range: usually its lowest number, which is known already."""
    if offer.free is None:
        return None
    reserved = [(each.first, each.last) for each in others if each.physical == offer.physical]
    if (offer.physical, offer.free) not in taken and not any(low <= offer.free <= high for low, high in reserved):
        return offer.physical, offer.free
    for span in _without((offer.first, offer.last), reserved):
        place = _first(tx, kind, offer.physical, span, taken)
        if place is not None:
            return place
    return None


def _without(whole: Span, reserved: list[Span]) -> Iterator[Span]:
    """What is left of a span."""
    first, last = whole
    for low, high in sorted(reserved):
        if first <= min(low - 1, last):
            yield first, min(low - 1, last)
        first = max(first, high + 1)
    if first <= last:
        yield first, last


def _first(tx: Tx, kind: str, physical: str, span: Span, taken: set[tuple[str, int | None]]) -> Place | None:
    first, last = span
    while first <= last:
        number = segment_store.free_number(tx, kind, physical, first, last)
        if number is None:
            return None
        if (physical, number) not in taken:
            return physical, number
        first = number + 1
    return None


def _owner(values: dict[str, Any]) -> dict[str, Any]:
    words = {name: values[name] for name in ("name", "description", "shared")}
    return {**words, "project_id": None if values["shared"] else values["project_id"]}


def _row(
    kind: str,
    physical: str,
    first: int,
    last: int,
    *,
    is_default: bool,
    shared: bool = True,
    project_id: str | None = None,
    name: str = "",
    description: str = "",
) -> SegmentRange:
    now = clock.utcnow()
    return SegmentRange(
        id=ids.new_uuid(),
        project_id=project_id,
        name=name,
        is_default=is_default,
        shared=shared,
        network_type=kind,
        physical_network=physical,
        minimum=first,
        maximum=last,
        description=description,
        tags=[],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )


def _place(one: SegmentRange) -> tuple[str, str, int, int]:
    return one.network_type, one.physical_network, one.minimum, one.maximum


def _physical(kind: str, given: str | None) -> str:
    if kind != _VLAN:
        return ""
    if given is None:
        reason = f"Network type {kind} requires 'physical_network' to be specified while creating new range"
        raise bad("network_segment_range", reason)
    return given


def _check_own(one: SegmentRange) -> None:
    if one.is_default:
        raise fault("NetworkSegmentRangeDefaultReadOnly", id=one.id)


def _check_numbers(kind: str, first: int, last: int) -> None:
    name = "NetworkVlanRangeError" if kind == _VLAN else "NetworkTunnelRangeError"
    what = "VLAN" if kind == _VLAN else "tunnel"
    for number in (first, last):
        if number not in network_types.find(kind).numbers:
            error = f"{number} is not a valid " + ("VLAN tag" if kind == _VLAN else f"{kind} identifier")
            raise fault(name, first=first, last=last, error=error)
    if last < first:
        error = f"End of {what} range is less than start of {what} range"
        raise fault(name, first=first, last=last, error=error)


def _check_alone(source: Source, kind: str, physical: str, span: Span, but: str = "") -> None:
    """No two ranges that somebody made have a number in common."""
    there = common.find_all(source, SegmentRange, network_type=[kind], physical_network=[physical], is_default=[False])
    others = [each.id for each in there if each.id != but and span[0] <= each.maximum and span[1] >= each.minimum]
    if others:
        raise fault("NetworkSegmentRangeOverlaps", ids=", ".join(others))
