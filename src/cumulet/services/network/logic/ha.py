# SPDX-License-Identifier: Apache-2.0
"""Routers that several hosts share (HA): which hosts those are, and what they say of it.

One forwards, the others stand by, and the hosts agree on that among themselves. `Router.host` is the one that said so
last: the router's ports are bound to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import agent_kinds, agents, distributed, scheduling
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import common, lookups
from cumulet.services.network.store import ha as store
from cumulet.services.network.types import (
    OWNER_DISTRIBUTED_INTERFACE,
    OWNER_HA_INTERFACE,
    OWNER_ROUTER_INTERFACE,
    TUNNEL,
    Agent,
    Network,
    Port,
    Router,
)
from cumulet.services.network.types.ha import HA_ACTIVE, STANDBY, UNKNOWN, HaNetwork, RouterPlace


def settled(cloud: Cloud, values: dict[str, Any]) -> dict[str, Any]:
    """A new router's attributes, with what the cloud says where nobody else does."""
    usual = {"ha": cloud.settings.network.l3_ha, "distributed": cloud.settings.network.router_distributed}
    return {**values, **{name: usual[name] if values.get(name) is None else values[name] for name in usual}}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """A change of a router without what says nothing."""
    return {name: value for name, value in values.items() if name not in ("ha", "distributed") or value is not None}


def check_change(router: Router, values: dict[str, Any], *, up: bool) -> None:
    """Refuse to make a router HA, or not, that will be `up`."""
    if values.get("ha") is not None and values["ha"] != router.ha and up:
        reason = "Please set router admin_state_up to False prior to upgrade"
        raise bad("router", f"Cannot change HA attribute of active routers. {reason}")


def owner_inside(router: Router) -> str:
    """The owner of the router's ports inside."""
    if router.distributed:
        return OWNER_DISTRIBUTED_INTERFACE
    return OWNER_HA_INTERFACE if router.ha else OWNER_ROUTER_INTERFACE


def spread(cloud: Cloud, tx: Tx, router: Router) -> None:
    """Let a router be on as many hosts as it should: on one, unless it is HA."""
    held = store.places(tx, [router.id])[router.id]
    if router.is_shared:
        fill(cloud, tx, router)
    elif held:
        store.remove(tx, router.id, [place.host for place in held])
    legs = lookups.router_interfaces(tx, [router.id])
    owner = owner_inside(router)
    common.set_quietly(tx, Port, [leg.id for leg in legs if leg.device_owner != owner], {"device_owner": owner})
    _note_reach(tx, router)
    distributed.settle_snat(tx, router.id)


def reached(tx: Tx, router: Router) -> None:
    """Note which networks the router reaches, if that is on several hosts; called when its ports have changed.

    One that is on a single host, or has a central one, goes where its networks are.
    """
    now = common.find(tx, Router, router.id) if router.ha or router.distributed else None
    if now is not None:
        _note_reach(tx, now)
        distributed.settle_snat(tx, now.id)
    if router.is_shared:
        _follow_wires(tx, router)
    else:
        scheduling.reconsider(tx, router)


def _follow_wires(tx: Tx, router: Router) -> None:
    """Take a router off those of its hosts that lack a wire of its networks, if there are others that have it."""
    wires = lookups.wires_of(tx, router.id)
    if not wires:
        return
    tx.lock(f"network:router-places:{router.id}")
    held = store.places(tx, [router.id])[router.id]
    known = {agent.host: agent for agent in common.find_all(tx, Agent)}
    lacking = [one.host for one in held if one.host in known and not scheduling.has_wires(known[one.host], wires)]
    there = {one.host for one in held}
    able = [each.host for each in scheduling.sharing(tx, router.zones) if scheduling.has_wires(each, wires)]
    spare = [host for host in able if host not in there][: len(lacking)]
    if not lacking or not (spare or len(lacking) < len(held)):
        return
    first = max(one.rank for one in held) + 1
    store.remove(tx, router.id, lacking)
    store.add(tx, *(RouterPlace(router.id, host, first + at, STANDBY) for at, host in enumerate(spare)))
    now = common.find(tx, Router, router.id)
    if now is not None and now.host in lacking:
        scheduling.move(tx, router.id, store.places(tx, [router.id])[router.id][0].host)


def reach_of(source: Source, router: Router) -> set[str]:
    """The networks on which the router is on several hosts.

    A distributed one is on none where any network inside is not a tunnel: switches that learn would hear the same MACs
    from everywhere. It is on its central host alone then.
    """
    found = store.networks_of(source, router.id) if router.ha or router.distributed else set()
    if found and router.distributed:
        inside = found - set(router.gateway_networks)
        kinds = {network.network_type for network in common.by_id(source, Network, inside).values()}
        return found if kinds <= {TUNNEL} else set()
    return found


def _note_reach(tx: Tx, router: Router) -> None:
    known, wanted = store.reaching(tx, router.id), reach_of(tx, router)
    if known - wanted:
        store.leave(tx, router.id, known - wanted)
    store.reach(tx, router.id, sorted(wanted - known))


def fill(cloud: Cloud, tx: Tx, router: Router) -> bool:
    """Give an HA router the hosts that it lacks, as far as there are any; whether it got one."""
    tx.lock(f"network:router-places:{router.id}")
    held = store.places(tx, [router.id])[router.id]
    most = cloud.settings.network.max_l3_agents_per_router
    there = {place.host for place in held}
    wires = lookups.wires_of(tx, router.id)
    having = (agent for agent in scheduling.sharing(tx, router.zones) if scheduling.has_wires(agent, wires))
    able = [agent.host for agent in having if agent.host not in there]
    able.sort(key=lambda host: host != router.host)  # stable: where it is comes first
    new = able[: max(0, most - len(held))] if most else able  # by hand it may have got more
    first = max((place.rank for place in held), default=-1) + 1
    store.add(tx, *(RouterPlace(router.id, host, first + at, STANDBY) for at, host in enumerate(new)))
    if router.host not in {*there, *new} and (there or new):
        scheduling.move(tx, router.id, [*(place.host for place in held), *new][0])
    return bool(new)


def fill_all(cloud: Cloud, tx: Tx) -> list[str]:
    """A host has come: the ids of the HA routers that have more hosts now."""
    return [
        router.id for router in common.find_all(tx, Router, ha=[True]) if router.is_shared and fill(cloud, tx, router)
    ]


def said(tx: Tx, host: str, active: Iterable[str]) -> list[str]:
    """A host says which of its shared routers forward there; the ids of those that are elsewhere than was known.

    Of two that both say so, the one that says it last counts.
    """
    named, news = set(active), []
    for place in store.places_on(tx, [host]):
        state = HA_ACTIVE if place.router_id in named else STANDBY
        if place.state != state:
            store.say(tx, place, state)
        router = common.find(tx, Router, place.router_id)
        if state == STANDBY or router is None or router.host == host:
            continue
        if place.state != state or not _says_so(tx, router):
            scheduling.move(tx, router.id, host)
            news.append(router.id)
    return news


def _says_so(source: Source, router: Router) -> bool:
    """Whether the router's host has said that it forwards there."""
    held = store.places(source, [router.id])[router.id]
    return any(place.host == router.host and place.state == HA_ACTIVE for place in held)


def states(source: Source, router: Router) -> list[tuple[str, str]]:
    """The router's hosts, each with what it says of itself. One that is dead forwards no longer while another lives;
    where all are, nobody knows.
    """
    held = store.places(source, [router.id])[router.id]
    known = {agent.host: agent for agent in common.find_all(source, Agent, host=[place.host for place in held])}
    alive = {host for host, agent in known.items() if agents.is_alive(agent)}
    dead_word = STANDBY if alive else UNKNOWN
    return [
        (place.host, dead_word if place.state == HA_ACTIVE and place.host not in alive else place.state)
        for place in held
    ]


def add_place(tx: Tx, router: Router, host: str) -> None:
    """Let the host share the router; nothing happens where it does."""
    tx.lock(f"network:router-places:{router.id}")
    held = store.places(tx, [router.id])[router.id]
    if host in {place.host for place in held}:
        return
    rank = max((place.rank for place in held), default=-1) + 1
    store.add(tx, RouterPlace(router.id, host, rank, STANDBY))
    if not held:
        scheduling.move(tx, router.id, host)


def remove_place(tx: Tx, router: Router, host: str) -> None:
    """Take the router off the host; another one takes over, or it is nowhere."""
    tx.lock(f"network:router-places:{router.id}")
    store.remove(tx, router.id, [host])
    if router.host == host:
        left = store.places(tx, [router.id])[router.id]
        scheduling.move(tx, router.id, left[0].host if left else "")


def lame(source: Source, patience: float) -> list[Router]:
    """HA routers with a host that has been dead for `patience` seconds and more, or is disabled."""
    left = _left(source, patience)
    found = {place.router_id for place in store.places_on(source, left)} if left else set()
    return common.find_all(source, Router, id=found) if found else []


def rescue(cloud: Cloud, tx: Tx, router: Router, patience: float) -> bool:
    """Put other hosts in the place of those that are dead or disabled; whether anything changed.

    A dead one for which there is no other stays: it may come back. One that is disabled goes if any other is left.
    """
    left = _left(tx, patience)
    held = store.places(tx, [router.id])[router.id]
    dead = [place.host for place in held if place.host in left]
    there = {place.host for place in held}
    spare = [agent.host for agent in scheduling.sharing(tx, router.zones) if agent.host not in there]
    disabled = {agent.host for agent in common.find_all(tx, Agent)} - {one.host for one in agent_kinds.routing(tx)}
    gone = [host for host in dead if host in disabled] if len(dead) < len(held) or spare else []
    gone += [host for host in dead if host not in gone][: len(spare)]
    if gone:
        store.remove(tx, router.id, gone)
    changed = fill(cloud, tx, router) or bool(gone)
    now = common.find(tx, Router, router.id)
    able = [place.host for place in store.places(tx, [router.id])[router.id] if place.host not in left]
    if now is not None and now.host not in able and able:
        scheduling.move(tx, router.id, able[0])
        changed = True
    return changed


def claim_network(tx: Tx, ctx: Context, network_id: str) -> None:
    """Call a network the one of the caller's HA routers; a project has one at most."""
    project_id = ctx.project_id or ""
    tx.lock(f"network:ha-network:{project_id}")
    if store.ha_network_of(tx, project_id) is not None:
        raise fault("DuplicatedHANetwork", project_id=project_id)
    store.add_ha_network(tx, HaNetwork(project_id, network_id))


def _left(source: Source, patience: float) -> set[str]:
    """The hosts that routers are to leave."""
    end = clock.utcnow() - agents.ALIVE_FOR - timedelta(seconds=patience)
    usable = {agent.host for agent in agent_kinds.routing(source) if agent.heartbeat_at >= end}
    return {agent.host for agent in common.find_all(source, Agent)} - usable
