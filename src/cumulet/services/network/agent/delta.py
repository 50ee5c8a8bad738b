# SPDX-License-Identifier: Apache-2.0
"""A state and a difference make the next state."""

from __future__ import annotations

from typing import Any

from cumulet.services.network.types import KINDS, HostDelta, HostState


def merge(state: HostState, delta: HostDelta) -> HostState:
    """`state` with the delta's objects put in or replaced by id, and those that are gone left out."""
    items = {
        kind.name: _merged(getattr(state, kind.name), getattr(delta, kind.name), set(getattr(delta, kind.gone)))
        for kind in KINDS
    }
    return HostState(epoch=delta.epoch, generation=delta.generation, **items)


def _merged(old: list[Any], new: list[Any], gone: set[str]) -> list[Any]:
    items = {item.id: item for item in old if item.id not in gone} | {item.id: item for item in new}
    return [items[key] for key in sorted(items)]
