# SPDX-License-Identifier: Apache-2.0
"""What a packet from a port would meet on its way, by what hosts are told of their networks."""

from __future__ import annotations

import ipaddress

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid
from cumulet.services.network.logic import agents, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.logic.security_group_rules import PROTOCOLS
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import HostState, Port, reach

PING = {4: (1, 8), 6: (58, 128)}  # protocol and type of an echo request, by IP version


def path(cloud: Cloud, port: Port, to: str, protocol: str, number: str) -> list[str]:
    """Its stations in words, the verdict last. `to` is an address or a port's id; without `protocol` it is a ping.

    Raises Invalid for what is neither an address nor a port that has one, and for unknown protocols and numbers.
    """
    if not port.host:
        return ["the port is bound to no host: nothing is sent"]
    destination = _address(cloud, to)
    packet = _packet(port, destination, protocol, number)
    state = compile_host(snapshot.take(cloud, port.host))
    here = reach.Place(state=state, others=_others(cloud, port.host, state))
    arrives = reach.passes(here, packet)
    return [*here.said, f"it {'arrives' if arrives else 'does not arrive'}"]


def _address(cloud: Cloud, to: str) -> str:
    try:
        return str(ipaddress.ip_address(to))
    except ValueError:
        held = addresses.of_ports(cloud.db, [to])[to] if common.find(cloud.db, Port, to) is not None else []
    if not held:
        raise Invalid(f"{to} is neither an address nor a port that has one")
    return held[0].address


def _packet(port: Port, destination: str, protocol: str, number: str) -> reach.Packet:
    if not protocol:
        kind, low = PING[ipaddress.ip_address(destination).version]
        return reach.Packet(port=port.id, destination=destination, protocol=kind, low=low, high=0)
    found = int(protocol) if protocol.isdecimal() else PROTOCOLS.get(protocol)
    if found is None or found > 255:
        raise Invalid(f"{protocol} is no protocol that is known here")
    if number and not (number.isdecimal() and int(number) < 65536):
        raise Invalid(f"{number} is no port number")
    asked = int(number) if number else None
    return reach.Packet(port=port.id, destination=destination, protocol=found, low=asked, high=asked)


def _others(cloud: Cloud, host: str, state: HostState) -> dict[str, HostState]:
    """What the hosts are told that the state's tunnels lead to, by endpoint, and those on the same wires, by name."""
    wanted = {place for remote in state.remotes for place in (remote.endpoint, *remote.standbys)}
    hosts = {agent.host for agent in agents.hosts(cloud.db) if agent.host != host} if wanted else set()
    ends = agents.endpoints(cloud.db, hosts)
    found = {end: name for name, end in ends.items() if end in wanted}
    wires = [network.id for network in state.networks if reach.is_on_a_wire(network)]
    near = (lookups.hosts_on(cloud.db, wires) if wires else set()) - {host, *found.values()}
    found |= {name: name for name in near}
    return {key: compile_host(snapshot.take(cloud, name)) for key, name in found.items()}
