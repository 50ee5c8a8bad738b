# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of servers that are there already."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import actions, hosts, servers, spec
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import NetworkContract, PortInfo, PortRequest

ATTACH, DETACH = "compute.attach_port", "compute.detach_port"


def find_all(cloud: Cloud, server: Server) -> list[PortInfo]:
    return spec.ports(cloud, server)


def get(cloud: Cloud, server: Server, port_id: str) -> PortInfo:
    found = next((port for port in find_all(cloud, server) if port.id == port_id), None)
    if found is None:
        raise NotFound(f"Instance {server.id} does not have a port with id {port_id}", code="PortNotFound")
    return found


def attach(cloud: Cloud, ctx: Context, server: Server, request: PortRequest | None) -> PortInfo:
    """Make or take over a port and begin to plug it in."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "attach_interface", "attach_interface")
    network = cloud.contracts.use(NetworkContract)
    try:
        wanted = network.check(ctx, None if request is None else [request])
    except Conflict as error:
        if error.code == "NetworkAmbiguous":
            raise Invalid(error.message, code=error.code) from error
        raise
    if len(wanted) != 1:
        raise Invalid("No network was found to attach the server to.", code="InterfaceAttachFailedNoNetwork")

    def write(tx: Tx) -> PortInfo:
        fresh = servers.get(tx, ctx, server.id)
        servers.check_state(fresh, "attach_interface", "attach_interface")
        zone = hosts.zone_of(tx, fresh.host)
        made = network.create_ports(
            tx,
            ctx,
            server_id=fresh.id,
            host=fresh.host,
            availability_zone=zone,
            requests=wanted,
            hostname=fresh.hostname,
        )[0]
        actions.begin(tx, ctx, fresh.id, "attach_interface")
        cloud.sagas.start(tx, ATTACH, fresh.id, {"port": made.id}, ctx.request_id)
        return made

    return cloud.db.write(write)


def detach(cloud: Cloud, ctx: Context, server: Server, port_id: str) -> None:
    """Begin to unplug a port; it goes away afterwards if it was made for the server."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "detach_interface", "detach_interface")
    get(cloud, server, port_id)

    def write(tx: Tx) -> None:
        actions.begin(tx, ctx, server.id, "detach_interface")
        cloud.sagas.start(tx, DETACH, server.id, {"port": port_id}, ctx.request_id)

    cloud.db.write(write)


def find_server(source: Source, server_id: str) -> Server | None:
    return servers_store.find(source, server_id)
