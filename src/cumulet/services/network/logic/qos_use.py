# SPDX-License-Identifier: Apache-2.0
"""QoS policies on what they are attached to: who may attach them, and what hosts must be able to hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, agents
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import Port, QosPolicy, QosRule, qos

_FABRICS = "normal"  # the vnic type of ports that the fabric holds to rules
# What cards hold their virtual functions to: of limits, only what guests send.
_CARDS, _OF_CARDS = ("direct", "macvtap"), (qos.BANDWIDTH_LIMIT, qos.MINIMUM_BANDWIDTH)
_MOST = 2**31 - 1
_AMOUNT = {"parameter_type": "range", "parameter_values": {"start": 0, "end": _MOST}}


def lock(tx: Tx, policy_id: str) -> None:
    """Hold a policy as it is, with its rules and users, till the commit."""
    tx.lock(f"network:qos:{policy_id}")


# Attaching.


def attach(tx: Tx, ctx: Context, policy_id: str) -> QosPolicy:
    """The policy, which the caller must see and which stays until the commit."""
    lock(tx, policy_id)
    return access.get(tx, ctx, QosPolicy, policy_id)


def check_change(tx: Tx, ctx: Context, old: str | None, new: str | None) -> None:
    """What may be seen may be attached, and what may be seen may be taken away."""
    if old is not None and access.find(tx, ctx, QosPolicy, old) is None:
        raise fault("PolicyRemoveAuthorizationError", policy_id=old)
    if new is not None:
        attach(tx, ctx, new)


def with_default(tx: Tx, ctx: Context, project_id: str, policy_id: str | None) -> str | None:
    """The policy of a new network: the one asked for, or its project's default."""
    if policy_id is None:
        default = store.default_of(tx, project_id)
        policy_id = default.id if default is not None else None
    if policy_id is not None:
        attach(tx, ctx, policy_id)
    return policy_id


def check_network(tx: Tx, network_id: str, policy_id: str) -> None:
    """Some host can hold each rule of the policy; and so can those of the network's ports that it is to rule."""
    rules = store.rules_of(tx, [policy_id])[policy_id]
    supported = set().union(*drivers(tx).values()) if rules else set()
    for rule in rules:
        if rule.type not in supported:
            raise fault("QosRuleNotSupportedByNetwork", rule_type=rule.type, network_id=network_id)
    if rules:
        check_ports(tx, rules, store.ports_without(tx, network_id))


def check_port(tx: Tx, port: Port, policy_id: str | None) -> None:
    """The port's host, or any while it has none that is known, can hold each rule of the policy."""
    if policy_id is not None:
        check_ports(tx, store.rules_of(tx, [policy_id])[policy_id], [port])


def check_ports(tx: Tx, rules: list[QosRule], ports: Iterable[Port]) -> None:
    """QosRuleNotSupported for the first port whose host cannot hold it to one of the rules."""
    listed = list(ports)
    if not listed or not rules:
        return
    hosts = _by_host(tx)
    anywhere = set().union(*hosts.values())
    for port in listed:
        held = hosts.get(port.host, anywhere)
        for rule in rules:
            if not _holds(rule, port, held):
                raise fault("QosRuleNotSupported", rule_type=rule.type, port_id=port.id)


def _holds(rule: QosRule, port: Port, held: set[str]) -> bool:
    """Whether the port can be held to the rule where hosts say that they hold theirs to rules of the types `held`."""
    if port.vnic_type in _CARDS:
        is_limit = rule.type == qos.BANDWIDTH_LIMIT
        return rule.type in _OF_CARDS and not (is_limit and rule.direction == qos.INGRESS)
    return port.vnic_type == _FABRICS and rule.type in held


# What hosts can do.


def _by_host(source: Source) -> dict[str, set[str]]:
    """The types of rules that each host holds its ports to, as it said itself."""
    return {agent.host: _held(agent.configurations) for agent in agents.hosts(source)}


def drivers(source: Source) -> dict[str, set[str]]:
    """The same by the driver of hosts: all that any host with it can do."""
    found: dict[str, set[str]] = {}
    for agent in agents.hosts(source):
        name = _capabilities(agent.configurations).get("driver")
        if isinstance(name, str):
            found.setdefault(name, set()).update(_held(agent.configurations))
    return found


def rule_types(source: Source, *, all_supported: bool, all_rules: bool) -> list[str]:
    """The types of rules: all that there are, that any driver can do, or that every driver can."""
    if all_rules:
        return list(qos.PARAMETERS)
    able = list(drivers(source).values())
    if not able:
        return []
    chosen = set.union(*able) if all_supported else set.intersection(*able)
    return [type_ for type_ in qos.PARAMETERS if type_ in chosen]


def driver_details(source: Source, type_: str) -> list[dict[str, Any]]:
    """The drivers that hold ports to rules of the type, with the values that its parameters may have."""
    parameters = [{"parameter_name": name, **_values(type_, name)} for name in qos.PARAMETERS[type_]]
    return [
        {"name": name, "supported_parameters": parameters}
        for name, able in sorted(drivers(source).items())
        if type_ in able
    ]


def _values(type_: str, parameter: str) -> dict[str, Any]:
    if parameter == "direction":
        directions = (qos.ANY, *qos.DIRECTIONS) if type_ == qos.MINIMUM_PACKET_RATE else qos.DIRECTIONS
        return {"parameter_type": "choices", "parameter_values": list(directions)}
    if parameter == "dscp_mark":
        return {"parameter_type": "choices", "parameter_values": list(qos.DSCP_MARKS)}
    return _AMOUNT


def _capabilities(configurations: Mapping[str, Any]) -> Mapping[str, Any]:
    found = configurations.get("capabilities")
    return found if isinstance(found, dict) else {}


def _held(configurations: Mapping[str, Any]) -> set[str]:
    return set(_capabilities(configurations).get("qos_rules") or ())
