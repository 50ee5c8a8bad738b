# SPDX-License-Identifier: Apache-2.0
"""What hosts are told to count, and what they say that they have counted."""

from __future__ import annotations

import ipaddress

import msgspec

from cumulet.services.network.types.metering import EGRESS


class MeterRuleState(msgspec.Struct, kw_only=True, frozen=True):
    """Packets that pass a router's gateway in this `direction`, from `source` to `destination` (CIDRs, "" for any).

    Addresses are those behind the router: after translation of what comes in, before that of what goes out.
    """

    direction: str = EGRESS
    excluded: bool = False
    source: str = ""
    destination: str = ""

    def matches(self, direction: str, source: str, destination: str) -> bool:
        """Whether such a packet is meant."""
        pairs = ((self.source, source), (self.destination, destination))
        return direction == self.direction and all(_within(address, cidr) for cidr, address in pairs)


class MeterState(msgspec.Struct, kw_only=True, frozen=True):
    """A label that a router counts for; a packet counts once, unless an excluded rule means it."""

    id: str
    project_id: str
    rules: list[MeterRuleState] = []

    def counts(self, direction: str, source: str, destination: str) -> bool:
        """Whether such a packet counts."""
        meant = [rule.excluded for rule in self.rules if rule.matches(direction, source, destination)]
        return bool(meant) and not any(meant)


class MeterReading(msgspec.Struct, kw_only=True, frozen=True):
    """What a router has counted for a label since its counters came to be; `born` names those."""

    router_id: str
    label_id: str
    project_id: str
    born: str
    packets: int
    bytes: int


class Metered(msgspec.Struct, kw_only=True):
    """What a host has counted for a label and a project since its last report; moments in seconds of the epoch."""

    label_id: str
    project_id: str
    pkts: int = 0
    bytes: int = 0
    time: int = 0
    first_update: int
    last_update: int


def _within(address: str, cidr: str) -> bool:
    return not cidr or ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
