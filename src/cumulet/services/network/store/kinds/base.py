# SPDX-License-Identifier: Apache-2.0
"""What the service has to know of any kind of resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, Table, and_, false, select, union_all

from cumulet.kernel.context import Context
from cumulet.services.network.tables import rbac_policy
from cumulet.services.network.types import EVERYBODY


class Kept(Protocol):
    """A row that has an id."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Kept)


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    The fields of `row` are the columns of `table`. `missing` names the fault of an id that nothing has. `counted` is
    the quota's name (`network.quotas`), "" where projects may have any number of it. `seen` says which rows a
    caller may know of that does not see everything; where it is None, those of its own project.
    """

    row: type[Any]
    table: Table
    missing: str
    counted: str = ""
    seen: Callable[[Context], ColumnElement[bool]] | None = None

    def visible(self, ctx: Context) -> ColumnElement[bool]:
        """The condition under which the caller may know of a row."""
        return self.seen(ctx) if self.seen is not None else own(self.table, ctx)


def own(table: Table, ctx: Context) -> ColumnElement[bool]:
    """What belongs to the caller's project."""
    return table.c.project_id == ctx.project_id


def granted(table: Table, ctx: Context) -> ColumnElement[bool]:
    """What RBAC policies name the caller's project for. Without any such policy the other table is not looked at."""
    return and_(table.c.granted, table.c.id.in_(_objects(ctx.project_id)))


def own_or_shared(table: Table, ctx: Context) -> ColumnElement[bool]:
    """What belongs to the caller's project, or is shared with it: found by indexes alone, however many others have."""
    mine = table.alias()
    owned = select(mine.c.id).where(mine.c.project_id == ctx.project_id)
    return table.c.id.in_(union_all(owned, _objects(ctx.project_id, EVERYBODY)))


def _objects(*targets: str | None) -> Select[tuple[str]]:
    """The ids of what these are the targets of policies for."""
    return select(rbac_policy.c.object_id).where(rbac_policy.c.target_project.in_(targets))


def nobody(ctx: Context) -> ColumnElement[bool]:
    """For what belongs to no project."""
    return false()
