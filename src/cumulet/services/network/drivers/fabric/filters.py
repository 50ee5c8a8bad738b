# SPDX-License-Identifier: Apache-2.0
"""The fabric's packet filter as text: anti-spoofing and security groups in nftables' language.

Kernels without connection tracking for bridges are the common case, so the two halves of a stateful filter sit apart.
br_netfilter shows bridged frames to the inet family, where connection tracking puts a mark on them (1: established or
related, 2: invalid). The bridge family, where the ports have names, decides by that mark. `accept` ends only its own
base chain, so what leaves a port and what reaches one are two base chains.

Almost all packets are of connections that are known, from one guest's own address: each chain asks for those first, by
what is compared and not looked up, and single addresses are looked up apart from ranges, which costs ten times as much.

What a guest asks the network's services for is its own: DHCP by its own MAC, metadata from its own addresses, without
port security and with allowed pairs too. Packets between guests are not looked at for that.

Ports of stateless groups skip the mark, in both directions: each of their packets needs a rule. Their connections are
tracked all the same, for the other end's groups may be stateful.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from cumulet.services.network.drivers.fabric import names, nft, packet_logs
from cumulet.services.network.drivers.fabric.rulesets import Elements, Table
from cumulet.services.network.types import GroupState, HostState, PortState, RuleState
from cumulet.services.network.types.reach import is_stateless

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TABLE = "cumulet"
_ICMP = {4: ("icmp", 1), 6: ("icmpv6", 58)}
_WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_ICMPV6_OUT = "{ 130, 131, 132, 133, 135, 136, 143 }"
_ICMPV6_IN = "{ 130, 131, 132, 134, 135, 136 }"

_CLASSIFY = """
map zone {{ typeof meta iifname : ct zone; {zones} }}
chain raw {{ type filter hook prerouting priority raw; ct zone set meta iifname map @zone; }}
chain classify {{ type filter hook prerouting priority mangle;
ct state established,related meta mark set 0x1 accept
ct state invalid meta mark set 0x2 accept
ct state new tcp flags & (fin | syn | rst | ack) != syn meta mark set 0x2
}}
"""

# What a table for any ports holds: sets with the type of their elements, and maps to verdicts.
_SETS = {
    "ports": "type ifname;",
    "open": "type ifname;",
    "stateless": "type ifname;",
    "mac": "type ifname . ether_addr;",
    "everywhere": "type ifname . ether_addr;",
    "mac_ip": "type ifname . ether_addr . ipv4_addr;",
    "mac_ip6": "type ifname . ether_addr . ipv6_addr;",
    "mac_range": "type ifname . ether_addr . ipv4_addr; flags interval;",
    "mac_range6": "type ifname . ether_addr . ipv6_addr; flags interval;",
    "targets": "typeof iifname . ether saddr . @th,64,128; flags interval;",
    "own_mac": "type ifname . ether_addr;",
    "own_client": "typeof iifname . @th,288,48;",
    "own_ip": "type ifname . ether_addr . ipv4_addr;",
    "own_ip6": "type ifname . ether_addr . ipv6_addr;",
}
_MAPS = {"from_port": "type ifname : verdict;", "to_port": "type ifname : verdict;"}

_BASE = """
chain spoof {{
iifname . ether saddr != @mac drop
ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @mac accept
ether type arp iifname . arp saddr ether . arp saddr ip @mac_ip accept
ether type arp iifname . arp saddr ether . arp saddr ip @mac_range accept
ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
ether type ip udp sport 67 drop
ether type ip iifname . ether saddr . ip saddr @mac_ip accept
ether type ip iifname . ether saddr . ip saddr @mac_range accept
ether type ip6 udp dport 546 drop
ether type ip6 icmpv6 type 134 drop
ether type ip6 icmpv6 type 136 iifname . ether saddr . @th,64,128 != @targets drop
ether type ip6 ip6 saddr :: icmpv6 type 135 iifname . ether saddr . @th,64,128 @targets accept
ether type ip6 ip6 saddr :: icmpv6 type {{ 131, 133, 143 }} accept
ether type ip6 iifname . ether saddr . ip6 saddr @mac_ip6 accept
ether type ip6 iifname . ether saddr . ip6 saddr @mac_range6 accept
drop
}}
chain pre {{ type filter hook prerouting priority -300;
meta mark set 0
iifname != "tap*" accept
ether type ip meta l4proto != 17 iifname . ether saddr . ip saddr @mac_ip accept
ether type ip6 meta l4proto != {{ 17, 58 }} iifname . ether saddr . ip6 saddr @mac_ip6 accept
iifname @ports jump spoof
iifname != @ports iifname != @open drop
}}
chain asks {{
ether type ip ip daddr 169.254.169.254 tcp dport 80 iifname . ether saddr . ip saddr != @own_ip drop
ether type ip udp dport 67 iifname . @th,288,48 != @own_client drop
ether type ip6 ip6 daddr fe80::a9fe:a9fe tcp dport 80 iifname . ether saddr . ip6 saddr != @own_ip6 drop
ether type ip6 udp dport 547 iifname . ether saddr != @own_mac drop
}}
chain near {{
oifname "sv-*" jump asks
oifname "rt-*" jump asks
oifname "vx-*" ip daddr 169.254.169.254 jump asks
}}
chain host {{
ether type ip icmp type echo-request accept
{host_services}
drop
}}
chain local {{ type filter hook input priority 0; drop; }}
chain from {{ type filter hook forward priority 10;
meta mark 0x1 iifname "tap*" oifname "tap*" {tracked_from}accept
iifname "tap*" jump near
oifname "vx-*" oifname . ether saddr @everywhere drop
meta mark 0x1 {tracked_from}accept
ether type arp accept
iifname @ports {tracked_from}meta mark 0x2 drop
iifname vmap @from_port
}}
chain to {{ type filter hook forward priority 20;
meta mark 0x1 {tracked_to}accept
ether type arp accept
oifname @ports {tracked_to}meta mark 0x2 drop
oifname "{host}" goto host
oifname vmap @to_port
}}
"""


def classify(zones: Mapping[str, int]) -> str:
    """The inet table; `zones` maps each bridge's device name to its connection-tracking zone (1-65535)."""
    return _CLASSIFY.format(zones=_elements(f'"{device}" : {zone}' for device, zone in sorted(zones.items())))


class Parts(NamedTuple):
    """What one port or group adds to the table: items of sets and maps, rules of chains, and sets of its own."""

    items: dict[str, list[str]]
    chains: dict[str, tuple[str, ...]]
    sets: dict[str, Elements]


class BridgeTable:
    """Makes the bridge table of states, and remembers what each port and group came to for the next one."""

    def __init__(self, host_services: Iterable[int] = (), log_limit: tuple[int, int] = (100, 25)) -> None:
        """`host_services` are TCP ports of the host that guests may reach; by default they reach none, only ping.

        `log_limit` is how many packets of all are logged in a second, and at once.
        """
        self._log_limit = log_limit
        reachable = ", ".join(str(number) for number in sorted(host_services))
        services = f"tcp dport {{ {reachable} }} accept" if reachable else ""
        self._base = partial(_BASE.format, host=names.HOST_PEER, host_services=services)
        self._made: dict[str, tuple[Any, Parts]] = {}

    def of(self, state: HostState) -> Table:
        """The table for all ports and groups of `state`."""
        groups = {group.id: group for group in state.groups}
        made: dict[str, tuple[Any, Parts]] = {}
        items: dict[str, set[str]] = {name: set() for name in (*_SETS, *_MAPS)}
        items["everywhere"].update(_services(state))
        elements, chains = {}, {}
        for group in sorted(state.groups, key=lambda group: group.id):
            known = tuple(rule.remote_group in groups for rule in group.rules)
            made[group.id] = self._once(group.id, (group, known), partial(_group_parts, group, groups))
        for port in sorted(state.ports, key=lambda port: port.id):
            member = (is_stateless(port, groups), *(group in groups for group in port.groups))
            member += tuple(made[group.id][0] for group in packet_logs.accepting(port, groups))
            made[port.id] = self._once(port.id, (port, member), partial(_port_parts, port, groups))
        for _, parts in made.values():
            chains.update(parts.chains)
            elements.update(parts.sets)
            for name, found in parts.items.items():
                items[name].update(found)
        self._made = made
        for kind, heads in (("set", _SETS), ("map", _MAPS)):
            elements.update({name: Elements(kind, head, frozenset(items[name])) for name, head in heads.items()})
        side = "{} != @stateless " if items["stateless"] else ""
        limit = packet_logs.limit(state.ports, *self._log_limit)
        base = limit + self._base(tracked_from=side.format("iifname"), tracked_to=side.format("oifname"))
        return Table(elements, chains, base)

    def _once(self, key: str, of: Any, make: Callable[[], Parts]) -> tuple[Any, Parts]:
        """What the port or group came to before where it is the same, else what it comes to now."""
        known = self._made.get(key)
        return known if known is not None and known[0] == of else (of, make())


def without_refused(state: HostState) -> tuple[HostState, dict[str, str]]:
    """For a state whose table was refused: the same without the rules that nftables does not take, and its complaints.

    One project's odd rule must not keep every other port of the host from its filter.
    """
    groups = {group.id: group for group in state.groups}
    bare = {key: msgspec.structs.replace(group, rules=[]) for key, group in groups.items()}
    refused: dict[str, str] = {}
    for key, group in sorted(groups.items()):
        alone = HostState(groups=[*(one for other, one in bare.items() if other != key), group])
        complaint = nft.complaint("bridge", TABLE, BridgeTable().of(alone).text())
        if complaint is not None:
            refused[key] = complaint
    kept = [bare[key] if key in refused else group for key, group in groups.items()]
    return msgspec.structs.replace(state, groups=kept), refused


def rule_text(rule: RuleState, groups: Mapping[str, GroupState], networks: Sequence[str] = ()) -> str | None:
    """One rule of a group in nft's words; None where it can match nothing (its remote group has no members here).

    `networks` are all that it lets pass, where those are several.
    """
    words = ["ether type ip" if rule.version == 4 else "ether type ip6"]
    side = ("ip" if rule.version == 4 else "ip6") + (" saddr" if rule.direction == "ingress" else " daddr")
    if rule.remote_group is not None:
        if rule.remote_group not in groups:
            return None
        words.append(f"{side} @m{rule.version}-{rule.remote_group}")
    elif len(networks) > 1:
        apart = sorted(_disjoint(ipaddress.ip_network(network, strict=False) for network in networks))
        words.append(f"{side} {{ {', '.join(apart)} }}")
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


def _group_parts(group: GroupState, groups: Mapping[str, GroupState]) -> Parts:
    lines: dict[str, list[str]] = {"ingress": [], "egress": []}
    for rule, networks in _folded(group.rules):
        text = rule_text(rule, groups, networks)
        if text is not None and text not in lines[rule.direction]:
            lines[rule.direction].append(text)
    chains = {f"i-{group.id}": tuple(lines["ingress"]), f"e-{group.id}": tuple(lines["egress"])}
    return Parts({}, chains, _member_sets(group))


def _folded(rules: Iterable[RuleState]) -> Iterable[tuple[RuleState, list[str]]]:
    """The rules, those of them that differ in the network alone as one with all their networks.

    An address group comes as a rule for each of its addresses; one look into a set is all that a packet should cost.
    """
    found: dict[RuleState, tuple[RuleState, list[str]]] = {}
    for rule in rules:
        cidr = rule.remote_cidr
        if cidr is None or cidr.endswith("/0"):
            found.setdefault(rule, (rule, []))
        else:
            found.setdefault(msgspec.structs.replace(rule, remote_cidr=""), (rule, []))[1].append(cidr)
    return found.values()


def _member_sets(group: GroupState) -> dict[str, Elements]:
    found = {}
    for version, kind, sign in ((4, "ipv4_addr", "."), (6, "ipv6_addr", ":")):
        members = [member for member in group.members if sign in member]
        if any("/" in member for member in members):
            members = _disjoint(ipaddress.ip_network(member, strict=False) for member in members)
        found[f"m{version}-{group.id}"] = Elements("set", f"type {kind}; flags interval;", frozenset(members))
    return found


def _port_parts(port: PortState, groups: Mapping[str, GroupState]) -> Parts:
    tap = f'"{names.tap(port.id)}"'
    if not port.security:
        return Parts({"open": [tap], **_own(port, tap)}, {}, {})
    known = [group for group in port.groups if group in groups]
    items = {
        **_own(port, tap),
        "ports": [tap],
        "stateless": [tap] if is_stateless(port, groups) else [],
        "mac": [f"{tap} . {mac}" for mac in _macs(port)],
        **_senders(port, 4, "mac_ip", "mac_range"),
        **_senders(port, 6, "mac_ip6", "mac_range6"),
        "targets": _sources(port, 6, _number),
        "from_port": [f"{tap} : jump f-{port.id}"],
        "to_port": [f"{tap} : jump t-{port.id}"],
    }
    leaving = (
        "ether type ip udp sport 68 udp dport 67 accept",
        f"ether type ip6 icmpv6 type {_ICMPV6_OUT} accept",
        "ether type ip6 udp sport 546 udp dport 547 accept",
        *(f"jump {packet_logs.chain(port, group, 'e')}" for group in known),
        *packet_logs.dropped(port),
        "drop",
    )
    reaching = (
        "ether type ip udp sport 67 udp dport 68 accept",
        f"ether type ip6 icmpv6 type {_ICMPV6_IN} accept",
        "ether type ip6 ip6 saddr fe80::/64 udp sport 547 udp dport 546 accept",
        *(f"jump {packet_logs.chain(port, group, 'i')}" for group in known),
        *packet_logs.dropped(port),
        "drop",
    )
    logged: dict[str, tuple[str, ...]] = {}
    for group in packet_logs.accepting(port, groups):
        rules = _group_parts(group, groups).chains
        logged |= packet_logs.copies(port, group.id, {letter: rules[f"{letter}-{group.id}"] for letter in "ei"})
    return Parts(items, {f"f-{port.id}": leaving, f"t-{port.id}": reaching, **logged}, {})


def _own(port: PortState, tap: str) -> dict[str, list[str]]:
    """What services know the port by: its MAC, also as DHCP's `chaddr`, and its addresses."""
    four, six = ([one.address for one in port.addresses if (":" in one.address) == sixth] for sixth in (False, True))
    return {
        "own_mac": [f"{tap} . {port.mac}"],
        "own_client": [f"{tap} . 0x{port.mac.replace(':', '')}"],
        "own_ip": [f"{tap} . {port.mac} . {address}" for address in four],
        "own_ip6": [f"{tap} . {port.mac} . {address}" for address in (*six, link_local(port.mac))],
    }


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


def _senders(port: PortState, version: int, single: str, ranges: str) -> dict[str, list[str]]:
    """What the port may send from, by set; none of the addresses lies within another item."""
    found = _sources(port, version)
    return {
        single: [one for one in found if "-" not in one.split()[-1]],
        ranges: [one for one in found if "-" in one.split()[-1]],
    }


def _sources(port: PortState, version: int, text: Callable[[Address], str] = str) -> list[str]:
    """`"tap" . mac . address` for each source that the port may use, none lying within another."""
    by_mac: dict[str, list[str]] = defaultdict(list)
    for address in port.addresses:
        by_mac[port.mac].append(address.address)
    for pair in port.pairs:
        by_mac[pair.mac].append(pair.cidr)
    if version == 6:
        for mac, sources in by_mac.items():
            if any(":" in source for source in sources):
                sources.append(link_local(mac))
    found = []
    for mac, sources in sorted(by_mac.items()):
        networks = [ipaddress.ip_network(source, strict=False) for source in sources]
        wanted = [network for network in networks if network.version == version]
        found += [f'"{names.tap(port.id)}" . {mac} . {source}' for source in _disjoint(wanted, text)]
    return found


def _disjoint(networks: Iterable[Network], text: Callable[[Address], str] = str) -> list[str]:
    """The same addresses without overlaps, as nft's interval sets require: single addresses, or first-last.

    Neighbours stay apart, so that one more changes nothing of what is there.
    """
    kept: dict[Network, None] = {}
    lengths: set[int] = set()
    for network in sorted(set(networks), key=lambda network: network.prefixlen):
        if not any(network.supernet(new_prefix=length) in kept for length in lengths if length <= network.prefixlen):
            kept[network] = None
            lengths.add(network.prefixlen)
    return [
        text(network[0]) if network.num_addresses == 1 else f"{text(network[0])}-{text(network[-1])}"
        for network in kept
    ]


def _number(address: Address) -> str:
    """As nft compares it with raw bytes of a packet, for it has no word for a neighbour message's target."""
    return f"{int(address):#x}"


def _elements(items: Iterable[str]) -> str:
    joined = ", ".join(items)
    return f"elements = {{ {joined} }};" if joined else ""
