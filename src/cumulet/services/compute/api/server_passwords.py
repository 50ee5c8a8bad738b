# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/os-server-password`: what the guest has posted, for its owner to decrypt."""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import passwords as logic

_PATH = "/servers/{server_id}/os-server-password"
_RULE = "os_compute_api:os-server-password"


def show(request: Request) -> Reply:
    return Reply(200, {"password": logic.get(request.cloud.db, the_server(request))})


def clear(request: Request) -> Reply:
    server = the_server(request)
    request.cloud.db.write(lambda tx: logic.clear(tx, server))
    return Reply(204)


ROUTES = (
    Route("GET", _PATH, show, f"{_RULE}:show", target=server_target),
    Route("DELETE", _PATH, clear, f"{_RULE}:clear", target=server_target),
)
