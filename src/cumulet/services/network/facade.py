# SPDX-License-Identifier: Apache-2.0
"""The contract of the network service, implemented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.contract import (
    FloatingInfo,
    GivenDevice,
    GroupDetails,
    GroupInfo,
    GroupRule,
    NetworkContract,
    NetworkName,
    NetworkUsage,
    OlderNetworks,
    PortInfo,
    PortRequest,
    ResourceRequest,
)
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.logic import (
    access,
    concern,
    describe,
    group_details,
    minimums,
    older,
    resource_providers,
    security_groups,
    servers,
    trunk_places,
)
from cumulet.services.network.store import addresses, lookups
from cumulet.services.network.types import (
    OWNER_COMPUTE,
    OWNER_SUBPORT,
    FloatingIp,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
)


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    """What this service offers; the Converger is its own, one for each process."""
    return {
        NetworkContract: lambda: NetworkService(cloud),
        OlderNetworks: lambda: Older(cloud),
        Converger: lambda: Converger(cloud),
    }


class NetworkService:
    """`contract.NetworkContract`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._converger = cloud.contracts.use(Converger)

    def check(
        self, ctx: Context, requests: list[PortRequest] | None, security_groups: list[str] | None = None
    ) -> list[PortRequest]:
        return servers.check(self._cloud.db, ctx, requests, security_groups)

    def create_ports(
        self,
        tx: Tx,
        ctx: Context,
        *,
        server_id: str,
        host: str,
        availability_zone: str,
        requests: list[PortRequest],
        security_groups: list[str] | None = None,
        hostname: str = "",
    ) -> list[PortInfo]:
        definite, routers = servers.made_definite(self._cloud, tx, ctx, requests)
        made = servers.make_ports(
            self._cloud, tx, ctx, server_id, host, availability_zone, definite, security_groups, hostname
        )
        self._converger.tell(tx, concern.of_ports(tx, made) | concern.of(tx, Router, routers))
        return describe.made(tx, made)

    def resource_requests(self, source: Source, server_id: str) -> list[ResourceRequest]:
        return minimums.of_server(source, server_id)

    def on_cards(
        self, requests: list[ResourceRequest], providers: Mapping[str, str], given: Mapping[str, str]
    ) -> list[ResourceRequest]:
        return resource_providers.on_cards(requests, providers, given)

    def held_for_ports(self, source: Source, server_ids: list[str]) -> dict[str, dict[str, dict[str, int]]]:
        return minimums.held(source, server_ids)

    def withdraw_host(self, tx: Tx, host: str) -> None:
        resource_providers.withdraw(self._cloud, tx, host)

    def bind(
        self,
        tx: Tx,
        port_ids: list[str],
        host: str,
        given: Mapping[str, str] = MappingProxyType({}),
        devices: Mapping[str, GivenDevice] = MappingProxyType({}),
    ) -> None:
        concerned = concern.of(tx, Port, port_ids)
        servers.bind(self._cloud, tx, port_ids, host, given, devices)
        self._converger.tell(tx, concerned | concern.of(tx, Port, port_ids))

    def converge(self, host: str, timeout: float = 30.0) -> None:
        self._converger.wait(host, timeout)

    def nudge(self, host: str) -> None:
        self._converger.wake([host])

    def release_server(self, tx: Tx, server_id: str) -> None:
        self._release(tx, lookups.server_ports(tx, [server_id]))

    def release_ports(self, tx: Tx, server_id: str, port_ids: list[str]) -> None:
        self._release(tx, [port for port in lookups.server_ports(tx, [server_id]) if port.id in port_ids])

    def ports_of(self, source: Source, server_ids: list[str]) -> dict[str, list[PortInfo]]:
        return describe.by_server(source, server_ids)

    def ports_and_groups_of(
        self, source: Source, server_ids: list[str]
    ) -> tuple[dict[str, list[PortInfo]], dict[str, list[GroupInfo]]]:
        ports = describe.by_server(source, server_ids)
        return ports, describe.groups_on(source, ports)

    def port(self, source: Source, ctx: Context, port_id: str) -> PortInfo:
        return describe.ports(source, [access.get(source, ctx, Port, port_id)])[0]

    def security_groups_of(self, source: Source, server_ids: list[str]) -> dict[str, list[GroupInfo]]:
        return describe.groups_on(source, describe.by_server(source, server_ids))

    def add_security_group(self, tx: Tx, ctx: Context, server_id: str, name: str) -> None:
        servers.add_group(tx, ctx, server_id, name)
        self._converger.tell(tx, self._concerned(tx, server_id))

    def remove_security_group(self, tx: Tx, ctx: Context, server_id: str, name: str) -> None:
        concerned = self._concerned(tx, server_id)
        servers.remove_group(tx, ctx, server_id, name)
        self._converger.tell(tx, concerned)

    def add_address(self, tx: Tx, ctx: Context, server_id: str, network_id: str) -> None:
        servers.add_address(self._cloud, tx, ctx, server_id, network_id)
        self._converger.tell(tx, self._concerned(tx, server_id))

    def remove_address(self, tx: Tx, ctx: Context, server_id: str, address: str) -> None:
        servers.remove_address(self._cloud, tx, ctx, server_id, address)
        self._converger.tell(tx, self._concerned(tx, server_id))

    def default_security_group(self, tx: Tx, project_id: str) -> GroupInfo:
        group = security_groups.ensure_default(tx, project_id)
        return GroupInfo(id=group.id, name=group.name)

    def security_groups(self, ctx: Context, *, everywhere: bool = False) -> list[GroupDetails]:
        project_id = ctx.project_id
        if project_id and not security_groups.has_default(self._cloud.db, project_id):
            self._cloud.db.write(lambda tx: security_groups.ensure_default(tx, project_id))
        return group_details.find_all(self._cloud.db, ctx, everywhere=everywhere)

    def security_group(self, source: Source, ctx: Context, group_id: str) -> GroupDetails:
        return group_details.get(source, ctx, group_id)

    def security_group_details(self, source: Source, group_ids: list[str]) -> list[GroupDetails]:
        return group_details.by_id(source, group_ids)

    def create_security_group(self, tx: Tx, ctx: Context, name: str, description: str) -> GroupDetails:
        return group_details.create(self._cloud, tx, ctx, name, description)

    def change_security_group(self, tx: Tx, ctx: Context, group_id: str, name: str, description: str) -> GroupDetails:
        return group_details.change(self._cloud, tx, ctx, group_id, name, description)

    def delete_security_group(self, tx: Tx, ctx: Context, group_id: str) -> None:
        concerned = concern.of(tx, SecurityGroup, [group_id])
        group_details.delete(self._cloud, tx, ctx, group_id)
        self._converger.tell(tx, concerned)

    def add_security_group_rule(self, tx: Tx, ctx: Context, wanted: GroupRule) -> GroupRule:
        made = group_details.add_rule(self._cloud, tx, ctx, wanted)
        self._converger.tell(tx, concern.of(tx, SecurityGroupRule, [made.id]))
        return made

    def delete_security_group_rule(self, tx: Tx, ctx: Context, rule_id: str) -> None:
        concerned = concern.of(tx, SecurityGroupRule, [rule_id])
        group_details.delete_rule(self._cloud, tx, ctx, rule_id)
        self._converger.tell(tx, concerned)

    def server_by_address(self, source: Source, network_id: str, address: str) -> str | None:
        port = addresses.holder(source, network_id, address)
        if port is not None and port.device_owner == OWNER_SUBPORT:
            port = trunk_places.of_parent(source, port)
        return port.device_id if port is not None and port.device_owner.startswith(OWNER_COMPUTE) else None

    def usage(self, source: Source, project_id: str) -> NetworkUsage:
        return describe.usage(self._cloud, source, project_id)

    def _release(self, tx: Tx, gone: list[Port]) -> None:
        self._converger.tell(tx, concern.of_ports(tx, gone))
        minimums.give_back(self._cloud, tx, gone)
        self._converger.tell(tx, servers.release(self._cloud, tx, gone))

    def _concerned(self, tx: Tx, server_id: str) -> set[str]:
        return concern.of_ports(tx, lookups.server_ports(tx, [server_id]))


class Older:
    """`contract.OlderNetworks`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._converger = cloud.contracts.use(Converger)

    def networks(self, source: Source, ctx: Context, *, external: bool | None = None) -> list[NetworkName]:
        return older.networks(source, ctx, external)

    def network(self, source: Source, ctx: Context, network_id: str) -> NetworkName:
        return older.network(source, ctx, network_id)

    def floating_ips(self, source: Source, ctx: Context, *, address: str | None = None) -> list[FloatingInfo]:
        return older.floating_ips(source, ctx, address)

    def floating_ip(self, source: Source, ctx: Context, floating_id: str) -> FloatingInfo:
        return older.floating_ip(source, ctx, floating_id)

    def create_floating_ip(self, tx: Tx, ctx: Context, network_id: str) -> FloatingInfo:
        return older.create(self._cloud, tx, ctx, network_id)

    def delete_floating_ip(self, tx: Tx, ctx: Context, floating_id: str) -> None:
        concerned = concern.of(tx, FloatingIp, [floating_id])
        older.delete(self._cloud, tx, ctx, floating_id)
        self._converger.tell(tx, concerned)

    def lead_floating_ip(
        self, tx: Tx, ctx: Context, floating_id: str, server_id: str | None, fixed_address: str | None = None
    ) -> None:
        before = concern.of(tx, FloatingIp, [floating_id])
        older.lead(self._cloud, tx, ctx, floating_id, server_id, fixed_address)
        self._converger.tell(tx, before | concern.of(tx, FloatingIp, [floating_id]))
