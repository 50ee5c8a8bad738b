# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/os-interface`, and the addresses of a server (`/servers/{id}/ips`)"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.api.server_views import addresses
from cumulet.services.compute.logic import interfaces as logic
from cumulet.services.network.contract import PortInfo, PortRequest

_PATH = "/servers/{server_id}/os-interface"
_RULE = "os_compute_api:os-attach-interfaces"
_IPS = "os_compute_api:ips"
_ATTACHMENT = {
    "type": "object",
    "properties": {
        "net_id": fields.UUID,
        "port_id": fields.UUID,
        "fixed_ips": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {"ip_address": fields.ADDRESS},
                "required": ["ip_address"],
                "additionalProperties": False,
            },
        },
        "tag": {**fields.TAG, "since": (2, 49)},
    },
    "additionalProperties": False,
}
# An empty body asks for a port on the project's only network.
_CREATE = Schema({"type": "object", "properties": {"interfaceAttachment": _ATTACHMENT}, "additionalProperties": False})
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    ports = logic.find_all(request.cloud, the_server(request))
    return Reply(200, {"interfaceAttachments": [view(request, port) for port in ports]})


def get(request: Request) -> Reply:
    port = logic.get(request.cloud, the_server(request), request.params["port_id"])
    return Reply(200, {"interfaceAttachment": view(request, port)})


def create(request: Request) -> Reply:
    body = request.body.get("interfaceAttachment", {})
    network_id, port_id, fixed = body.get("net_id"), body.get("port_id"), body.get("fixed_ips")
    if network_id and port_id:
        raise Invalid("Must not input both network_id and port_id")
    if fixed and not network_id:
        raise Invalid("Must input network_id when request IP address")
    wanted = None
    if network_id or port_id:
        address = fixed[0]["ip_address"] if fixed else None
        wanted = PortRequest(network_id=network_id, port_id=port_id, address=address, tag=body.get("tag"))
    port = logic.attach(request.cloud, request.ctx, the_server(request), wanted)
    return Reply(200, {"interfaceAttachment": view(request, port)})


def delete(request: Request) -> Reply:
    logic.detach(request.cloud, request.ctx, the_server(request), request.params["port_id"])
    return Reply(202)


def ips(request: Request) -> Reply:
    ports = logic.find_all(request.cloud, the_server(request))
    return Reply(200, {"addresses": addresses(ports, extended=False)})


def ips_of_network(request: Request) -> Reply:
    name = request.params["network_name"]
    found = addresses(logic.find_all(request.cloud, the_server(request)), extended=False)
    if name not in found:
        raise NotFound("Instance is not a member of specified network")
    return Reply(200, {name: found[name]})


def view(request: Request, port: PortInfo) -> dict[str, Any]:
    found: dict[str, Any] = {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": each.subnet.id, "ip_address": each.address} for each in port.addresses],
    }
    if request.version >= (2, 70):
        found["tag"] = port.tag
    return found


ROUTES = (
    Route("GET", _PATH, find_all, f"{_RULE}:list", target=server_target),
    Route("POST", _PATH, create, f"{_RULE}:create", body=_CREATE, target=server_target),
    Route("GET", _PATH + "/{port_id}", get, f"{_RULE}:show", target=server_target),
    Route("DELETE", _PATH + "/{port_id}", delete, f"{_RULE}:delete", target=server_target),
    Route("GET", "/servers/{server_id}/ips", ips, f"{_IPS}:index", query=_NOTHING, target=server_target),
    Route(
        "GET",
        "/servers/{server_id}/ips/{network_name}",
        ips_of_network,
        f"{_IPS}:show",
        query=_NOTHING,
        target=server_target,
    ),
)
