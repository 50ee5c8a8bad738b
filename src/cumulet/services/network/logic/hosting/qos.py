# SPDX-License-Identifier: Apache-2.0
"""QoS rules in hosts' states: what each server's port is held to."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import HostState, QosRule, ShapeState, qos

_NAME = "qos"


class Shapes(Feature):
    """The port's own policy, or else its network's: limits and marks; minimums are placement's affair."""

    def __init__(self) -> None:
        self.concerns = {QosRule: _of_rules}

    def take(self, source: Source, rows: Snapshot) -> None:
        used = {key for key in _policies(rows).values() if key is not None}
        if used:
            rows.more[_NAME] = store.rules_of(source, used)

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        rules = rows.more.get(_NAME)
        if not rules:
            return state
        policies = _policies(rows)
        ports = [
            msgspec.structs.replace(port, shapes=shapes_of(rules.get(policies[port.id] or "", [])))
            for port in state.ports
        ]
        return msgspec.structs.replace(state, ports=ports)


def _policies(rows: Snapshot) -> dict[str, str | None]:
    """Each port's policy."""
    inherited = {network.id: network.qos_policy_id for network in rows.networks.values()}
    return {port.id: port.qos_policy_id or inherited.get(port.network_id) for port in rows.bound}


def shapes_of(rules: list[QosRule]) -> list[ShapeState]:
    """What a policy's rules ask of the hosts of its ports."""
    return [shape for rule in rules if (shape := _shape(rule)) is not None]


def _shape(rule: QosRule) -> ShapeState | None:
    direction = rule.direction or qos.EGRESS
    match rule.type:
        case qos.BANDWIDTH_LIMIT:
            rate, burst = rule.max_kbps, rule.max_burst_kbps
        case qos.PACKET_RATE_LIMIT:
            rate, burst = rule.max_kpps, rule.max_burst_kpps
        case qos.DSCP_MARKING:
            rate, burst = rule.dscp_mark, 0
        case _:
            return None
    return ShapeState(type=rule.type, direction=direction, rate=rate or 0, burst=burst or 0)


def _of_rules(source: Source, keys: set[str]) -> set[str]:
    policies = {rule.qos_policy_id for rule in common.by_id(source, QosRule, keys).values()}
    return {port.host for port in store.ports_under(source, policies)} - {""}
