# SPDX-License-Identifier: Apache-2.0
"""What belongs to trunks: their subports."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables as core
from cumulet.services.network.tables import trunks as tables
from cumulet.services.network.types.trunks import SubPort, SubPortDetail

_IN_ORDER = ("segmentation_type", "segmentation_id", "port_id")
_TRUNK, _SUBPORT, _PORT = tables.trunk, tables.subport, core.port
_OF_PARENTS = (
    select(*(_SUBPORT.c[name] for name in SubPort.__struct_fields__), _PORT.c.mac_address)
    .join(_TRUNK, _TRUNK.c.id == _SUBPORT.c.trunk_id)
    .join(_PORT, _PORT.c.id == _SUBPORT.c.port_id)
    .where(_TRUNK.c.port_id.in_(bindparam("parents", expanding=True)))
    .order_by(*(_SUBPORT.c[name] for name in _IN_ORDER))
)
_BELOW = core.port.alias()
_PARENTS_ALONE = (
    select(_PORT.c.id)
    .join(_TRUNK, _TRUNK.c.port_id == _PORT.c.id)
    .join(_SUBPORT, _SUBPORT.c.trunk_id == _TRUNK.c.id)
    .join(_BELOW, _BELOW.c.id == _SUBPORT.c.port_id)
    .where(_PORT.c.host == bindparam("host"), _BELOW.c.host != _PORT.c.host)
    .distinct()
)
_PARENTS = select(_TRUNK.c.port_id, _TRUNK.c.id).where(_TRUNK.c.port_id.in_(bindparam("ports", expanding=True)))


def subports(source: Source, trunk_ids: Iterable[str]) -> dict[str, list[SubPort]]:
    """The subports of each of these trunks, in the order of their tags."""
    found: dict[str, list[SubPort]] = {key: [] for key in trunk_ids}
    for each in sql.find_all(source, tables.subport, SubPort, _IN_ORDER, trunk_id=list(found)):
        found[each.trunk_id].append(each)
    return found


def members(source: Source) -> dict[str, str]:
    """The trunk of every port that is in one, as its parent or as a subport, by the port's id."""
    found = dict(sql.tuples(source, select(_TRUNK.c.port_id, _TRUNK.c.id)))
    return found | dict(sql.tuples(source, select(_SUBPORT.c.port_id, _SUBPORT.c.trunk_id)))


def parents(source: Source, port_ids: Iterable[str]) -> dict[str, str]:
    """The trunks whose parents are among these ports, by the parent's id."""
    return dict(sql.tuples(source, _PARENTS, {"ports": list(port_ids)}))


def parents_alone(source: Source, host: str) -> list[str]:
    """The ports on the host that are parents of trunks with subports that are not there."""
    return list(sql.column(source, _PARENTS_ALONE, {"host": host}))


def details(source: Source, port_ids: Iterable[str]) -> list[SubPortDetail]:
    """The subports of the trunks whose parents are among these ports."""
    return sql.rows(source, _OF_PARENTS, SubPortDetail, {"parents": list(port_ids)})


def add(tx: Tx, *made: SubPort) -> None:
    """Put ports into trunks."""
    sql.add(tx, tables.subport, *made)


def remove(tx: Tx, port_ids: Iterable[str]) -> None:
    """Take ports out of the trunks that they are in."""
    sql.remove(tx, tables.subport, port_id=list(port_ids))
