# SPDX-License-Identifier: Apache-2.0
"""What QoS policies promise to ports: what of it is asked of placement, and what servers hold there for their ports.

A port asks by groups, one for the bandwidth and one for the packets of its policy. Where it is bound, its profile's
`allocation` says which provider serves each of the groups.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotFound, Unsupported
from cumulet.services.network import contract
from cumulet.services.network.logic import port_devices
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common, lookups
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import Network, Port, QosRule, qos
from cumulet.services.placement.contract import PlacementContract

ALLOCATION = "allocation"
ANY_RATE = "NET_PACKET_RATE_KILOPACKET_PER_SEC"
CLASSES = {
    (qos.MINIMUM_BANDWIDTH, qos.INGRESS): "NET_BW_IGR_KILOBIT_PER_SEC",
    (qos.MINIMUM_BANDWIDTH, qos.EGRESS): "NET_BW_EGR_KILOBIT_PER_SEC",
    (qos.MINIMUM_PACKET_RATE, qos.INGRESS): "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
    (qos.MINIMUM_PACKET_RATE, qos.EGRESS): "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
    (qos.MINIMUM_PACKET_RATE, qos.ANY): ANY_RATE,
}
TUNNEL_TRAIT = "CUSTOM_NETWORK_TUNNEL_PROVIDER"

# Amounts by class by provider.
Claims = dict[str, dict[str, int]]


class Group(msgspec.Struct, frozen=True):
    """What a port asks of one provider, by rules of one type. The id is the same while the port and its rules are."""

    id: str
    resources: dict[str, int]


def trait(name: str) -> str:
    """A trait's name as placement takes it."""
    return "CUSTOM_" + "".join(char if char.isascii() and char.isalnum() else "_" for char in name.upper())


# What ports ask for.


def shown(source: Source, ports: list[Port], policies: list[str | None]) -> list[dict[str, Any] | None]:
    """Each port's `resource_request` by the minimums of its policy, None where that has none."""
    found = {each.port_id: each for each in _requests(source, ports, policies)}
    return [_shown(found[port.id]) if port.id in found else None for port in ports]


def of_server(source: Source, server_id: str) -> list[contract.ResourceRequest]:
    """What the server's ports ask for, in the order of attachment; those that ask for nothing are left out."""
    ports = lookups.server_ports(source, [server_id])
    found = {one.port_id: _without_nothing(one) for one in _requests(source, ports, _policies(source, ports))}
    devices = port_devices.wishes(source, ports)
    whole = [
        contract.ResourceRequest(
            port_id=port.id, groups=found[port.id].groups if port.id in found else {}, device=devices.get(port.id)
        )
        for port in ports
        if port.id in found or port.id in devices
    ]
    return [each for each in whole if each.groups or each.device is not None]


def asking(source: Source, policies: Mapping[str, str | None]) -> set[str]:
    """The ports, of these with their policies, that ask for anything."""
    return {port for port, rules in zip(policies, _placed(source, list(policies.values())), strict=True) if rules}


# What servers hold for them.


def held(source: Source, server_ids: list[str]) -> dict[str, Claims]:
    """What each server holds for its ports; servers that hold nothing for them are left out."""
    ports = [port for port in lookups.server_ports(source, server_ids) if _given(port)]
    found: dict[str, Claims] = {}
    for port, rules in zip(ports, _placed(source, _policies(source, ports)), strict=True):
        for provider, amounts in _claims(port, _groups(port, rules)).items():
            _count(found.setdefault(port.device_id, {}).setdefault(provider, {}), amounts, 1)
    return found


def note(tx: Tx, ports: list[Port], given: Mapping[str, str]) -> list[Port]:
    """Write down which provider serves each group that the ports ask for; ports of which none is said get none.

    The ports as they are then.
    """
    noted = []
    asked = {one.port_id: one.groups for one in _requests(tx, ports, _policies(tx, ports))} if given else {}
    for port in ports:
        mine = {key: given[key] for key in asked.get(port.id, ()) if key in given}
        if mine != _given(port):
            rest = {name: value for name, value in port.profile.items() if name != ALLOCATION}
            profile = {**rest, ALLOCATION: mine} if mine else rest
            common.set_quietly(tx, Port, [port.id], {"profile": profile})
            port = msgspec.structs.replace(port, profile=profile)
        noted.append(port)
    return noted


def without(port: Port) -> dict[str, Any]:
    """What changes of a port that leaves its server: the columns."""
    if ALLOCATION not in (port.profile or ()):
        return {}
    return {"profile": {name: value for name, value in port.profile.items() if name != ALLOCATION}}


def repoliced(cloud: Cloud, tx: Tx, port: Port, old: str | None, new: str | None) -> dict[str, Any] | None:
    """Let the port's server hold what another policy asks for; the port's profile then, None where that stays.

    Only types of rules that a provider serves already are followed; so are none of a port that had no minimums when it
    was bound. QosPlacementAllocationUpdateConflict where there is no room.
    """
    given = _given(port)
    if old == new or not given:
        return None
    before, after = _placed(tx, [old, new])
    if not before:
        return None
    was, now = _groups(port, before), _groups(port, after)
    difference: Claims = {}
    kept: dict[str, str] = {}
    for type_, group in was.items():
        provider = given.get(group.id)
        if provider is None:
            continue
        amounts = difference.setdefault(provider, {})
        _count(amounts, group.resources, -1)
        if type_ in now:
            _check_directions(group, now[type_])
            kept[now[type_].id] = provider
            _count(amounts, now[type_].resources, 1)
    _change(cloud, tx, port.device_id, difference)
    return {**port.profile, ALLOCATION: kept}


def of_network(cloud: Cloud, tx: Tx, network: Network, new: str | None) -> None:
    """The same for a network's ports, which inherit its policy."""
    if network.qos_policy_id == new:
        return
    for port in store.ports_without(tx, network.id):
        profile = repoliced(cloud, tx, port, network.qos_policy_id, new)
        if profile is not None:
            common.set_quietly(tx, Port, [port.id], {"profile": profile})


def of_port(cloud: Cloud, tx: Tx, port: Port, new: str | None) -> dict[str, Any]:
    """What else changes with the port's own policy: the columns."""
    if not _given(port):
        return {}
    (old,) = _policies(tx, [port])
    (inherited,) = _policies(tx, [msgspec.structs.replace(port, qos_policy_id=None)])
    profile = repoliced(cloud, tx, port, old, new or inherited)
    return {} if profile is None else {"profile": profile}


def give_back(cloud: Cloud, tx: Tx, ports: Iterable[Port]) -> None:
    """The ports leave their servers, which hold nothing for them any more."""
    leaving = [port for port in ports if _given(port)]
    for port, rules in zip(leaving, _placed(tx, _policies(tx, leaving)), strict=True):
        claims = _claims(port, _groups(port, rules))
        less = {provider: {name: -amount for name, amount in amounts.items()} for provider, amounts in claims.items()}
        try:
            cloud.contracts.use(PlacementContract).add_to_claim(tx, port.device_id, less)
        except NotFound:
            continue  # the server is gone, and all that it held


# Inside.


def _given(port: Port) -> dict[str, str]:
    """Who serves the port's groups; nonsense that somebody wrote into its profile counts as nobody."""
    found = port.profile.get(ALLOCATION) if port.profile else None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _policies(source: Source, ports: Sequence[Port]) -> list[str | None]:
    """Each port's policy: its own, or its network's."""
    inheriting = {port.network_id for port in ports if port.qos_policy_id is None}
    networks = common.by_id(source, Network, inheriting) if inheriting else {}
    return [
        port.qos_policy_id or (networks[port.network_id].qos_policy_id if port.network_id in networks else None)
        for port in ports
    ]


def _requests(source: Source, ports: Sequence[Port], policies: Sequence[str | None]) -> list[contract.ResourceRequest]:
    placed = _placed(source, policies)
    asking = {port.network_id for port, mine in zip(ports, placed, strict=True) if mine}
    networks = common.by_id(source, Network, asking) if asking else {}
    return [
        _request(port, networks[port.network_id], _groups(port, mine))
        for port, mine in zip(ports, placed, strict=True)
        if mine
    ]


def _request(port: Port, network: Network, groups: Mapping[str, Group]) -> contract.ResourceRequest:
    wire = trait(f"PHYSNET_{network.segment_physical}") if network.segment_physical else TUNNEL_TRAIT
    vnic = trait(f"VNIC_TYPE_{port.vnic_type}")
    required = {qos.MINIMUM_BANDWIDTH: [wire, vnic], qos.MINIMUM_PACKET_RATE: [vnic]}
    return contract.ResourceRequest(
        port_id=port.id,
        groups={
            group.id: contract.ResourceGroup(resources=group.resources, required=required[type_])
            for type_, group in groups.items()
        },
    )


def _shown(request: contract.ResourceRequest) -> dict[str, Any]:
    groups = [
        {"id": key, "required": group.required, "resources": group.resources} for key, group in request.groups.items()
    ]
    return {"request_groups": groups, "same_subtree": list(request.groups)}


def _placed(source: Source, policies: Sequence[str | None]) -> list[list[QosRule]]:
    """The minimums of each policy."""
    named = {key for key in policies if key is not None}
    rules = store.rules_of(source, named) if named else {}
    return [[rule for rule in rules.get(key or "", ()) if rule.type in qos.PLACED] for key in policies]


def _without_nothing(request: contract.ResourceRequest) -> contract.ResourceRequest:
    """The request without rules that promise nothing, which placement has no words for."""
    groups = {
        key: msgspec.structs.replace(group, resources=some)
        for key, group in request.groups.items()
        if (some := {name: amount for name, amount in group.resources.items() if amount})
    }
    return msgspec.structs.replace(request, groups=groups)


def _groups(port: Port, rules: Sequence[QosRule]) -> dict[str, Group]:
    """The port's groups by the type of their rules."""
    found = {}
    for type_ in qos.PLACED:
        mine = [rule for rule in rules if rule.type == type_]
        if mine:
            key = uuid.uuid5(uuid.UUID(port.id), ":".join(rule.id for rule in mine))
            amounts = {CLASSES[type_, str(rule.direction)]: rule.min_kbps or rule.min_kpps or 0 for rule in mine}
            found[type_] = Group(str(key), amounts)
    return found


def _claims(port: Port, groups: Mapping[str, Group]) -> Claims:
    """What the port's server holds for it."""
    given, found = _given(port), dict[str, dict[str, int]]()
    for group in groups.values():
        if group.id in given:
            _count(found.setdefault(given[group.id], {}), group.resources, 1)
    return found


def _count(amounts: dict[str, int], more: Mapping[str, int], sign: int) -> None:
    for name, amount in more.items():
        amounts[name] = amounts.get(name, 0) + sign * amount


def _check_directions(was: Group, now: Group) -> None:
    """Packets of any direction and packets of one are counted apart, by other processors of a host."""
    rates = {name for name in (*was.resources, *now.resources) if name.startswith("NET_PACKET_RATE")}
    if ANY_RATE in rates and len(rates) > 1:
        raise Unsupported(
            "Changing from direction-less QoS minimum packet rate rule to a direction-oriented minimum packet rate "
            "rule, or vice versa, is not supported.",
            code="NotImplementedError",
        )


def _change(cloud: Cloud, tx: Tx, server_id: str, difference: Claims) -> None:
    told = {
        provider: changed
        for provider, amounts in difference.items()
        if (changed := {name: amount for name, amount in amounts.items() if amount})
    }
    if not told:
        return
    try:
        cloud.contracts.use(PlacementContract).add_to_claim(tx, server_id, told)
    except Conflict as error:
        raise fault("QosPlacementAllocationUpdateConflict", alloc_diff=told, consumer=server_id) from error
    except NotFound as error:
        provider = error.fields.get("provider")
        if provider is None:
            raise fault("PlacementAllocationRemoved", consumer=server_id) from error
        raise fault("PlacementAllocationRpNotExists", resource_provider=provider, consumer=server_id) from error
