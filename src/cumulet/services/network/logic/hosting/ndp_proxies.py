# SPDX-License-Identifier: Apache-2.0
"""The IPv6 addresses for which routers of a host answer outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import ndp_proxies, spread
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.types import HostState, Router
from cumulet.services.network.types.ndp_proxies import NdpProxy


def _concern(source: Source, keys: set[str]) -> set[str]:
    held = common.by_id(source, NdpProxy, keys).values()
    routers = common.by_id(source, Router, {each.router_id for each in held})
    return spread.hosts_of(source, routers.values())


class NdpProxies(Feature):
    """Routers' `proxied`."""

    concerns: Mapping[type, Concern] = {NdpProxy: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        enabled = [router.id for router in rows.routers if ndp_proxies.is_enabled(router)]
        if enabled:
            found: dict[str, list[str]] = defaultdict(list, {key: [] for key in enabled})
            for each in common.find_all(source, NdpProxy, router_id=enabled):
                found[each.router_id].append(each.ip_address)
            rows.more["ndp_proxies"] = found

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        found = rows.more.get("ndp_proxies")
        if not found:
            return state
        routers = [
            msgspec.structs.replace(router, proxied=sorted(found[router.id])) if router.id in found else router
            for router in state.routers
        ]
        return msgspec.structs.replace(state, routers=routers)
