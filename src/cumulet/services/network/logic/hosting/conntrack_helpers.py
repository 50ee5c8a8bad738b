# SPDX-License-Identifier: Apache-2.0
"""What routers of a host read along in connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import spread
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.types import HelperState, HostState, Router
from cumulet.services.network.types.conntrack_helpers import ConntrackHelper

_NAME = "conntrack_helpers"


def _concern(source: Source, keys: set[str]) -> set[str]:
    held = common.by_id(source, ConntrackHelper, keys).values()
    routers = common.by_id(source, Router, {each.router_id for each in held})
    return spread.hosts_of(source, routers.values())


class ConntrackHelpers(Feature):
    """Routers' `helpers`."""

    concerns: Mapping[type, Concern] = {ConntrackHelper: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        if rows.routers:
            found = common.find_all(source, ConntrackHelper, router_id=[router.id for router in rows.routers])
            if found:
                rows.more[_NAME] = found

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        if _NAME not in rows.more:
            return state
        found: dict[str, list[HelperState]] = defaultdict(list)
        for each in sorted(rows.more[_NAME], key=lambda one: one.id):
            found[each.router_id].append(HelperState(name=each.helper, protocol=each.protocol, port=each.port))
        routers = [msgspec.structs.replace(router, helpers=found.get(router.id, [])) for router in state.routers]
        return msgspec.structs.replace(state, routers=routers)
