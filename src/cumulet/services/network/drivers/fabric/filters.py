# SPDX-License-Identifier: Apache-2.0
"""The fabric's packet filter as text: anti-spoofing and security groups in nftables' language.

Kernels without connection tracking for bridges are the common case, so the two halves of a stateful filter sit apart.
br_netfilter shows bridged frames to the inet family, where connection tracking puts a mark on them (1: established or
related, 2: invalid). The bridge family, where the ports have names, decides by that mark. `accept` ends only its own
base chain, so what leaves a port and what reaches one are two base chains.

Ports of stateless groups skip the mark, in both directions: each of their packets needs a rule. Their connections are
tracked all the same, for the other end's groups may be stateful.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from cumulet.services.network.drivers.fabric import names, nft
from cumulet.services.network.types import GroupState, HostState, PortState, RuleState
from cumulet.services.network.types.reach import is_stateless

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TABLE = "cumulet"
_ICMP = {4: ("icmp", 1), 6: ("icmpv6", 58)}
_WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_ICMPV6_OUT = "{ 130, 131, 132, 133, 135, 136, 143 }"
_ICMPV6_IN = "{ 130, 131, 132, 134, 135, 136 }"

_CLASSIFY = """
map zone {{ typeof meta iifname : ct zone; {zones} }}
chain raw {{ type filter hook prerouting priority raw; ct zone set meta iifname map @zone; }}
chain classify {{ type filter hook prerouting priority mangle;
ct state established,related meta mark set 0x1
ct state invalid meta mark set 0x2
}}
"""

_BRIDGE = """
set ports {{ type ifname; {ports} }}
set open {{ type ifname; {open} }}
{stateless}
set mac {{ type ifname . ether_addr; {macs} }}
set everywhere {{ type ifname . ether_addr; {services} }}
set mac_ip {{ type ifname . ether_addr . ipv4_addr; flags interval; {sources4} }}
set mac_ip6 {{ type ifname . ether_addr . ipv6_addr; flags interval; {sources6} }}
set targets {{ typeof iifname . ether saddr . @th,64,128; flags interval; {targets} }}
{groups}
{chains}
map from_port {{ type ifname : verdict; {jumps_from} }}
map to_port {{ type ifname : verdict; {jumps_to} }}
chain spoof {{
iifname . ether saddr != @mac drop
ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @mac accept
ether type arp iifname . arp saddr ether . arp saddr ip @mac_ip accept
ether type ip udp sport 68 udp dport 67 accept
ether type ip udp sport 67 drop
ether type ip iifname . ether saddr . ip saddr @mac_ip accept
ether type ip6 udp dport 546 drop
ether type ip6 icmpv6 type 134 drop
ether type ip6 icmpv6 type 136 iifname . ether saddr . @th,64,128 != @targets drop
ether type ip6 ip6 saddr :: icmpv6 type 135 iifname . ether saddr . @th,64,128 @targets accept
ether type ip6 ip6 saddr :: icmpv6 type {{ 131, 133, 143 }} accept
ether type ip6 iifname . ether saddr . ip6 saddr @mac_ip6 accept
drop
}}
chain pre {{ type filter hook prerouting priority -300;
meta mark set 0
iifname @ports jump spoof
iifname "tap*" iifname != @ports iifname != @open drop
}}
chain near {{ type filter hook forward priority 0; oifname . ether saddr @everywhere drop; }}
chain local {{ type filter hook input priority 0; drop; }}
chain from {{ type filter hook forward priority 10;
ether type arp accept
{tracked_from}meta mark 0x1 accept
iifname @ports {tracked_from}meta mark 0x2 drop
iifname vmap @from_port
}}
chain to {{ type filter hook forward priority 20;
ether type arp accept
{tracked_to}meta mark 0x1 accept
oifname @ports {tracked_to}meta mark 0x2 drop
oifname vmap @to_port
}}
chain host {{ type filter hook forward priority 30;
oifname != "{host}" accept
ether type arp accept
meta mark 0x1 accept
ether type ip icmp type echo-request accept
{host_services}
drop
}}
"""


def classify(zones: Mapping[str, int]) -> str:
    """The inet table; `zones` maps each bridge's device name to its connection-tracking zone (1-65535)."""
    return _CLASSIFY.format(zones=_elements(f'"{device}" : {zone}' for device, zone in sorted(zones.items())))


def bridge_table(state: HostState, host_services: Iterable[int] = ()) -> str:
    """The bridge table for all ports and groups of `state`.

    `host_services` are TCP ports of the host that guests may reach; by default they reach none, only ping.
    """
    secured = sorted((port for port in state.ports if port.security), key=lambda port: port.id)
    groups = {group.id: group for group in state.groups}
    stateless = [f'"{names.tap(port.id)}"' for port in secured if is_stateless(port, groups)]
    reachable = ", ".join(str(number) for number in sorted(host_services))
    return _BRIDGE.format(
        ports=_elements(f'"{names.tap(port.id)}"' for port in secured),
        open=_elements(sorted(f'"{names.tap(port.id)}"' for port in state.ports if not port.security)),
        stateless=f"set stateless {{ type ifname; {_elements(stateless)} }}" if stateless else "",
        tracked_from="iifname != @stateless " if stateless else "",
        tracked_to="oifname != @stateless " if stateless else "",
        macs=_elements(f'"{names.tap(port.id)}" . {mac}' for port in secured for mac in _macs(port)),
        sources4=_elements(source for port in secured for source in _sources(port, 4)),
        sources6=_elements(source for port in secured for source in _sources(port, 6)),
        targets=_elements(source for port in secured for source in _sources(port, 6, _number)),
        groups="\n".join(_member_sets(group) for group in sorted(state.groups, key=lambda group: group.id)),
        chains="\n".join(
            [
                *(_group_chains(groups[key], groups) for key in sorted(groups)),
                *(_port_chains(p, groups) for p in secured),
            ]
        ),
        jumps_from=_elements(f'"{names.tap(port.id)}" : jump f-{port.id}' for port in secured),
        jumps_to=_elements(f'"{names.tap(port.id)}" : jump t-{port.id}' for port in secured),
        host=names.HOST_PEER,
        host_services=f"tcp dport {{ {reachable} }} accept" if reachable else "",
        services=_elements(_services(state)),
    )


def without_refused(state: HostState) -> tuple[HostState, dict[str, str]]:
    """For a state whose table was refused: the same without the rules that nftables does not take, and its complaints.

    One project's odd rule must not keep every other port of the host from its filter.
    """
    groups = {group.id: group for group in state.groups}
    bare = {key: msgspec.structs.replace(group, rules=[]) for key, group in groups.items()}
    refused: dict[str, str] = {}
    for key, group in sorted(groups.items()):
        alone = HostState(groups=[*(one for other, one in bare.items() if other != key), group])
        complaint = nft.complaint("bridge", TABLE, bridge_table(alone))
        if complaint is not None:
            refused[key] = complaint
    kept = [bare[key] if key in refused else group for key, group in groups.items()]
    return msgspec.structs.replace(state, groups=kept), refused


def rule_text(rule: RuleState, groups: Mapping[str, GroupState]) -> str | None:
    """One rule of a group in nft's words; None where it can match nothing (its remote group has no members here)."""
    words = ["ether type ip" if rule.version == 4 else "ether type ip6"]
    side = ("ip" if rule.version == 4 else "ip6") + (" saddr" if rule.direction == "ingress" else " daddr")
    if rule.remote_group is not None:
        if rule.remote_group not in groups:
            return None
        words.append(f"{side} @m{rule.version}-{rule.remote_group}")
    elif rule.remote_cidr is not None and ipaddress.ip_network(rule.remote_cidr, strict=False).prefixlen > 0:
        words.append(f"{side} {rule.remote_cidr}")
    words += _protocol_words(rule)
    return " ".join([*words, "accept"])


def link_local(mac: str) -> str:
    """The IPv6 link-local address that a guest makes of `mac` (RFC 4291, modified EUI-64)."""
    digits = bytearray.fromhex(mac.replace(":", ""))
    digits[0] ^= 2
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes(digits[:3]) + b"\xff\xfe" + bytes(digits[3:])))


def _protocol_words(rule: RuleState) -> list[str]:
    if rule.protocol is None:
        return []
    name, number = _ICMP[rule.version]
    if rule.protocol in (1, 58):
        if rule.low is None:
            return [f"meta l4proto {number}"]
        kind = f"{name} type {rule.low}"
        return [kind] if rule.high is None else [f"{kind} {name} code {rule.high}"]
    if rule.low is not None and rule.protocol in _WITH_PORTS:
        high = rule.low if rule.high is None else rule.high
        return [
            f"{_WITH_PORTS[rule.protocol]} dport {rule.low}-{high}"
            if high != rule.low
            else f"{_WITH_PORTS[rule.protocol]} dport {rule.low}"
        ]
    return [f"meta l4proto {rule.protocol}"]


def _member_sets(group: GroupState) -> str:
    lines = []
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        members = [ipaddress.ip_network(member, strict=False) for member in group.members]
        kept = _collapsed(member for member in members if member.version == version)
        lines.append(f"set m{version}-{group.id} {{ type {kind}; flags interval; {_elements(kept)} }}")
    return "\n".join(lines)


def _group_chains(group: GroupState, groups: Mapping[str, GroupState]) -> str:
    lines: dict[str, list[str]] = {"ingress": [], "egress": []}
    for rule in group.rules:
        text = rule_text(rule, groups)
        if text is not None and text not in lines[rule.direction]:
            lines[rule.direction].append(text)
    return "\n".join(
        f"chain {letter}-{group.id} {{\n" + "\n".join(lines[direction]) + "\n}"
        for letter, direction in (("i", "ingress"), ("e", "egress"))
    )


def _port_chains(port: PortState, groups: Mapping[str, GroupState]) -> str:
    known = [group for group in port.groups if group in groups]
    leaving = [
        "ether type ip udp sport 68 udp dport 67 accept",
        f"ether type ip6 icmpv6 type {_ICMPV6_OUT} accept",
        "ether type ip6 udp sport 546 udp dport 547 accept",
        *(f"jump e-{group}" for group in known),
        "drop",
    ]
    reaching = [
        "ether type ip udp sport 67 udp dport 68 accept",
        f"ether type ip6 icmpv6 type {_ICMPV6_IN} accept",
        "ether type ip6 ip6 saddr fe80::/64 udp sport 547 udp dport 546 accept",
        *(f"jump i-{group}" for group in known),
        "drop",
    ]
    return (
        f"chain f-{port.id} {{\n"
        + "\n".join(leaving)
        + "\n}\n"
        + f"chain t-{port.id} {{\n"
        + "\n".join(reaching)
        + "\n}"
    )


def _services(state: HostState) -> list[str]:
    """`"tunnel" . mac` of the services that stand on every host: what they say stays on theirs."""
    shared = {remote.network_id for remote in state.remotes}
    return sorted(
        f'"{names.tunnel(network.id)}" . {network.service.mac}'
        for network in state.networks
        if network.service is not None and network.id in shared
    )


def _macs(port: PortState) -> list[str]:
    return sorted({port.mac, *(pair.mac for pair in port.pairs)})


def _sources(port: PortState, version: int, text: Callable[[Address], str] = str) -> list[str]:
    """`"tap" . mac . address` for each source that the port may use, none lying within another."""
    by_mac: dict[str, list[str]] = defaultdict(list)
    for address in port.addresses:
        by_mac[port.mac].append(address.address)
    for pair in port.pairs:
        by_mac[pair.mac].append(pair.cidr)
    if version == 6:
        for mac in _macs(port):
            by_mac[mac].append(link_local(mac))
    found = []
    for mac, sources in sorted(by_mac.items()):
        networks = [ipaddress.ip_network(source, strict=False) for source in sources]
        wanted = [network for network in networks if network.version == version]
        found += [f'"{names.tap(port.id)}" . {mac} . {source}' for source in _collapsed(wanted, text)]
    return found


def _collapsed(
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], text: Callable[[Address], str] = str
) -> list[str]:
    """The same addresses without overlaps, as nft's interval sets require: single addresses, or first-last."""
    merged = ipaddress.collapse_addresses(list(networks))  # type: ignore[type-var]
    return [
        text(network[0]) if network.num_addresses == 1 else f"{text(network[0])}-{text(network[-1])}"
        for network in merged
    ]


def _number(address: Address) -> str:
    """As nft compares it with raw bytes of a packet, for it has no word for a neighbour message's target."""
    return f"{int(address):#x}"


def _elements(items: Iterable[str]) -> str:
    joined = ", ".join(items)
    return f"elements = {{ {joined} }};" if joined else ""
