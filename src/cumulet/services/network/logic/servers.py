# SPDX-License-Identifier: Apache-2.0
"""Ports as compute deals with them: asked for, made or taken over, bound, released."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound, OverQuota
from cumulet.services.network.contract import GivenDevice, PortRequest
from cumulet.services.network.logic import (
    access,
    addressing,
    binding,
    dns,
    minimums,
    port_devices,
    ports,
    security_groups,
    sharing,
    topologies,
)
from cumulet.services.network.logic.faults import (
    fault,
)
from cumulet.services.network.store import (
    addresses,
    bindings,
    common,
    lookups,
    visibility,
)
from cumulet.services.network.types import DEFERRED, DOWN, OWNER_COMPUTE, Network, Port, SecurityGroup, Subnet


def check(
    source: Source, ctx: Context, requests: list[PortRequest] | None, groups: list[str] | None
) -> list[PortRequest]:
    """See `NetworkContract.check`."""
    for name in groups or []:
        if name != security_groups.DEFAULT:
            group_by_name(source, ctx, name)
    if requests is None:
        found = lookups.networks_seen(source, ctx.project_id or "")
        if len(found) > 1:
            raise Conflict(
                "Multiple possible networks found, use a Network ID to be more specific.", code="NetworkAmbiguous"
            )
        return [PortRequest(network_id=network.id) for network in found]
    if any(request.automatic for request in requests):
        return check(source, ctx, None, None) or [_automatic(source, ctx)]
    return [_checked(source, ctx, request) for request in requests]


def _automatic(source: Source, ctx: Context) -> PortRequest:
    try:
        topologies.check(source, ctx)
    except Conflict as error:
        raise _unable(ctx) from error
    return PortRequest(automatic=True)


def made_definite(
    cloud: Cloud, tx: Tx, ctx: Context, requests: list[PortRequest]
) -> tuple[list[PortRequest], set[str]]:
    """The requests without automatic ones, for which the project gets its network; the routers that lead there."""
    if not any(request.automatic for request in requests):
        return requests, set()
    try:
        found = topologies.provide(cloud, tx, ctx, ctx.project_id or "")
    except (Conflict, NotFound) as error:
        raise _unable(ctx) from error
    own = PortRequest(network_id=found.network_id)
    routers = {found.router_id} if found.router_id is not None else set()
    return [own if request.automatic else request for request in requests], routers


def _unable(ctx: Context) -> Invalid:
    message = f"Unable to automatically allocate a network for project {ctx.project_id}"
    return Invalid(message, code="UnableToAutoAllocateNetwork")


def group_by_name(source: Source, ctx: Context, name: str) -> SecurityGroup:
    """The project's group of that id or name, or else one that is shared with it; NotFound, or Conflict
    (NoUniqueMatch) for an ambiguous name.
    """
    found = _named(common.find_all(source, SecurityGroup, project_id=[ctx.project_id]), name)
    if not found:
        found = _named(visibility.find_visible(source, ctx, SecurityGroup, everywhere=False), name)
    if not found:
        raise NotFound(
            f"Security group {name} is not found for project {ctx.project_id}", code="SecurityGroupNotFound", name=name
        )
    if len(found) > 1:
        raise Conflict(
            f"Multiple security groups found matching '{name}'. Use an ID to be more specific.", code="NoUniqueMatch"
        )
    return found[0]


def _named(groups: list[SecurityGroup], name: str) -> list[SecurityGroup]:
    return [group for group in groups if group.id == name] or [group for group in groups if group.name == name]


def make_ports(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    server_id: str,
    host: str,
    zone: str,
    requests: list[PortRequest],
    groups: list[str] | None,
    hostname: str,
) -> list[Port]:
    """One port per request, in order; see `NetworkContract.create_ports`."""
    named = dns.of_server(cloud, hostname)
    security_groups.ensure_default(tx, ctx.project_id or "")
    wanted = [group_by_name(tx, ctx, name).id for name in groups or []]
    position = 1 + max((port.position for port in lookups.server_ports(tx, [server_id])), default=-1)
    made = []
    for offset, request in enumerate(_checked(tx, ctx, one) for one in requests):
        own = {"position": position + offset, "tag": request.tag}
        if request.port_id is not None:
            key = request.port_id
        else:
            key = _make(cloud, tx, ctx, request, server_id, zone, wanted).id
            own["made_for_server"] = True
        device = {"device_id": server_id, "device_owner": OWNER_COMPUTE + zone}
        common.change(tx, Port, key, {**own, **device, **named})
        made.append(key)
    if host or any(request.port_id for request in requests):
        bind(cloud, tx, made, host)
    known = common.by_id(tx, Port, made)
    return [known[key] for key in made]


def bind(
    cloud: Cloud,
    tx: Tx,
    keys: list[str],
    host: str,
    given: Mapping[str, str] = MappingProxyType({}),
    devices: Mapping[str, GivenDevice] = MappingProxyType({}),
) -> None:
    """Say where ports are; one that moves is down until its new host says otherwise. See `NetworkContract.bind`.

    Conflict (PortBindingFailed) where the host cannot take one.
    """
    found = minimums.note(tx, common.find_all(tx, Port, id=keys), given)
    found = port_devices.note(tx, found, host, devices)
    for key in binding.place(cloud, tx, found, host):
        raise fault("PortBindingFailed", id=key)


def release(cloud: Cloud, tx: Tx, gone: list[Port]) -> set[str]:
    """Delete the ports made for their server; free the others, and their subports. Answers as `ports.remove`."""
    binding.follow(cloud, tx, gone, "")
    hosts = ports.remove(tx, [port for port in gone if port.made_for_server])
    unbound = {"host": "", "vif_type": None, "vif_details": None, "status": DOWN}
    free = {"device_id": "", "device_owner": "", "dns_name": "", "position": 0, "tag": None, **unbound}
    bindings.clear(tx, [port.id for port in gone if not port.made_for_server])
    for port in gone:
        if not port.made_for_server:
            left = minimums.without(port)
            changes = {**free, **left, **port_devices.let_go(tx, msgspec.structs.replace(port, **left))}
            common.change(tx, Port, port.id, changes)
    return hosts


def add_group(tx: Tx, ctx: Context, server_id: str, name: str) -> None:
    """Put the group on every port of the server that can be filtered."""
    security_groups.ensure_default(tx, ctx.project_id or "")
    group = group_by_name(tx, ctx, name)
    for port, current in _filtered_ports(tx, server_id):
        if group.id not in current:
            security_groups.check_alike([group, *common.by_id(tx, SecurityGroup, current).values()])
            addresses.put_groups(tx, port.id, [*current, group.id])
            common.touch(tx, Port, port.id)


def remove_group(tx: Tx, ctx: Context, server_id: str, name: str) -> None:
    """Take the group off; NotFound where no port of the server is in it."""
    group = group_by_name(tx, ctx, name)
    having = [(port, current) for port, current in _filtered_ports(tx, server_id) if group.id in current]
    if not having:
        raise NotFound(
            f"Security group {group.id} not associated with the instance {server_id}", code="SecurityGroupNotFound"
        )
    for port, current in having:
        addresses.put_groups(tx, port.id, [key for key in current if key != group.id])
        common.touch(tx, Port, port.id)


def add_address(cloud: Cloud, tx: Tx, ctx: Context, server_id: str, network_id: str) -> None:
    """One address more for the server's first port on the network."""
    port = next((one for one in lookups.server_ports(tx, [server_id]) if one.network_id == network_id), None)
    subnets = common.find_all(tx, Subnet, network_id=[network_id])
    if port is None or not subnets:
        raise NotFound(f"Network could not be found for instance {server_id}.", code="NetworkNotFoundForInstance")
    held = _held(tx, port)
    more = {"subnet_id": held[0]["subnet_id"] if held else subnets[0].id}
    ports.update(cloud, tx, ctx, port.id, {"fixed_ips": [*held, more]})


def remove_address(cloud: Cloud, tx: Tx, ctx: Context, server_id: str, address: str) -> None:
    """Take an address off the server's port that has it; Invalid where none has."""
    for port in lookups.server_ports(tx, [server_id]):
        held = _held(tx, port)
        left = [one for one in held if one["ip_address"] != address]
        if len(left) < len(held):
            ports.update(cloud, tx, ctx, port.id, {"fixed_ips": left})
            return
    raise Invalid(f"Fixed IP {address} not found for instance {server_id}.", code="FixedIpNotFoundForInstance")


def _held(tx: Tx, port: Port) -> list[dict[str, str]]:
    """The port's addresses as a change of them names them."""
    found = addresses.of_ports(tx, [port.id])[port.id]
    return [{"subnet_id": one.subnet_id, "ip_address": one.address} for one in found]


def _filtered_ports(tx: Tx, server_id: str) -> list[tuple[Port, list[str]]]:
    found = [port for port in lookups.server_ports(tx, [server_id]) if port.port_security_enabled]
    held, current = addresses.of_ports(tx, [p.id for p in found]), addresses.groups_of(tx, [p.id for p in found])
    return [(port, current[port.id]) for port in found if held[port.id]]


def _checked(source: Source, ctx: Context, request: PortRequest) -> PortRequest:
    if request.port_id is not None:
        port = access.get(source, ctx, Port, request.port_id)
        if port.device_id:
            raise Conflict(f"Port {port.id} is still in use.", code="PortInUse")
        waits = port.ip_allocation == DEFERRED
        if not waits and port.port_security_enabled and not addresses.of_ports(source, [port.id])[port.id]:
            raise Invalid(f"Port {port.id} requires a FixedIP in order to be used.", code="PortRequiresFixedIP")
        _check_external(source, ctx, access.must(source, Network, port.network_id))
        return request
    network = _network(source, ctx, request.network_id or "")
    _check_external(source, ctx, network)
    if request.address is not None:
        _check_address(source, network, request.address)
    return request


def _network(source: Source, ctx: Context, key: str) -> Network:
    found = access.find(source, ctx, Network, key)
    if found is None:
        raise NotFound(f"Network {key} could not be found.", code="NetworkNotFound")
    return found


def _check_external(source: Source, ctx: Context, network: Network) -> None:
    if not network.external or ctx.is_admin or network.project_id == ctx.project_id:
        return
    if not sharing.is_shared_with(source, ctx.project_id, network):
        raise Forbidden(
            f"It is not allowed to create an interface on external network {network.id}",
            code="ExternalNetworkAttachForbidden",
        )


def _check_address(source: Source, network: Network, address: str) -> None:
    subnets = common.find_all(source, Subnet, network_id=[network.id])
    if not any(addressing.is_host(address, subnet.cidr) for subnet in subnets):
        raise Invalid(
            f"IP address {address} is not a valid IP address for network {network.id}.",
            code="FixedIpNotFoundForNetwork",
        )
    holder = addresses.holder(source, network.id, address)
    if holder is not None:
        raise Invalid(
            f"Fixed IP address {address} is already in use on instance {holder.device_id}.", code="FixedIpAlreadyInUse"
        )


def _make(
    cloud: Cloud, tx: Tx, ctx: Context, request: PortRequest, server_id: str, zone: str, groups: list[str]
) -> Port:
    network = access.must(tx, Network, request.network_id or "")
    values: dict[str, Any] = {
        "project_id": ctx.project_id or "",
        "network_id": network.id,
        "name": "",
        "admin_state_up": True,
        "device_id": server_id,
        "device_owner": OWNER_COMPUTE + zone,
        "binding:vnic_type": "normal",
        "description": "",
    }
    if request.address is not None:
        values["fixed_ips"] = [{"ip_address": request.address}]
    if groups and network.port_security_enabled:
        values["security_groups"] = groups
    try:
        return ports.create(cloud, tx, ctx, values)
    except Conflict as error:
        if error.code == "OverQuota":
            raise OverQuota("Maximum number of ports exceeded", code="PortLimitExceeded") from None
        if error.code == "IpAddressGenerationFailure":
            raise Invalid(f"No fixed IP addresses available for network: {network.id}", code="NoMoreFixedIps") from None
        raise
