# SPDX-License-Identifier: Apache-2.0
"""`/os-networks` and `/os-tenant-networks`, network's by older names until 2.35"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.network.contract import NetworkName, OlderNetworks

_UNTIL = (2, 35)
_RULE, _TENANT_RULE = "os_compute_api:os-networks", "os_compute_api:os-tenant-networks"
_NETWORK = "/os-networks/{network_id}"
_TENANT_NETWORK = "/os-tenant-networks/{network_id}"
# Of what there once was to tell nothing is left but the fields' names.
_FIELDS = ("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6")
_ADMIN_FIELDS = (
    "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
    "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address",
)  # fmt: skip


def find_all(request: Request) -> Reply:
    return Reply(200, {"networks": [_view(request, each) for each in _found(request)]})


def get(request: Request) -> Reply:
    return Reply(200, {"network": _view(request, _network(request))})


def find_tenants(request: Request) -> Reply:
    return Reply(200, {"networks": [_tenant_view(each) for each in _found(request)]})


def get_tenant(request: Request) -> Reply:
    return Reply(200, {"network": _tenant_view(_network(request))})


def _found(request: Request) -> list[NetworkName]:
    return request.cloud.contracts.use(OlderNetworks).networks(request.cloud.db, request.ctx)


def _network(request: Request) -> NetworkName:
    try:
        return request.cloud.contracts.use(OlderNetworks).network(
            request.cloud.db, request.ctx, request.params["network_id"]
        )
    except NotFound as error:
        raise NotFound("Network not found", code="NetworkNotFound") from error


def _view(request: Request, network: NetworkName) -> dict[str, Any]:
    names = (*_FIELDS, *_ADMIN_FIELDS) if request.ctx.is_admin else _FIELDS
    return {"id": network.id, "label": network.name, **dict.fromkeys(names)}


def _tenant_view(network: NetworkName) -> dict[str, Any]:
    return {"id": network.id, "label": network.name, "cidr": "None"}


ROUTES = (
    Route("GET", "/os-networks", find_all, f"{_RULE}:list", until=_UNTIL),
    Route("GET", _NETWORK, get, f"{_RULE}:show", until=_UNTIL),
    Route("GET", "/os-tenant-networks", find_tenants, f"{_TENANT_RULE}:list", until=_UNTIL),
    Route("GET", _TENANT_NETWORK, get_tenant, f"{_TENANT_RULE}:show", until=_UNTIL),
)
