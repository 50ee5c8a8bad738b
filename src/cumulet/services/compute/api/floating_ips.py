# SPDX-License-Identifier: Apache-2.0
"""`/os-floating-ips` and `/os-floating-ip-pools`, network's by older names until 2.35; servers' until 2.43"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import FloatingInfo, NetworkContract, OlderNetworks

_RULE = "os_compute_api:os-floating-ips"
_PATH = "/os-floating-ips"
_ONE = _PATH + "/{floating_id}"
_ACTION = "/servers/{server_id}/action"
_UNTIL, _ACTIONS_UNTIL = (2, 35), (2, 43)
_CREATE = Schema({"type": ["object", "null"], "properties": {"pool": {"type": ["string", "null"]}}})
_ADD = fields.body("addFloatingIp", {"address": fields.ADDRESS, "fixed_address": fields.ADDRESS}, ["address"])
_REMOVE = fields.body("removeFloatingIp", {"address": fields.ADDRESS}, ["address"])


def find_pools(request: Request) -> Reply:
    found = _networks(request).networks(request.cloud.db, request.ctx, external=True)
    return Reply(200, {"floating_ip_pools": [{"name": each.name or each.id} for each in found]})


def find_all(request: Request) -> Reply:
    found = _networks(request).floating_ips(request.cloud.db, request.ctx)
    return Reply(200, {"floating_ips": [_view(each) for each in found]})


def get(request: Request) -> Reply:
    return Reply(200, {"floating_ip": _view(_floating(request))})


def create(request: Request) -> Reply:
    pool = (request.body or {}).get("pool")
    network_id, networks = _pool(request, pool), _networks(request)
    where = f" in pool {pool}" if pool else ""
    try:
        made = request.cloud.db.write(lambda tx: networks.create_floating_ip(tx, request.ctx, network_id))
    except Conflict as error:
        if error.code == "OverQuota":
            raise Forbidden(f"IP allocation over quota{where}.") from error
        raise NotFound(f"No more floating IPs{where or ' available'}.") from error
    return Reply(200, {"floating_ip": _view(made)})


def delete(request: Request) -> Reply:
    networks, found = _networks(request), _floating(request)
    request.cloud.db.write(lambda tx: networks.delete_floating_ip(tx, request.ctx, found.id))
    return Reply(202)


def add(request: Request) -> Reply:
    server, body = the_server(request), request.body["addFloatingIp"]
    fixed = _fixed(request, server, body)
    found = _by_address(request, body["address"])
    if found is None:
        raise NotFound("floating IP not found")
    try:
        _lead(request, found, server.id, fixed)
    except (Conflict, Invalid, NotFound) as error:
        raise Invalid(
            f"Unable to associate floating IP {found.address} to fixed IP {fixed} for instance {server.id}. "
            f"Error: {error.message}"
        ) from error
    return Reply(202)


def remove(request: Request) -> Reply:
    server, address = the_server(request), request.body["removeFloatingIp"]["address"]
    found = _by_address(request, address)
    if found is None:
        raise NotFound(f"Floating IP not found for address {address}.", code="FloatingIpNotFoundForAddress")
    if found.server_id != server.id:
        raise Conflict(f"Floating IP {address} is not associated with instance {server.id}.")
    _lead(request, found, None, None)
    return Reply(202)


def _networks(request: Request) -> OlderNetworks:
    return request.cloud.contracts.use(OlderNetworks)


def _view(found: FloatingInfo) -> dict[str, Any]:
    return {
        "fixed_ip": found.fixed_address,
        "id": found.id,
        "instance_id": found.server_id,
        "ip": found.address,
        "pool": found.pool.name or found.pool.id,
    }


def _floating(request: Request) -> FloatingInfo:
    floating_id = request.params["floating_id"]
    try:
        return _networks(request).floating_ip(request.cloud.db, request.ctx, floating_id)
    except NotFound as error:
        raise NotFound(f"Floating IP not found for ID {floating_id}", code="FloatingIpNotFound") from error


def _by_address(request: Request, address: str) -> FloatingInfo | None:
    found = _networks(request).floating_ips(request.cloud.db, request.ctx, address=address)
    return found[0] if found else None


def _pool(request: Request, name: str | None) -> str:
    """The network that a pool's name or id means; without one the only network that leads outside."""
    pools = _networks(request).networks(request.cloud.db, request.ctx, external=True)
    found = [pool for pool in pools if name in (None, pool.name, pool.id)]
    if len(found) != 1 and name not in {pool.id for pool in found}:
        raise NotFound("Floating IP pool not found.", code="FloatingIpPoolNotFound")
    return next((pool.id for pool in found if pool.id == name), found[0].id)


def _fixed(request: Request, server: Server, body: dict[str, Any]) -> str:
    """The fixed address that is asked for, or the server's first of IPv4; Invalid where it has none such."""
    ports = request.cloud.contracts.use(NetworkContract).ports_of(request.cloud.db, [server.id]).get(server.id, [])
    held = [each.address for port in ports for each in port.addresses]
    if not held:
        raise Invalid("No fixed IPs associated to instance" if ports else "Instance network is not ready yet")
    wanted: str | None = body.get("fixed_address")
    if wanted is not None and wanted not in held:
        raise Invalid("Specified fixed address not assigned to instance")
    found = wanted or next((address for address in held if ":" not in address), None)
    if found is None:
        raise Invalid(
            f"Unable to associate floating IP {body['address']} to any fixed IPs for instance {server.id}. "
            "Instance has no fixed IPv4 addresses to associate."
        )
    return found


def _lead(request: Request, found: FloatingInfo, server_id: str | None, fixed: str | None) -> None:
    networks = _networks(request)

    def write(tx: Tx) -> None:
        networks.lead_floating_ip(tx, request.ctx, found.id, server_id, fixed)

    request.cloud.db.write(write)


def _action(name: str, handler: Any, rule: str, body: Schema) -> Route:
    rule = f"{_RULE}:{rule}"
    return Route("POST", _ACTION, handler, rule, body=body, action=name, target=server_target, until=_ACTIONS_UNTIL)


ROUTES = (
    Route("GET", "/os-floating-ip-pools", find_pools, "os_compute_api:os-floating-ip-pools", until=_UNTIL),
    Route("GET", _PATH, find_all, f"{_RULE}:list", until=_UNTIL),
    Route("POST", _PATH, create, f"{_RULE}:create", body=_CREATE, until=_UNTIL),
    Route("GET", _ONE, get, f"{_RULE}:show", until=_UNTIL),
    Route("DELETE", _ONE, delete, f"{_RULE}:delete", until=_UNTIL),
    _action("addFloatingIp", add, "add", _ADD),
    _action("removeFloatingIp", remove, "remove", _REMOVE),
)
