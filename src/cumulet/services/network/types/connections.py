# SPDX-License-Identifier: Apache-2.0
"""Connections that a host tracks, and which of them its state would let begin."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from cumulet.services.network.types import reach
from cumulet.services.network.types.states import GroupState, HostState, PortState, RuleState

_ICMP = (1, 58)


class TcpState(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of a TCP connection: the kernel's number of its state, and both ends' window scales."""

    state: int
    scales: tuple[int, int] = (0, 0)


class Connection(msgspec.Struct, kw_only=True, frozen=True):
    """A tracked connection on a network, as its first packet went: `source` to `destination`.

    The ports are 0 where the protocol has none; `icmp` is a question's type, code and identifier. Without a further
    packet it is remembered for `seconds`.
    """

    network_id: str
    protocol: int
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0
    icmp: tuple[int, int, int] | None = None
    answered: bool = True
    assured: bool = True
    seconds: int = 60
    tcp: TcpState | None = None

    @property
    def ends(self) -> tuple[str, str]:
        """Both addresses."""
        return self.source, self.destination


class Addresses:
    """Single addresses and networks, any of which an address may lie in."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._single: set[str] = set()
        self._wide: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for text in texts:
            network = ipaddress.ip_network(text, strict=False)
            if network.num_addresses == 1:
                self._single.add(str(network.network_address))
            else:
                self._wide.append(network)

    def __contains__(self, text: object) -> bool:
        if text in self._single:
            return True
        if not self._wide:
            return False
        address = ipaddress.ip_address(str(text))
        return any(address in network for network in self._wide)


class Judge:
    """Says of connections whether the rules of a state's ports would let them begin now."""

    def __init__(self, state: HostState) -> None:
        self._groups = {group.id: group for group in state.groups}
        self._members: dict[str, Addresses] = {}
        self._rules: dict[str, list[_Rule]] = {}
        self._owners: dict[tuple[str, str], PortState] = {}
        self._pairs: dict[str, list[tuple[Addresses, PortState]]] = defaultdict(list)
        self._known = {port.id for port in state.ports} | {f"remote {one.id}" for one in state.remotes}
        self._remote = {(one.network_id, address): one.id for one in state.remotes for address in one.addresses}
        for port in state.ports:
            for one in port.addresses:
                self._owners[port.network_id, one.address] = port
            if port.pairs:
                self._pairs[port.network_id].append((Addresses(pair.cidr for pair in port.pairs), port))

    def holders(self, network_id: str, address: str) -> list[PortState]:
        """The host's ports that answer for the address: its own, else those whose allowed pairs have it."""
        owner = self._owners.get((network_id, address))
        if owner is not None:
            return [owner]
        return [port for addresses, port in self._pairs.get(network_id, ()) if address in addresses]

    def is_elsewhere(self, network_id: str, address: str) -> bool:
        """Whether a port of another host has the address."""
        return (network_id, address) in self._remote

    def owners(self, connection: Connection) -> frozenset[str]:
        """Names of all the ports that answer for either end; a port has another one while it is on another host."""
        found = set()
        for end in connection.ends:
            found |= {port.id for port in self.holders(connection.network_id, end)}
            remote = self._remote.get((connection.network_id, end))
            found |= {f"remote {remote}"} if remote is not None else set()
        return frozenset(found)

    def knows(self, owner: str) -> bool:
        """Whether one of these names is that of a port that is there."""
        return owner in self._known

    def stands(self, connection: Connection) -> bool:
        """Whether each end that is a port of the host lets the connection begin, or does not ask for connections."""
        sides = (("egress", *connection.ends), ("ingress", *reversed(connection.ends)))
        for direction, own, other in sides:
            holders = self.holders(connection.network_id, own)
            if holders and not any(self._lets(port, direction, other, connection) for port in holders):
                return False
        return True

    def _lets(self, port: PortState, direction: str, other: str, connection: Connection) -> bool:
        if not port.security or reach.is_stateless(port, self._groups):
            return True
        low, high = connection.icmp[:2] if connection.icmp is not None else (connection.destination_port,) * 2
        version = 6 if ":" in other else 4
        for group in (self._groups[key] for key in port.groups if key in self._groups):
            for rule in self._of(group):
                if rule.matches(direction, version, connection.protocol, low, high) and rule.has(other):
                    return True
        return False

    def _of(self, group: GroupState) -> list[_Rule]:
        if group.id not in self._rules:
            self._rules[group.id] = [_Rule(rule, self._others(rule)) for rule in group.rules]
        return self._rules[group.id]

    def _others(self, rule: RuleState) -> Addresses | None:
        """Those whom the rule is about; None for everybody."""
        if rule.remote_group is not None:
            if rule.remote_group not in self._members:
                group = self._groups.get(rule.remote_group)
                self._members[rule.remote_group] = Addresses(group.members if group is not None else ())
            return self._members[rule.remote_group]
        return Addresses([rule.remote_cidr]) if rule.remote_cidr is not None else None


class _Rule:
    def __init__(self, rule: RuleState, others: Addresses | None) -> None:
        self._rule = rule
        self._others = others

    def has(self, other: str) -> bool:
        return self._others is None or other in self._others

    def matches(self, direction: str, version: int, protocol: int, low: int, high: int) -> bool:
        rule = self._rule
        if (rule.direction, rule.version) != (direction, version) or rule.protocol not in (None, protocol):
            return False
        if rule.protocol is None or rule.low is None:
            return True
        if protocol in _ICMP:
            return low == rule.low and rule.high in (None, high)
        return rule.low <= low <= (rule.low if rule.high is None else rule.high)


class Suspects(msgspec.Struct, kw_only=True):
    """Whose connections on one network are to be judged anew: everybody's, or those of `addresses` (also CIDRs)."""

    addresses: set[str] = msgspec.field(default_factory=set)
    everybody: bool = False


def add(found: Mapping[str, Suspects], to: dict[str, Suspects]) -> None:
    """Judge these too."""
    for network_id, one in found.items():
        kept = to.setdefault(network_id, Suspects())
        kept.addresses |= one.addresses
        kept.everybody |= one.everybody


def suspects(before: HostState, after: HostState) -> dict[str, Suspects]:
    """By network, the addresses of ports that have less rights than before, or are not here any more, or just came.

    A host that knows nothing of before, as its agent has come anew, suspects everybody.
    """
    if not before.generation:
        return {network.id: Suspects(everybody=True) for network in after.networks}
    found: dict[str, Suspects] = defaultdict(Suspects)
    narrowed = _narrowed(before.groups, after.groups)
    ports = {port.id: port for port in after.ports}
    remotes = {remote.id: remote for remote in after.remotes}
    for old in before.ports:
        new = ports.get(old.id)
        lost = _addresses(old) if new is None or _is_narrower(old, new, narrowed) else _addresses(old) - _addresses(new)
        if lost:
            found[old.network_id].addresses |= lost
    came = {port.id: port for port in after.ports} if before.remotes else {}
    for far in before.remotes:
        if far.id in came:
            found[far.network_id].addresses |= _addresses(came[far.id])
        kept = remotes[far.id].addresses if far.id in remotes else far.addresses if far.id in ports else []
        gone = set(far.addresses).difference(kept)
        if gone:
            found[far.network_id].addresses |= gone
    networks = {network.id for network in after.networks}
    return {key: one for key, one in found.items() if key in networks}


def favoured(before: HostState, after: HostState) -> dict[str, Suspects]:
    """By network, the addresses of ports that have more rights than before, or just came: who had less, seen back."""
    return suspects(after, before) if before.generation and after.generation else {}


def _addresses(port: PortState) -> set[str]:
    return {one.address for one in port.addresses} | {pair.cidr for pair in port.pairs}


def _narrowed(before: Iterable[GroupState], after: Iterable[GroupState]) -> set[str]:
    """The groups that let less pass than before."""
    now = {group.id: group for group in after}
    lost_members, narrowed = set(), set()
    for old in before:
        new = now.get(old.id)
        if new is old:
            continue
        if new is None or new.stateful != old.stateful or not set(old.rules) <= set(new.rules):
            narrowed.add(old.id)
        if new is None or not set(old.members) <= set(new.members):
            lost_members.add(old.id)
    if lost_members:
        narrowed |= {one.id for one in now.values() if any(rule.remote_group in lost_members for rule in one.rules)}
    return narrowed


def _is_narrower(old: PortState, new: PortState, narrowed: set[str]) -> bool:
    if new is old and not narrowed:
        return False
    lost = set(old.groups) - set(new.groups)
    return bool(lost) or (new.security and not old.security) or not narrowed.isdisjoint(new.groups)


def condemned(
    judge: Judge, network_id: str, suspected: Suspects, tracked: Iterable[Connection]
) -> Iterable[Connection]:
    """Those of the connections on the network that are to end.

    An address that nobody has any more takes all its connections along; one that is on another host by now, those that
    are no other port's of this host.
    """
    addresses = Addresses(suspected.addresses)
    for one in tracked:
        if one.network_id != network_id:
            continue
        accused = [end for end in one.ends if suspected.everybody or end in addresses]
        if accused and (not judge.stands(one) or (not suspected.everybody and _is_left_over(judge, one, accused))):
            yield one


def _is_left_over(judge: Judge, one: Connection, accused: list[str]) -> bool:
    for end in accused:
        if not judge.holders(one.network_id, end):
            others = [judge.holders(one.network_id, other) for other in one.ends if other != end]
            if not judge.is_elsewhere(one.network_id, end) or not any(others):
                return True
    return False


def welcome(state: HostState, offered: Iterable[Connection]) -> list[Connection]:
    """Of another host's connections those that are of ports here, and would be let begin here too.

    So nothing that another host says opens a port to anybody whom its rules do not let in.
    """
    judge = Judge(state)
    return [one for one in offered if any(judge.holders(one.network_id, end) for end in one.ends) and judge.stands(one)]
