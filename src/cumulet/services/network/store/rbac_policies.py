# SPDX-License-Identifier: Apache-2.0
"""What RBAC policies say, and which projects lean on what they share."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Table, and_, exists, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.types import AS_EXTERNAL, AS_SHARED, EVERYBODY, OWNER_ROUTER_GATEWAY, RbacPolicy

_POLICY = tables.rbac_policy
# What the release before writes too, which knows no policies: the type of object, its table, and when its row says
# that everybody may do the action.
_MARKS = (
    ("network", tables.network, tables.network.c.shared, AS_SHARED),
    ("network", tables.network, and_(tables.network.c.external, ~tables.network.c.limited), AS_EXTERNAL),
    ("subnetpool", tables.subnet_pool, tables.subnet_pool.c.shared, AS_SHARED),
)


def of_object(source: Source, object_id: str, action: str | None = None) -> list[RbacPolicy]:
    """The policies on an object, all or those for one action, oldest first."""
    limits = {} if action is None else {"action": action}
    return sql.find_all(source, _POLICY, RbacPolicy, ("created_at", "id"), object_id=object_id, **limits)


def find(source: Source, object_id: str, action: str, target_project: str) -> RbacPolicy | None:
    """The one policy with these values."""
    return sql.find(
        source, _POLICY, RbacPolicy, object_id=object_id, action=action, target_project=target_project
    )  # fmt: skip


def remove_of(tx: Tx, object_id: str, action: str | None = None, target_project: str | None = None) -> None:
    """Delete an object's policies, or those of them with these values."""
    given = {"action": action, "target_project": target_project}
    sql.remove(tx, _POLICY, object_id=object_id, **{name: value for name, value in given.items() if value is not None})


def shared_with(source: Source, project_id: str, object_ids: Iterable[str]) -> set[str]:
    """Which of the objects policies share with that very project."""
    query = select(_POLICY.c.object_id).where(
        _POLICY.c.target_project == project_id,
        _POLICY.c.action == AS_SHARED,
        sql.any_of(_POLICY.c.object_id, object_ids),
    )
    return set(sql.column(source, query))


def on_network(source: Source, network_id: str) -> set[str]:
    """The projects that have ports on the network; the cloud's own ports may be nobody's."""
    return _projects(source, tables.port, tables.port.c.network_id == network_id) - {""}


def using_network(source: Source, network_id: str) -> set[str]:
    """The projects that have ports of their own making, or subnets, on the network."""
    port = tables.port
    made = _projects(source, port, port.c.network_id == network_id, ~port.c.device_owner.startswith("network:"))
    return made | _projects(source, tables.subnet, tables.subnet.c.network_id == network_id)


def routing_through(source: Source, network_id: str) -> set[str]:
    """The projects whose routers have a gateway on the network."""
    port = tables.port
    leading = select(port.c.device_id).where(
        port.c.network_id == network_id, port.c.device_owner == OWNER_ROUTER_GATEWAY
    )
    return _projects(source, tables.router, tables.router.c.id.in_(leading))


def cutting_from(source: Source, pool_id: str) -> set[str]:
    """The projects that have subnets of the pool."""
    return _projects(source, tables.subnet, tables.subnet.c.subnetpool_id == pool_id)


def in_scope(source: Source, scope_id: str) -> set[str]:
    """The projects that have pools in the address scope."""
    return _projects(source, tables.subnet_pool, tables.subnet_pool.c.address_scope_id == scope_id)


def admitting(source: Source, group_id: str) -> set[str]:
    """The projects that have security group rules that name the address group."""
    rule = tables.security_group_rule
    return _projects(source, rule, rule.c.remote_address_group_id == group_id)


def in_group(source: Source, group_id: str) -> set[str]:
    """The projects that have ports in the security group."""
    member = tables.membership
    ports = select(member.c.port_id).where(member.c.security_group_id == group_id)
    return _projects(source, tables.port, tables.port.c.id.in_(ports))


def missing(source: Source) -> list[tuple[str, str, str, str]]:
    """The type, id, owner and action of objects whose row says that everybody may, and no policy does."""
    found = []
    for name, table, mark, action in _MARKS:
        said = exists().where(
            _POLICY.c.object_id == table.c.id, _POLICY.c.action == action, _POLICY.c.target_project == EVERYBODY
        )
        listed = sql.tuples(source, select(table.c.id, table.c.project_id).where(mark, ~said))
        found += [(name, key, owner, action) for key, owner in listed]
    return found


def stale(source: Source) -> list[RbacPolicy]:
    """The policies for everybody that the object's row does not know of, and those on objects that are gone."""
    found: list[RbacPolicy] = []
    for name, table, mark, action in _MARKS:
        is_said = exists().where(table.c.id == _POLICY.c.object_id, mark)
        for_all = (_POLICY.c.action == action, _POLICY.c.target_project == EVERYBODY)
        found += sql.rows(source, select(_POLICY).where(_POLICY.c.object_type == name, *for_all, ~is_said), RbacPolicy)
    for name, table in {**{name: table for name, table, *_ in _MARKS}, "security_group": tables.security_group}.items():
        is_there = exists().where(table.c.id == _POLICY.c.object_id)
        found += sql.rows(source, select(_POLICY).where(_POLICY.c.object_type == name, ~is_there), RbacPolicy)
    return found


def _projects(source: Source, table: Table, *where: ColumnElement[bool]) -> set[str]:
    return set(sql.column(source, select(table.c.project_id).where(*where).distinct()))
