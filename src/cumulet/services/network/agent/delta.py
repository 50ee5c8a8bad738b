# SPDX-License-Identifier: Apache-2.0
"""A state and a difference make the next state."""

from __future__ import annotations

from typing import TypeVar

from cumulet.services.network.types import (
    GroupState,
    HostDelta,
    HostState,
    NetworkState,
    PortState,
    RemoteState,
    RouterState,
)

Item = TypeVar("Item", NetworkState, PortState, GroupState, RouterState, RemoteState)


def merge(state: HostState, delta: HostDelta) -> HostState:
    """`state` with the delta's objects put in or replaced by id, and those that are gone left out."""
    gone = set(delta.gone)
    return HostState(
        epoch=delta.epoch,
        generation=delta.generation,
        networks=_merged(state.networks, delta.networks, gone),
        ports=_merged(state.ports, delta.ports, gone),
        groups=_merged(state.groups, delta.groups, gone),
        routers=_merged(state.routers, delta.routers, gone),
        remotes=_merged(state.remotes, delta.remotes, set(delta.gone_remotes)),
    )


def _merged(old: list[Item], new: list[Item], gone: set[str]) -> list[Item]:
    items = {item.id: item for item in old if item.id not in gone} | {item.id: item for item in new}
    return [items[key] for key in sorted(items)]
