# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers by their names: those that are built in, and those of other packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from cumulet.kernel.errors import NotReady
from cumulet.services.compute.logic.scheduler import filters, filters_company, filters_parts, weighers
from cumulet.services.compute.logic.scheduler.filters import Filter
from cumulet.services.compute.logic.scheduler.weighers import Weigher

T = TypeVar("T")

FILTER_GROUP, WEIGHER_GROUP = "cumulet.scheduler.filters", "cumulet.scheduler.weighers"
_MODULES = "nova.scheduler.weights."  # what names of weighers may begin with, as Nova spells them
ALL_WEIGHERS = f"{_MODULES}all_weighers"


@cache
def find_filters(names: tuple[str, ...]) -> dict[str, Filter]:
    """The filters in this order. NotReady for a name that nobody has."""
    return _find(names, filters.FILTERS | filters_company.FILTERS | filters_parts.FILTERS, FILTER_GROUP)


@cache
def find_weighers(names: tuple[str, ...]) -> dict[str, Weigher]:
    """The weighers, all of them for ALL_WEIGHERS. NotReady for a name that nobody has."""
    plain = [each.rpartition(".")[2] for each in names if each != ALL_WEIGHERS]
    others = [each.name for each in entry_points(group=WEIGHER_GROUP)] if ALL_WEIGHERS in names else []
    known = weighers.WEIGHERS | filters_parts.WEIGHERS
    every = [*known, *others] if ALL_WEIGHERS in names else []
    return _find(dict.fromkeys([*every, *plain]), known, WEIGHER_GROUP)


def _find(names: Iterable[str], known: Mapping[str, T], group: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for name in names:
        if name in known:
            found[name] = known[name]
            continue
        offered = list(entry_points(group=group, name=name))
        if not offered:
            raise NotReady(f"The settings name {name} for the scheduler, which there is not.")
        found[name] = offered[0].load()
    return found
