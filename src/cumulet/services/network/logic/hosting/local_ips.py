# SPDX-License-Identifier: Apache-2.0
"""Which of a host's ports are meant by local IPs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import AddressPair, HostState, Port, PortState
from cumulet.services.network.types.local_ips import PASSTHROUGH, LocalIp, LocalIpAssociation, LocalIpState

_NAME = "local_ips"


_Meant = dict[str, list[tuple[LocalIp, LocalIpAssociation]]]  # by the id of the port


def _concern(source: Source, keys: set[str]) -> set[str]:
    held = common.by_id(source, LocalIpAssociation, keys).values()
    ports = common.by_id(source, Port, {each.fixed_port_id for each in held})
    return {port.host for port in ports.values()} - {""}


class LocalIps(Feature):
    """Ports' `local_ips`; a port that takes such packets as they are may send from the address."""

    concerns: Mapping[type, Concern] = {LocalIpAssociation: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        bound = [port.id for port in rows.bound]
        held = common.find_all(source, LocalIpAssociation, fixed_port_id=bound) if bound else []
        if not held:
            return
        local = _sound(source, {each.local_ip_id for each in held})
        found: _Meant = defaultdict(list)
        for each in sorted(held, key=lambda one: one.id):
            if each.local_ip_id in local:
                found[each.fixed_port_id].append((local[each.local_ip_id], each))
        rows.more[_NAME] = found

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        meant: _Meant | None = rows.more.get(_NAME)
        if meant is None:
            return state
        return msgspec.structs.replace(state, ports=[_port(port, meant) for port in state.ports])


def _sound(source: Source, keys: set[str]) -> dict[str, LocalIp]:
    """Those of the local IPs whose ports have the address still: it may be anybody else's by now."""
    local = common.by_id(source, LocalIp, keys)
    held = addresses.of_ports(source, [each.local_port_id for each in local.values()])
    return {
        key: each
        for key, each in local.items()
        if each.local_ip_address in [item.address for item in held.get(each.local_port_id, [])]
    }


def _port(port: PortState, meant: _Meant) -> PortState:
    """IPv6, which Neutron's hosts do not translate either, and addresses that the port has lost, are left out.

    So are addresses of other networks: on the port's they are others' to use.
    """
    found = [
        LocalIpState(
            address=local.local_ip_address,
            fixed=each.fixed_ip,
            translate=local.ip_mode != PASSTHROUGH,
        )
        for local, each in meant.get(port.id, [])
        if local.network_id == port.network_id
        and ":" not in local.local_ip_address
        and any(one.address == each.fixed_ip for one in port.addresses)
    ]
    if not found:
        return port
    passed = [AddressPair(mac=port.mac, cidr=one.address) for one in found if not one.translate and port.security]
    return msgspec.structs.replace(port, local_ips=found, pairs=[*port.pairs, *passed])
