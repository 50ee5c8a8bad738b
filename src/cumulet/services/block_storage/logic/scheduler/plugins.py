# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers by their names: those that are built in, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from cumulet.kernel import plugins
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.logic.scheduler import filters, weighers
from cumulet.services.block_storage.logic.scheduler.filters import Filter
from cumulet.services.block_storage.logic.scheduler.weighers import Weigher

T = TypeVar("T")

FILTER_GROUP, WEIGHER_GROUP = "cumulet.volume_scheduler.filters", "cumulet.volume_scheduler.weighers"


@cache
def find_filters(names: tuple[str, ...]) -> dict[str, Filter]:
    """The filters in this order. NotReady for a name that nobody has."""
    return _find(names, filters.FILTERS, FILTER_GROUP)


@cache
def find_weighers(names: tuple[str, ...]) -> dict[str, Weigher]:
    """The weighers. NotReady for a name that nobody has."""
    return _find(names, weighers.WEIGHERS, WEIGHER_GROUP)


def _find(names: tuple[str, ...], known: Mapping[str, T], group: str) -> dict[str, T]:
    return {name: known[name] if name in known else _load(group, name) for name in names}


def _load(group: str, name: str) -> T:  # type: ignore[type-var]
    try:
        found: T = plugins.load(group, name)
    except LookupError:
        raise NotReady(f"The settings name {name} for the scheduler of volumes, which there is not.") from None
    return found
