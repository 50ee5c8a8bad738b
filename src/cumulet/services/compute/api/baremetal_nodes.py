# SPDX-License-Identifier: Apache-2.0
"""`/os-baremetal-nodes`, until 2.35: machines without a hypervisor, of which this cloud has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE

_PATH = "/os-baremetal-nodes"
_ONE = _PATH + "/{node_id}"
_UNTIL = (2, 35)
_RULE = "os_compute_api:os-baremetal-nodes"


def find_all(_request: Request) -> Reply:
    return Reply(200, {"nodes": []})


def get(request: Request) -> NoReturn:
    raise NotFound(f"Node {request.params['node_id']} could not be found.")


def _elsewhere(command: str) -> Callable[[Request], Reply]:
    def refuse(_request: Request) -> NoReturn:
        raise Invalid(f"Command not supported. Please use Ironic command {command} to perform this action.")

    return refuse


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:list", until=_UNTIL),
    Route("POST", _PATH, _elsewhere("node-create"), ANYONE, until=_UNTIL),
    Route("GET", _ONE, get, f"{_RULE}:show", until=_UNTIL),
    Route("DELETE", _ONE, _elsewhere("node-delete"), ANYONE, until=_UNTIL),
    Route("POST", f"{_ONE}/action", _elsewhere("port-create"), ANYONE, action="add_interface", until=_UNTIL),
    Route("POST", f"{_ONE}/action", _elsewhere("port-delete"), ANYONE, action="remove_interface", until=_UNTIL),
)
