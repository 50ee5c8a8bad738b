# SPDX-License-Identifier: Apache-2.0
"""QoS rules in hosts' states: what each server's port, and each external address, is held to."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic import spread
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import HostState, QosRule, Router, RouterState, ShapeState, qos

_NAME = "qos"


class Shapes(Feature):
    """Limits and marks of a port's own policy, or else its network's; limits of floating IPs and gateways.

    A gateway's port is its network's too. Minimums are placement's affair.
    """

    def __init__(self) -> None:
        self.concerns = {QosRule: _of_rules}

    def take(self, source: Source, rows: Snapshot) -> None:
        used = {*_policies(rows).values(), *(each.qos_policy_id for each in rows.floating)}
        used |= {policy for router in rows.routers for policy in (router.gateway_qos_policy_id, _around(rows, router))}
        if used - {None}:
            rows.more[_NAME] = store.rules_of(source, {key for key in used if key is not None})

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        rules = rows.more.get(_NAME)
        if not rules:
            return state
        policies = _policies(rows)
        ports = [
            msgspec.structs.replace(port, shapes=shapes_of(rules.get(policies[port.id] or "", [])))
            for port in state.ports
        ]
        routers = [
            msgspec.structs.replace(router, shapes=_outside(rows, router, rules)) if router.gateway else router
            for router in state.routers
        ]
        return msgspec.structs.replace(state, ports=ports, routers=routers)


def _policies(rows: Snapshot) -> dict[str, str | None]:
    """Each port's policy."""
    inherited = {network.id: network.qos_policy_id for network in rows.networks.values()}
    return {port.id: port.qos_policy_id or inherited.get(port.network_id) for port in rows.bound}


def _outside(rows: Snapshot, router: RouterState, rules: dict[str, list[QosRule]]) -> dict[str, list[ShapeState]]:
    """The limits of the router's external addresses."""
    row = next(each for each in rows.routers if each.id == router.id)
    own = router.gateway.leg.addresses if router.gateway is not None else []
    policies = {text.split("/")[0]: row.gateway_qos_policy_id for text in own}
    policies |= {each.floating_ip_address: each.qos_policy_id for each in rows.floating if each.router_id == router.id}
    whole = shapes_of(rules.get(_around(rows, row) or "", []))
    found = {"": whole} if whole else {}
    for address, policy in sorted(policies.items()):
        limits = [rule for rule in rules.get(policy or "", []) if rule.type == qos.BANDWIDTH_LIMIT]
        if limits:
            found[address] = shapes_of(limits)
    return found


def _around(rows: Snapshot, router: Router) -> str | None:
    """The policy of the network that the router's gateway is on."""
    network = rows.networks.get(router.gateway_network_id or "")
    return network.qos_policy_id if network is not None else None


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
    ports, routers = store.ports_under(source, policies), store.routers_of_policies(source, policies)
    return ({port.host for port in ports} | spread.hosts_of(source, routers)) - {""}
