# SPDX-License-Identifier: Apache-2.0
"""Local IPs: what a port sends to one goes to the port of its network that it means on this host.

A table of the bridge does it without connection tracking, which bridges do not have everywhere. What goes to a local
IP gets the address and the MAC of the port that is meant, before the security groups look, and which flow that was is
remembered for a while, so that the answers get the local IP as their sender again. Who asks by ARP asks that port, and
hears it answer as the local IP. The port itself, and whatever is no server's port, reaches who really has the address.

LIMITATIONS: IPv4; TCP, UDP, SCTP and pings; what a port sent nothing for in ten minutes is forgotten. A port whose
server does not run is meant all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cumulet.services.network.drivers.fabric import names, nft
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import PortState
from cumulet.services.network.types.local_ips import LocalIpState

TABLE = "cumulet_local"
_MEMORY = "flags dynamic,timeout; size 16384; timeout"  # of flows; a guest can fill its own neighbours' alone
_FLOW = "ip saddr . meta l4proto . th sport . th dport"
_ANSWER = "ip daddr . meta l4proto . th dport . th sport"

_TABLE = """
{maps}
{chains}
map meant {{ typeof iifname . ip daddr : verdict; {meant} }}
map asked {{ typeof iifname . arp daddr ip : verdict; {asked} }}
map answering {{ type ifname : verdict; {answering} }}
chain to {{ type filter hook prerouting priority -250;
ether type arp arp operation request iifname . arp daddr ip vmap @asked
ether type ip iifname . ip daddr vmap @meant
}}
chain from {{ type filter hook forward priority 50;
iifname vmap @answering
}}
"""
_MAPS = """map f-{port} {{ typeof {flow} : ip daddr; {memory} 10m; }}
map p-{port} {{ typeof ip saddr . icmp id : ip daddr; {memory} 1m; }}
map a-{port} {{ typeof arp saddr ip : arp daddr ip; {memory} 5s; }}"""
_TRANSLATED = """chain t-{port}-{number} {{
meta l4proto {{ 6, 17, 132 }} update @f-{port} {{ {flow} : ip daddr }} goto d-{port}-{number}
icmp type echo-request update @p-{port} {{ ip saddr . icmp id : ip daddr }} goto d-{port}-{number}
drop
}}
chain d-{port}-{number} {{
ether daddr set {mac} ip daddr set {fixed} accept
}}
chain q-{port}-{number} {{
update @a-{port} {{ arp saddr ip : arp daddr ip }} ether daddr set {mac} arp daddr ip set {fixed} accept
}}"""
_PASSED = """chain t-{port}-{number} {{
ether daddr set {mac} accept
}}
chain q-{port}-{number} {{
ether daddr set {mac} accept
}}"""
_BACK = """chain b-{port} {{
ether type arp arp operation reply arp saddr ip {{ {fixed} }} goto n-{port}
ether type ip ip saddr {{ {fixed} }} meta l4proto {{ 6, 17, 132 }} ip saddr set {answer} map @f-{port} accept
ether type ip ip saddr {{ {fixed} }} icmp type echo-reply ip saddr set ip daddr . icmp id map @p-{port} accept
}}
chain n-{port} {{
arp saddr ip set arp daddr ip map @a-{port}
delete @a-{port} {{ arp daddr ip : arp saddr ip }}
}}"""


class LocalIps(Stage):
    """Keeps the table while any port is meant. What it remembers is no part of its text: its stamp is believed."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._loaded: str | None = None

    def plug(self, links: Links, run: Run) -> None:
        meant = [port for port in run.state.ports if port.local_ips]
        text = table(run.state.ports) if meant else ""
        if run.known and text == self._loaded:
            return
        try:
            if text:
                run.changes += nft.replace("bridge", TABLE, text)
            else:
                run.changes += nft.remove("bridge", TABLE)
            self._loaded = text
        except nft.RulesRefused as error:
            for port in meant:
                run.failed.setdefault(port.id, str(error))


def table(ports: Iterable[PortState]) -> str:
    """The table for the ports of a host: the senders of each network, and the ports that are meant there."""
    senders: dict[str, list[PortState]] = defaultdict(list)
    for port in sorted(ports, key=lambda port: port.id):
        senders[port.network_id].append(port)
    maps: list[str] = []
    chains: list[str] = []
    jumps: dict[str, str] = {}
    answering: list[str] = []
    for listed in senders.values():
        for port in (port for port in listed if port.local_ips):
            chains += [_chains(port, number, one) for number, one in enumerate(port.local_ips)]
            for number, one in enumerate(port.local_ips):
                for sender in (sender for sender in listed if not _is_meant(sender, one.address)):
                    key = f'"{names.tap(sender.id)}" . {one.address}'
                    jumps.setdefault(key, f"{port.id}-{number}")
            fixed = sorted({one.fixed for one in port.local_ips if one.translate})
            if fixed:
                maps.append(_MAPS.format(port=port.id, flow=_FLOW, memory=_MEMORY))
                chains.append(_BACK.format(port=port.id, fixed=", ".join(fixed), answer=_ANSWER))
                answering.append(f'"{names.tap(port.id)}" : jump b-{port.id}')
    return _TABLE.format(
        maps="\n".join(maps),
        chains="\n".join(chains),
        meant=_elements(f"{key} : jump t-{chain}" for key, chain in jumps.items()),
        asked=_elements(f"{key} : jump q-{chain}" for key, chain in jumps.items()),
        answering=_elements(answering),
    )


def _chains(port: PortState, number: int, one: LocalIpState) -> str:
    template = _TRANSLATED if one.translate else _PASSED
    return template.format(port=port.id, number=number, mac=port.mac, fixed=one.fixed, flow=_FLOW)


def _is_meant(port: PortState, address: str) -> bool:
    return any(one.address == address for one in port.local_ips)


def _elements(items: Iterable[str]) -> str:
    joined = ", ".join(items)
    return f"elements = {{ {joined} }};" if joined else ""
