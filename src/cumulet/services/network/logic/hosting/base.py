# SPDX-License-Identifier: Apache-2.0
"""The rows of which a host's state is compiled, and how a family of resources adds to both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.types import (
    Allocation,
    BoundPort,
    FarPort,
    FloatingIp,
    HostState,
    Network,
    Port,
    Router,
    SecurityGroupRule,
    Subnet,
)

# The hosts whose state holds something of the rows with these ids.
Concern: TypeAlias = Callable[[Source, set[str]], set[str]]


class Snapshot(msgspec.Struct, kw_only=True):
    """The rows that matter to one host, of the name `host`.

    `bound` are servers' ports in the fabric there, `plugged` those beside it, `legs` routers' ports by router id (the
    gateway's among them), `services` the networks' own ports by network id. `members` are the addresses of all ports of
    the groups named by rules. `far` are the ports of its tunnelled networks on other hosts, `far_addresses` theirs by
    port, `endpoints` all hosts' own. `domain` is that of all ports' names. `more` is what features took, each under a
    name of its own.
    """

    networks: dict[str, Network]
    subnets: dict[str, Subnet]
    bound: list[BoundPort]
    groups_of: dict[str, list[str]]
    rules: dict[str, list[SecurityGroupRule]]
    members: dict[str, list[str]]
    routers: list[Router]
    legs: dict[str, list[Port]]
    floating: list[FloatingIp]
    services: dict[str, Port]
    allocations: dict[str, list[Allocation]]
    plugged: list[BoundPort] = []
    far: list[FarPort] = []
    far_addresses: dict[str, list[str]] = {}
    endpoints: dict[str, str] = {}
    domain: str = ""
    host: str = ""
    more: dict[str, Any] = {}


class Feature:
    """A family's part in hosts' states. Every method does nothing unless it is overridden.

    `concerns` says for the family's own rows which hosts a change of them concerns.
    """

    concerns: Mapping[type, Concern] = {}

    def take(self, source: Source, rows: Snapshot) -> None:
        """Put the family's rows into `rows.more`; asks the database for nothing that cannot be there."""

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        """The state with what follows from the family's rows: objects of its kind, or fields of others'. Pure."""
        return state
