# SPDX-License-Identifier: Apache-2.0
"""Trunks in hosts' states: which ports are tagged frames of another's guest."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common, lookups
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import HostState, Port, TrunkState
from cumulet.services.network.types.trunks import Trunk

_NAME = "trunks"


def _concern(source: Source, keys: set[str]) -> set[str]:
    """The hosts of a trunk's ports, and those that share networks with its subports."""
    trunks = common.by_id(source, Trunk, keys)
    held = [each.port_id for listed in store.subports(source, trunks).values() for each in listed]
    ports = common.by_id(source, Port, {*held, *(trunk.port_id for trunk in trunks.values())}).values()
    hosts = {port.host for port in ports} - {""}
    return hosts | lookups.hosts_on(source, {port.network_id for port in ports}) if hosts else set()


class Trunks(Feature):
    """Subports' `trunk`."""

    concerns: Mapping[type, Concern] = {Trunk: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        inside = [port.id for port in rows.bound if port.trunk_id is not None]
        if inside:
            parents = {trunk: port for port, trunk in store.parents(source, inside).items()}
            rows.more[_NAME] = {
                each.port_id: TrunkState(parent=parents[each.trunk_id], number=each.segmentation_id)
                for each in store.details(source, inside)
                if each.trunk_id in parents
            }

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        places = rows.more.get(_NAME)
        if not places:
            return state
        ports = [msgspec.structs.replace(port, trunk=places.get(port.id)) for port in state.ports]
        return msgspec.structs.replace(state, ports=ports)
