# SPDX-License-Identifier: Apache-2.0
"""Why a port is as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.explain import Explain, Explanation, ask_host
from cumulet.services.network.logic import agents, binding, ha, spread, trace, trunk_places
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import (
    ACTIVE,
    DOWN,
    OWNER_COMPUTE,
    OWNER_SUBPORT,
    OWNERS_INSIDE,
    Network,
    Port,
    Router,
    SecurityGroup,
)
from cumulet.services.network.types.bindings import BINDING_FAILED


def port(cloud: Cloud, key: str, asked: Mapping[str, str]) -> Explanation | None:
    """Its owner, addresses, groups, floating IPs, host, and whether it stands there.

    `asked` may name a packet of the port's: `to` (an address or a port's id), `protocol` and `number`.
    """
    found = common.find(cloud.db, Port, key)
    if found is None:
        return None
    network = common.find(cloud.db, Network, found.network_id)
    told = Explanation(
        kind="port",
        id=found.id,
        name=found.name,
        state=found.status,
        owner={"project": found.project_id},
        facts=_facts(cloud, found, network),
        parts=_parts(cloud, found),
        host=found.host,
        reported=_reported(cloud, found),
        layers=_layers(cloud, found),
        path=trace.path(cloud, found, asked["to"], asked.get("protocol", ""), asked.get("number", ""))
        if "to" in asked
        else [],
    )
    _judge(cloud, found, network, told)
    return told


def _facts(cloud: Cloud, found: Port, network: Network | None) -> dict[str, Any]:
    return {
        "network": f"{network.name} ({network.network_type})" if network is not None else None,
        "mac_address": found.mac_address,
        "admin_state_up": found.admin_state_up,
        "port_security": found.port_security_enabled,
        "device_owner": found.device_owner or None,
        "device": found.device_id or None,
        "plugged": f"{found.vnic_type} as {binding.vif_type(found)}",
        **_trunk(cloud, found),
        "created": clock.iso_z(found.created_at),
        "updated": clock.iso_z(found.updated_at),
    }


def _trunk(cloud: Cloud, found: Port) -> dict[str, str]:
    """Which trunk the port is in, and as what."""
    if found.trunk_id is None:
        return {}
    parent = trunk_places.of_parent(cloud.db, found)
    if parent is None:
        return {"trunk": f"{found.trunk_id}, as its parent"}
    tags = {each.port_id: each.segmentation_id for each in store.details(cloud.db, [parent.id])}
    return {"trunk": f"{found.trunk_id}, tag {tags.get(found.id)} of port {parent.id}"}


def _parts(cloud: Cloud, found: Port) -> list[dict[str, Any]]:
    held = addresses.of_ports(cloud.db, [found.id])[found.id]
    groups = common.by_id(cloud.db, SecurityGroup, addresses.groups_of(cloud.db, [found.id])[found.id])
    floating = lookups.floating_of_ports(cloud.db, [found.id])
    return [
        *({"kind": "subnet", "id": item.subnet_id, "address": item.address} for item in held),
        *({"kind": "security group", "id": key, "name": group.name} for key, group in groups.items()),
        *(
            {
                "kind": "floating IP",
                "id": item.id,
                "address": item.floating_ip_address,
                "status": item.status,
                "router": item.router_id,
            }
            for item in floating
        ),
    ]


def _reported(cloud: Cloud, found: Port) -> dict[str, Any]:
    said = ask_host(cloud, found.host, "network.report", {})
    if "ports" not in said:
        return said
    told: dict[str, Any] = {"stands": found.id in said["ports"], "generation": said.get("generation")}
    if found.id in said.get("failed", {}):
        told["failed"] = said["failed"][found.id]
    return told


def _layers(cloud: Cloud, found: Port) -> list[dict[str, Any]]:
    """What its packets need: first what the control plane knows, then what its host sees."""
    if not found.host:
        return [{"name": "host", "sound": False, "words": "bound to none"}]
    agent = lookups.agent_of(cloud.db, found.host)
    alive = agent is not None and agents.is_alive(agent)
    here = {"name": "host", "sound": alive, "words": f"{found.host} {'is alive' if alive else 'does not answer'}"}
    said = ask_host(cloud, found.host, "network.look", {"port": found.id})
    return [here, *said.get("layers", []), *_elsewhere(cloud, found)]


def _elsewhere(cloud: Cloud, found: Port) -> list[dict[str, Any]]:
    """Routers of its network on other hosts."""
    legs = common.find_all(cloud.db, Port, network_id=[found.network_id], device_owner=OWNERS_INSIDE)
    found_there = common.by_id(cloud.db, Router, {leg.device_id for leg in legs}).values()
    return [_router(cloud, router) for router in found_there if found.host not in spread.hosts_of(cloud.db, [router])]


def _router(cloud: Cloud, router: Router) -> dict[str, Any]:
    """Where it is, and whether anything there answers."""
    agent = lookups.agent_of(cloud.db, router.host) if router.host else None
    sound = router.admin_state_up and agent is not None and agents.is_alive(agent)
    others = [f"{host} ({state})" for host, state in ha.states(cloud.db, router)] if router.is_shared else []
    shared = f", shared by {' and '.join(others)}" if others else ""
    return {"name": "router", "sound": sound, "words": f"{router.id} on {router.host or 'no host'}{shared}"}


def _judge(cloud: Cloud, found: Port, network: Network | None, told: Explanation) -> None:
    if not found.admin_state_up or (network is not None and not network.admin_state_up):
        told.advice.append("It, or its network, is switched off (admin_state_up).")
    if not found.host:
        if found.device_owner.startswith(OWNER_COMPUTE):
            told.waiting.append("its server has no host yet")
            told.advice.append(f"cumulet explain server {found.device_id}")
        elif not found.device_id:
            told.advice.append("Nothing uses it: it comes up with a server.")
        return
    agent = lookups.agent_of(cloud.db, found.host)
    if agent is None or not agents.is_alive(agent):
        told.advice.append(f"The network counts host {found.host} as dead (openstack network agent list).")
    elif binding.vif_type(found) == BINDING_FAILED:
        told.waiting.append(f"no driver can plug in a {found.vnic_type} port on host {found.host}")
        if found.device_owner == OWNER_SUBPORT:
            told.advice.append("Trunks need a host that puts VLAN tags on frames: cumulet doctor says whether it can.")
        else:
            told.advice.append("Bind it where there is such a device, or give it another binding:vnic_type.")
    if "failed" in told.reported:
        told.waiting.append(f"the host could not make it: {told.reported['failed']}")
        told.advice.append(
            "Mend what the host names; it tries again with every change and at every start of its agent."
        )
    elif found.status == DOWN and told.reported.get("stands") is False:
        told.waiting.append("the host has not made its device: its server does not run, or is about to be plugged")
        told.advice.append(f"cumulet explain server {found.device_id}")
    elif unsound := [layer for layer in told.layers if not layer["sound"]]:
        told.waiting += [f"{layer['name']}: {layer['words']}" for layer in unsound]
        told.advice.append(
            f"The host makes good what was changed there within {cloud.settings.network.repair_interval:g} s."
        )
    elif found.status != ACTIVE and told.reported.get("stands"):
        told.waiting.append("it stands on its host; the news of that is on its way")


EXPLAINS: dict[str, Explain] = {"port": port}
