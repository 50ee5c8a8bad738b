# SPDX-License-Identifier: Apache-2.0
"""Ports in hosts' states that are plugged in beside the fabric: what their devices, or their switch, have to know."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import BoundPort, HostState, Network, QosRule, qos
from cumulet.services.network.types.plugs import MACVTAP, PlugState

_NETWORKS, _RULES = "plugs.networks", "plugs.rules"
_KILO = 1000  # kbit of a Mbit


class Plugs(Feature):
    """The ports' networks and the rules of their policies; nothing is asked where there are no such ports."""

    def take(self, source: Source, rows: Snapshot) -> None:
        if not rows.plugged:
            return
        networks = common.by_id(source, Network, {port.network_id for port in rows.plugged})
        used = {_policy(port, networks) for port in rows.plugged} - {None}
        rows.more[_NETWORKS] = networks
        rows.more[_RULES] = store.rules_of(source, {key for key in used if key is not None}) if used else {}

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        networks: dict[str, Network] = rows.more.get(_NETWORKS, {})
        if not networks:
            return state
        plugs = [
            _plug(port, networks[port.network_id], rows.more[_RULES].get(_policy(port, networks) or "", []))
            for port in sorted(rows.plugged, key=lambda port: port.id)
            if port.network_id in networks
        ]
        return msgspec.structs.replace(state, plugs=plugs)


def _plug(port: BoundPort, network: Network, rules: list[QosRule]) -> PlugState:
    details = port.vif_details or {}
    tag = str(details.get("vlan") or network.segment_number or 0)
    return PlugState(
        id=port.id,
        kind=port.vif_type or "",
        mac=port.mac_address,
        physical=network.segment_physical or "",
        vlan=int(tag) if tag.isdecimal() else 0,
        mtu=network.mtu,
        up=port.admin_state_up and network.admin_state_up,
        device=str(port.profile.get("pci_slot") or ""),
        tap=port.vnic_type == MACVTAP,
        checked=port.port_security_enabled,
        trusted=bool(port.trusted or port.profile.get("trusted")),
        least=_rate(rules, qos.MINIMUM_BANDWIDTH),
        most=_rate(rules, qos.BANDWIDTH_LIMIT),
        socket=str(details.get("vhostuser_socket") or ""),
    )


def _policy(port: BoundPort, networks: dict[str, Network]) -> str | None:
    network = networks.get(port.network_id)
    return port.qos_policy_id or (network.qos_policy_id if network is not None else None)


def _rate(rules: list[QosRule], type_: str) -> int:
    """What the rules of the type say of what is sent, in whole Mbit/s, one at least: cards know no less."""
    for rule in rules:
        amount = rule.min_kbps if type_ == qos.MINIMUM_BANDWIDTH else rule.max_kbps
        if rule.type == type_ and rule.direction != qos.INGRESS and amount:
            return max(1, amount // _KILO)
    return 0
