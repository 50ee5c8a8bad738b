# SPDX-License-Identifier: Apache-2.0
"""What compute had once and took out: whoever has a token is told that it is gone, at every microversion."""

from __future__ import annotations

from cumulet.kernel.errors import Gone
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE

# By path: methods, and actions where the path takes those.
_REMOVED = {
    "/os-agents": "GET POST",
    "/os-agents/{absent_id}": "PUT DELETE",
    "/os-cells": "GET POST",
    "/os-cells/capacities": "GET",
    "/os-cells/detail": "GET",
    "/os-cells/info": "GET",
    "/os-cells/sync_instances": "POST",
    "/os-cells/{absent_id}": "GET PUT DELETE",
    "/os-cells/{absent_id}/capacities": "GET",
    "/os-certificates": "POST",
    "/os-certificates/{absent_id}": "GET",
    "/os-cloudpipe": "GET POST",
    "/os-cloudpipe/{absent_id}": "PUT",
    "/os-fixed-ips/{absent_id}": "GET",
    "/os-fixed-ips/{absent_id}/action": "reserve unreserve",
    "/os-floating-ip-dns": "GET",
    "/os-floating-ip-dns/{absent_id}": "PUT DELETE",
    "/os-floating-ip-dns/{absent_id}/entries/{entry_id}": "GET PUT DELETE",
    "/os-floating-ips-bulk": "GET POST",
    "/os-floating-ips-bulk/{absent_id}": "GET PUT",
    "/os-fping": "GET",
    "/os-fping/{absent_id}": "GET",
    "/os-networks": "POST",
    "/os-networks/add": "POST",
    "/os-networks/{network_id}": "DELETE",
    "/os-networks/{absent_id}/action": "disassociate associate_host disassociate_host disassociate_project",
    "/os-security-group-default-rules": "GET POST",
    "/os-security-group-default-rules/{absent_id}": "GET DELETE",
    "/os-tenant-networks": "POST",
    "/os-tenant-networks/{network_id}": "DELETE",
    "/servers/{server_id}/consoles": "GET POST",
    "/servers/{server_id}/consoles/{console_id}": "GET DELETE",
    "/servers/{server_id}/os-virtual-interfaces": "GET",
}


def gone(_request: Request) -> Reply:
    raise Gone("This resource is no longer available. No forwarding address is given.")


def _route(path: str, word: str) -> Route:
    is_action = path.endswith("/action")
    return Route("POST" if is_action else word, path, gone, ANYONE, action=word if is_action else None)


ROUTES = tuple(_route(path, word) for path, words in _REMOVED.items() for word in words.split())
