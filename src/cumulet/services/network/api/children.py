# SPDX-License-Identifier: Apache-2.0
"""Resources that live under another one, whose id is part of their path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cumulet.kernel.db import Source
from cumulet.kernel.http import Request
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import access
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common as store
from cumulet.services.network.store import kinds
from cumulet.services.network.store.kinds import Row


@dataclass(frozen=True, kw_only=True)
class Child(Resource[Row]):
    """A resource under another: `/floatingips/{floatingip_id}/port_forwardings/{id}`.

    Whoever may not see the parent does not find what is under it (404); else, and where something is made, the rules
    judge, `VERB_PARENT_NAME` (`create_floatingip_port_forwarding`), which know the parent's project as
    `ext_parent:project_id`. `column` is where a row holds its parent's id; `create` finds it in each item under that
    name. `only` are columns that are the same in all of the collection's rows, where a table holds several kinds of
    children. The template of the kind's 404 may name the `parent`.
    """

    parent: Resource[Any]
    column: str
    only: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"{self.parent.path}/{{{self.above}}}/{self.collection}"

    @property
    def above(self) -> str:
        """The path's name for the parent's id."""
        return f"{self.parent.name}_id"

    @property
    def rule(self) -> str:
        return f"{self.parent.name}_{self.name}"

    def rows(self, request: Request, columns: Mapping[str, Iterable[Any]]) -> list[Row]:
        same = {name: [value] for name, value in self.only.items()}
        narrowed = {**columns, **same, self.column: [self.found_parent(request)["id"]]}
        return store.find_all(request.cloud.db, self.kind, **narrowed)

    def row(self, request: Request, key: str) -> Row:
        found = self.rows(request, {"id": [key]})
        if not found:
            raise fault(kinds.of(self.kind).missing, id=key, parent=request.params[self.above])
        return found[0]

    def place(self, request: Request) -> Item:
        """Of any parent that there is: whoever may not see it hears of the rule, not that there is none."""
        parent = access.must(request.cloud.db, self.parent.kind, request.params[self.above])
        return {self.column: parent.id, **_words(parent.project_id)}

    def found_parent(self, request: Request) -> Item:
        """The parent that the path names, where the caller may see it; the parent's own 404 else."""
        return self.parent.load(request, request.params[self.above])

    def items(self, source: Source, rows: list[Row]) -> list[Item]:
        parents = store.by_id(source, self.parent.kind, {getattr(row, self.column) for row in rows})
        found = zip(super().items(source, rows), rows, strict=True)
        return [{**item, **_words(parents[getattr(row, self.column)].project_id)} for item, row in found]


def _words(owner: str) -> Item:
    """What policy asks of the parent."""
    return {"ext_parent:project_id": owner, "ext_parent:tenant_id": owner}
