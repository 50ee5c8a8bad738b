# SPDX-License-Identifier: Apache-2.0
"""Rules that admit many networks, as an address group's do: as one rule with a set."""

from __future__ import annotations

import msgspec
from network_labs import BRIEF, Lab
from test_fabric import OPEN, STATE, A, C, started

from cumulet.services.network.drivers.fabric import filters
from cumulet.services.network.types import GroupState, HostState, RuleState

MANY = [f"198.18.{number // 256}.{number % 256}/32" for number in range(0, 1024, 2)]
NESTED = ["192.0.2.0/24", "192.0.2.128/25", "192.0.2.7/32"]


def rules(networks: list[str], version: int = 4) -> list[RuleState]:
    return [
        RuleState(direction="ingress", version=version, protocol=6, low=8080, high=8080, remote_cidr=network)
        for network in networks
    ]


def admitting(generation: int, networks: list[str]) -> HostState:
    """A is in a group that lets these networks in."""
    groups = [GroupState(id=OPEN, rules=[RuleState(direction="egress", version=4), *rules(networks)])]
    return msgspec.structs.replace(STATE, generation=generation, groups=[*groups, STATE.groups[1]])


def test_one_of_many_networks_is_let_in_and_no_other(lab: Lab):
    started(lab, A, C)
    assert lab.apply(admitting(2, [*MANY, *NESTED])).failed == {}
    assert not lab.tcp(C, "10.1.0.11", 8080, patience=BRIEF)
    assert lab.apply(admitting(3, [*MANY, "10.2.0.0/28", *NESTED])).failed == {}
    assert lab.tcp(C, "10.1.0.11", 8080)
    assert not lab.tcp(C, "10.1.0.11", 8081, patience=BRIEF), "the rules' port alone"
    assert lab.apply(admitting(4, MANY)).failed == {}
    assert not lab.tcp(C, "10.1.0.11", 8080, patience=BRIEF)
    assert lab.apply(admitting(5, ["10.2.0.13/32"])).failed == {}
    assert lab.tcp(C, "10.1.0.11", 8080)


def test_networks_of_like_rules_stand_in_one():
    wide = [*rules([*NESTED, "10.0.0.0/8"]), *rules(["0.0.0.0/0"]), *rules(["fd00::7/128", "fd00::9/128"], 6)]
    chain = filters.BridgeTable().of(HostState(groups=[GroupState(id=OPEN, rules=wide)])).chains[f"i-{OPEN}"]
    assert chain == (
        "ether type ip ip saddr { 10.0.0.0-10.255.255.255, 192.0.2.0-192.0.2.255 } tcp dport 8080 accept",
        "ether type ip tcp dport 8080 accept",
        "ether type ip6 ip6 saddr { fd00::7, fd00::9 } tcp dport 8080 accept",
    )
