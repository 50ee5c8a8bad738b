# SPDX-License-Identifier: Apache-2.0
"""`/os-volumes_boot`, until 2.102: the older name of `/servers`, with those actions that Nova has there."""

from __future__ import annotations

from dataclasses import replace

from cumulet.kernel.http import Route
from cumulet.services.compute.api import server_actions, server_life, server_moves, servers

_UNTIL = (2, 102)
_NAME, _OLDER = "/servers", "/os-volumes_boot"
_ACTION = "/servers/{server_id}/action"
_ACTIONS = frozenset(
    {
        "confirmResize", "revertResize", "reboot", "resize", "rebuild", "createImage", "os-start", "os-stop",
        "trigger_crash_dump",
    }
)  # fmt: skip


def _older(route: Route) -> Route:
    until = _UNTIL if route.until is None else min(route.until, _UNTIL)
    return replace(route, path=route.path.replace(_NAME, _OLDER, 1), until=until)


ROUTES = tuple(
    _older(route)
    for route in (*servers.ROUTES, *server_actions.ROUTES, *server_life.ROUTES, *server_moves.ROUTES)
    if route.path != _ACTION or route.action in _ACTIONS
)
