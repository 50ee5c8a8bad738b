# SPDX-License-Identifier: Apache-2.0
"""How ports are plugged in on hosts: drivers are asked in turn, and the first that can says how."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.network.contract import PortToBind
from cumulet.services.network.logic import agents, ipam, mechanisms, routed, segments, trunk_places
from cumulet.services.network.store import bindings as store
from cumulet.services.network.store import common, lookups, trunks
from cumulet.services.network.types import DOWN, OWNER_SUBPORT, Agent, Network, Port
from cumulet.services.network.types.bindings import BINDING_FAILED, BRIDGE, UNBOUND, UNPLUGGED

_LOG = logging.getLogger(__name__)
_ASKED = ("host", "vnic_type", "profile")  # what a binding is made from
_FABRIC_DETAILS = {"port_filter": True, "connectivity": "l2"}

Vif = dict[str, Any]


def vif_type(port: Port) -> str:
    """How the port is plugged in; ports of the cloud's own, and those of the release before, are on a bridge."""
    return (port.vif_type or BRIDGE) if port.host else UNBOUND


def vif_details(port: Port) -> dict[str, Any]:
    """What whoever plugs it in has to know."""
    if not port.host:
        return {}
    return _FABRIC_DETAILS if port.vif_type is None else port.vif_details or {}


def is_plugged(port: Port) -> bool:
    """Whether a driver has bound the port to its host."""
    return vif_type(port) not in UNPLUGGED


def choose(cloud: Cloud, source: Source, port: Port, wanted: Mapping[str, Any]) -> Vif:
    """A port's columns `vif_type` and `vif_details` for a binding to the host, vnic type and profile `wanted`."""
    host = wanted["host"]
    if not host:
        return {"vif_type": None, "vif_details": None}
    agent = lookups.agent_of(source, host)
    networks = _networks(source, {port.network_id}, agent)
    return _chosen(cloud, port, wanted, agent, networks.get(port.network_id))


def changed(cloud: Cloud, tx: Tx, port: Port, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What else changes with `changes` of a port: what they bind anew, or what nothing could bind so far.

    A port that leaves its host is down until the next one says otherwise.
    """
    wanted = {name: changes.get(name, getattr(port, name)) for name in _ASKED}
    moves = wanted["host"] != port.host
    if all(wanted[name] == getattr(port, name) for name in _ASKED) and port.vif_type != BINDING_FAILED:
        return {}
    if moves and wanted["host"]:
        store.remove(tx, [port.id], wanted["host"])
    goes_down = moves and not port.device_owner.startswith("network:")
    return {**choose(cloud, tx, port, wanted), **({"status": DOWN} if goes_down else {})}


def place(cloud: Cloud, tx: Tx, ports: Iterable[Port], host: str) -> list[str]:
    """Bind ports to `host`, or to none for ""; down until it says otherwise. Answers with those that it cannot take.

    A host that is not there now is asked when it comes back (`revive`), and counts as one that can.
    """
    moved = [port for port in ports if port.host != host or port.vif_type == BINDING_FAILED]
    if not moved:
        return []
    agent = lookups.agent_of(tx, host) if host else None
    networks = _networks(tx, {port.network_id for port in moved}, agent)
    alike: dict[bytes, list[str]] = {}
    for port in moved:
        if host and getattr(networks.get(port.network_id), "routed", False) and not ipam.settled(tx, port, host):
            routed.check_host(tx, port, host)
        wanted = {"host": host, "vnic_type": port.vnic_type, "profile": port.profile}
        nothing = {"vif_type": None, "vif_details": None}
        vif = _chosen(cloud, port, wanted, agent, networks.get(port.network_id)) if host else nothing
        alike.setdefault(orjson.dumps(vif), []).append(port.id)
    refused = []
    for text, keys in alike.items():
        vif = orjson.loads(text)
        common.set_quietly(tx, Port, keys, {"host": host, "status": DOWN, **vif})
        refused += keys if vif["vif_type"] == BINDING_FAILED and _takes(agent) else []
    if host:
        store.remove(tx, [port.id for port in moved], host)
    follow(cloud, tx, moved, host)
    return refused


def follow(cloud: Cloud, tx: Tx, parents: Iterable[Port], host: str) -> None:
    """Subports go where their parents go. One that the host cannot take does not keep its parent from it."""
    listed = list(parents)
    trunk_places.hold(tx, {port.trunk_id for port in listed if port.trunk_id is not None})
    moving = trunk_places.subports(tx, listed)
    trunk_places.parted(tx, listed)
    if host:
        moving = trunk_places.taken_in(tx, [port.id for port in moving])
    try:
        place(cloud, tx, moving, host)
    except Conflict:  # an address of one of them is not to be had there
        for port in moving:
            _place_alone(cloud, tx, port, host)


def _place_alone(cloud: Cloud, tx: Tx, port: Port, host: str) -> None:
    try:
        place(cloud, tx, [port], host)
    except Conflict:
        failed = {"vif_type": BINDING_FAILED, "vif_details": {}}
        common.set_quietly(tx, Port, [port.id], {"host": host, "status": DOWN, **failed})


def revive(cloud: Cloud, tx: Tx, host: str) -> list[str]:
    """A host is there again: what nothing could plug in on it is tried anew.

    So are subports that are not where their parents are, as the release before left them; the ids of these parents.
    """
    behind = list(common.by_id(tx, Port, trunks.parents_alone(tx, host)).values())
    follow(cloud, tx, behind, host)
    for port in store.failed(tx, host):
        wanted = {name: getattr(port, name) for name in _ASKED}
        common.set_quietly(tx, Port, [port.id], choose(cloud, tx, port, wanted))
    return [port.id for port in behind]


def _networks(source: Source, keys: set[str], agent: Agent | None) -> dict[str, Network]:
    """The networks as the host carries them; none where it is not there, and none that have no segments."""
    if agent is None or not _takes(agent):
        return {}
    found = [each for each in common.by_id(source, Network, keys).values() if each.segment_count]
    return {each.id: each for each in segments.on_host(source, found, routed.leads_to(agent.configurations))}


def _takes(agent: Agent | None) -> bool:
    """Whether the host is there; one whose agent is switched off loses its routers, and takes servers all the same."""
    return agent is not None and agents.is_alive(agent)


def _chosen(cloud: Cloud, port: Port, wanted: Mapping[str, Any], agent: Agent | None, network: Network | None) -> Vif:
    untagged = port.device_owner != OWNER_SUBPORT
    if agent is not None and network is not None and (untagged or agents.can_tag(agent.configurations)):
        asked = PortToBind(
            id=port.id,
            host=wanted["host"],
            vnic_type=wanted["vnic_type"],
            profile=wanted["profile"],
            network_type=network.network_type,
            physical_network=network.segment_physical,
            segmentation_id=network.segment_number,
            offers=agent.configurations,
        )
        for name in cloud.settings.network.mechanism_drivers:
            vif = _ask(name, asked)
            if vif is not None:
                return vif
    return {"vif_type": BINDING_FAILED, "vif_details": {}}


def _ask(name: str, asked: PortToBind) -> Vif | None:
    """What the driver says; one that breaks cannot."""
    driver = mechanisms.find(name)
    if asked.vnic_type not in driver.vnic_types:
        return None
    try:
        found = driver.bind(asked)
    except Exception:
        _LOG.exception("driver %s could not be asked for port %s", name, asked.id)
        return None
    if found is None:
        return None
    return {"vif_type": found.kind, "vif_details": {**found.details, "bound_drivers": {"0": name}}}
