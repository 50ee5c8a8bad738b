# SPDX-License-Identifier: Apache-2.0
"""Where routers are that are on several hosts, and which networks they reach so."""

from __future__ import annotations

import msgspec

STANDBY, HA_ACTIVE, UNKNOWN = "standby", "active", "unknown"


class RouterPlace(msgspec.Struct, frozen=True):
    """A host that shares an HA router. `rank` orders those of one router, `state` is what the host said last."""

    router_id: str
    host: str
    rank: int
    state: str


class RouterReach(msgspec.Struct, frozen=True):
    """A network on which a router has a leg that is on several hosts; there are no such rows of other routers."""

    network_id: str
    router_id: str


class HaNetwork(msgspec.Struct, frozen=True):
    """The network that a project has called the one of its HA routers."""

    project_id: str
    network_id: str
