# SPDX-License-Identifier: Apache-2.0
"""Networks and floating addresses as compute's older API asks for them (`contract.OlderNetworks`)."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.contract import FloatingInfo, NetworkName
from cumulet.services.network.logic import access
from cumulet.services.network.logic import floating_ips as logic
from cumulet.services.network.logic.faults import bad
from cumulet.services.network.store import addresses, common, lookups, visibility
from cumulet.services.network.types import OWNER_COMPUTE, FloatingIp, Network, Port


def networks(source: Source, ctx: Context, external: bool | None) -> list[NetworkName]:
    """What the caller sees, oldest first; limited to those that lead outside, or do not, where that is asked for."""
    found = visibility.find_visible(source, ctx, Network, access.sees_all(ctx))
    return [_name(network) for network in found if external is None or network.external == external]


def network(source: Source, ctx: Context, network_id: str) -> NetworkName:
    return _name(access.get(source, ctx, Network, network_id))


def floating_ips(source: Source, ctx: Context, address: str | None) -> list[FloatingInfo]:
    """Those of the caller's project, oldest first."""
    found = visibility.find_visible(source, ctx, FloatingIp, access.sees_all(ctx), project_id=[ctx.project_id])
    return _describe(source, [each for each in found if address in (None, each.floating_ip_address)])


def floating_ip(source: Source, ctx: Context, floating_id: str) -> FloatingInfo:
    return _describe(source, [access.get(source, ctx, FloatingIp, floating_id)])[0]


def create(cloud: Cloud, tx: Tx, ctx: Context, network_id: str) -> FloatingInfo:
    """A new address of the network for the caller's project, leading nowhere."""
    values = {"project_id": ctx.project_id or "", "floating_network_id": network_id, "description": ""}
    return _describe(tx, [logic.create(cloud, tx, ctx, values)])[0]


def delete(cloud: Cloud, tx: Tx, ctx: Context, floating_id: str) -> None:
    logic.delete(cloud, tx, ctx, access.get(tx, ctx, FloatingIp, floating_id).id)


def lead(
    cloud: Cloud, tx: Tx, ctx: Context, floating_id: str, server_id: str | None, fixed_address: str | None
) -> None:
    """Let the address lead to a server's fixed IPv4 address, the first where none is named; or nowhere."""
    found = access.get(tx, ctx, FloatingIp, floating_id)
    if server_id is None:
        logic.update(cloud, tx, ctx, found.id, {"port_id": None})
        return
    port_id, address = _end(tx, server_id, fixed_address)
    logic.update(cloud, tx, ctx, found.id, {"port_id": port_id, "fixed_ip_address": address})


def _end(tx: Tx, server_id: str, wanted: str | None) -> tuple[str, str]:
    """The port and the address of the server to lead to."""
    ports = lookups.server_ports(tx, [server_id])
    held = addresses.of_ports(tx, [port.id for port in ports])
    for port in ports:
        for item in held[port.id]:
            if item.address == wanted or (wanted is None and ":" not in item.address):
                return port.id, item.address
    raise bad("floatingip", f"Server {server_id} has no such fixed IPv4 address")


def _describe(source: Source, rows: list[FloatingIp]) -> list[FloatingInfo]:
    ports = common.by_id(source, Port, {row.port_id for row in rows if row.port_id})
    pools = common.by_id(source, Network, {row.floating_network_id for row in rows})
    return [
        FloatingInfo(
            id=row.id,
            address=row.floating_ip_address,
            pool=_name(pools[row.floating_network_id]),
            fixed_address=row.fixed_ip_address,
            server_id=_server(ports.get(row.port_id or "")),
        )
        for row in rows
    ]


def _server(port: Port | None) -> str | None:
    return port.device_id if port is not None and port.device_owner.startswith(OWNER_COMPUTE) else None


def _name(network: Network) -> NetworkName:
    return NetworkName(id=network.id, name=network.name)
