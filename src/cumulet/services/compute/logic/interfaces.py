# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of servers that are there already."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import actions, hosts, scheduling, servers, spec
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import NetworkContract, PortInfo, PortRequest
from cumulet.services.placement.contract import PlacementContract

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
        _check_plugged(fresh, made)
        if made.asks_resources:
            _hold(cloud, tx, fresh, made.id)
        actions.begin(tx, ctx, fresh.id, "attach_interface")
        cloud.sagas.start(tx, ATTACH, fresh.id, {"port": made.id}, ctx.request_id)
        return made

    return cloud.db.write(write)


def _check_plugged(server: Server, port: PortInfo) -> None:
    """Invalid for a port that guests get when they begin, or never."""
    if port.is_device:
        raise Invalid(
            f"Attaching SR-IOV port {port.id} to server {server.id} is not supported. SR-IOV ports must be specified "
            "during server creation.",
            code="AttachSRIOVPortNotSupported",
        )
    if port.socket:
        words = f"Attaching interfaces is not supported for instance {server.id}."
        raise Invalid(words, code="AttachInterfaceNotSupported")


def _hold(cloud: Cloud, tx: Tx, server: Server, port_id: str) -> None:
    """Let the server hold what the port asks for, of its own host. Invalid where there is not enough."""
    network, placement = cloud.contracts.use(NetworkContract), cloud.contracts.use(PlacementContract)
    asked = [each for each in network.resource_requests(tx, server.id) if each.port_id == port_id]
    found = placement.candidates(
        tx,
        {},
        in_tree=hosts.find(tx, server.host).id,
        limit=1,
        groups=scheduling.groups_of(asked),
        same_subtrees=[list(each.groups) for each in asked],
    )
    if not found:
        words = f"Failed to allocate additional resources to {server.id} during interface attach"
        raise Invalid(words, code="InterfaceAttachResourceAllocationFailed")
    placement.add_to_claim(tx, server.id, found[0].allocations)
    network.bind(tx, [port_id], server.host, found[0].mappings)


def detach(cloud: Cloud, ctx: Context, server: Server, port_id: str) -> None:
    """Begin to unplug a port; it goes away afterwards if it was made for the server."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "detach_interface", "detach_interface")
    port = get(cloud, server, port_id)
    if port.is_device or port.socket:
        raise Invalid(f"Failed to detach network adapter device from {server.id}", code="InterfaceDetachFailed")

    def write(tx: Tx) -> None:
        actions.begin(tx, ctx, server.id, "detach_interface")
        cloud.sagas.start(tx, DETACH, server.id, {"port": port_id}, ctx.request_id)

    cloud.db.write(write)


def find_server(source: Source, server_id: str) -> Server | None:
    return servers_store.find(source, server_id)
