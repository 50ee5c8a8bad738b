# SPDX-License-Identifier: Apache-2.0
"""Segments of networks, and which numbers are free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, exists, func, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import allocation, port, segment, subnet
from cumulet.services.network.types import OWNER_COMPUTE, OWNER_DHCP
from cumulet.services.network.types.segments import Segment

_TYPE: BindParameter[Any] = bindparam("kind")
_ALIKE = (segment.c.network_type == _TYPE, segment.c.physical_network == bindparam("physical"))
_next = segment.alias()
_GAP = (
    select(segment.c.segmentation_id + 1)
    .where(
        *_ALIKE,
        segment.c.segmentation_id >= bindparam("first"),
        segment.c.segmentation_id < bindparam("last"),
        ~exists().where(
            _next.c.network_type == segment.c.network_type,
            _next.c.physical_network == segment.c.physical_network,
            _next.c.segmentation_id == segment.c.segmentation_id + 1,
        ),
    )
    .order_by(segment.c.segmentation_id)
    .limit(1)
    .scalar_subquery()
)
_IS_TAKEN = select(segment.c.id).where(*_ALIKE, segment.c.segmentation_id == bindparam("first"))
_FREE = select(exists().where(and_(*_ALIKE, segment.c.segmentation_id == bindparam("first"))), _GAP)

_OF_OTHERS = (
    select(allocation.c.subnet_id, func.count())
    .join(port, port.c.id == allocation.c.port_id)
    .where(
        allocation.c.subnet_id.in_(bindparam("subnets", expanding=True)),
        ~port.c.device_owner.startswith(OWNER_COMPUTE),
        port.c.device_owner != OWNER_DHCP,
    )
    .group_by(allocation.c.subnet_id)
)
_WITH_SUBNETS = select(subnet.c.segment_id).where(subnet.c.segment_id.is_not(None)).distinct()


def of_networks(source: Source, network_ids: Iterable[str]) -> dict[str, list[Segment]]:
    """Each network's segments in order; networks without are absent."""
    found: dict[str, list[Segment]] = {}
    for each in sql.find_all(source, segment, Segment, ("position", "id"), network_id=list(network_ids)):
        found.setdefault(each.network_id, []).append(each)
    return found


def is_taken(source: Source, kind: str, physical: str, number: int) -> bool:
    """Whether a segment has this number (0: none) on the physical network ("": none)."""
    return sql.scalar(source, _IS_TAKEN, {"kind": kind, "physical": physical, "first": number}) is not None


def free_number(source: Source, kind: str, physical: str, first: int, last: int) -> int | None:
    """The lowest number from `first` to `last` that no such segment has."""
    asked = {"kind": kind, "physical": physical, "first": first, "last": last}
    ((taken, gap),) = sql.tuples(source, _FREE, asked)
    return gap if taken else first


def renumber(tx: Tx, network_id: str, number: int) -> None:
    """Change the number of a network's only segment."""
    sql.change(tx, segment, {"segmentation_id": number}, network_id=network_id)


def with_subnets(source: Source) -> list[str]:
    """The segments that subnets are on."""
    return sql.column(source, _WITH_SUBNETS)


def addresses_of_others(source: Source, subnet_ids: list[str]) -> dict[str, int]:
    """How many addresses of each subnet ports hold that are neither a server's nor DHCP's."""
    return dict(sql.tuples(source, _OF_OTHERS, {"subnets": subnet_ids}))
