# SPDX-License-Identifier: Apache-2.0
"""What one family of the service adds to the resources of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api.attributes import Attributes
from cumulet.services.network.api.listing import Filter, Item

Values = dict[str, Any]


def _nothing(*_: Any) -> None:
    pass


def _as_they_are(_source: Source, _rows: list[Any], items: list[Item]) -> list[Item]:
    return items


@dataclass(frozen=True)
class Part:
    """Attributes of a resource that another family answers for.

    Attributes whose names are columns of the resource's own row, with a default in its Struct, are written by the
    resource. The rest is the part's own affair. `render` makes what each of the rows shows of it, in the rows' order;
    `complete` may add what follows from all that is shown, and sees it when every part has rendered.
    `check` sees what was given of the part's attributes before anything is written (the row is None where it has yet
    to be created); `write` sees it afterwards, where anything of it was given. `delete` comes before the row goes and
    may refuse.
    """

    attributes: Attributes
    render: Callable[[Source, list[Any]], list[Item]]
    check: Callable[[Tx, Context, Any, Values], None] = _nothing
    write: Callable[[Tx, Context, Any, Values], None] = _nothing
    delete: Callable[[Tx, Context, str], None] = _nothing
    filters: Mapping[str, Filter] = field(default_factory=dict)
    complete: Callable[[Source, list[Any], list[Item]], list[Item]] = _as_they_are


def columns(*names: str) -> Callable[[Source, list[Any]], list[Item]]:
    """Show columns of the row as they are."""
    return lambda _, rows: [{name: getattr(row, name) for name in names} for row in rows]
