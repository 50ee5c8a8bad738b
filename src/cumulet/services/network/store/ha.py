# SPDX-License-Identifier: Apache-2.0
"""Routers that are on several hosts: where, and which networks they reach so."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import and_, or_, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.store import common
from cumulet.services.network.tables import ha_network, port, router, router_place, router_reach
from cumulet.services.network.types.ha import HaNetwork, RouterPlace, RouterReach
from cumulet.services.network.types.rows import OWNER_ROUTER_GATEWAY, OWNERS_INSIDE, Router


def places(source: Source, router_ids: Iterable[str]) -> dict[str, list[RouterPlace]]:
    """The places of each of the routers, in the order in which they take over."""
    found: dict[str, list[RouterPlace]] = {key: [] for key in router_ids}
    for one in sql.find_all(source, router_place, RouterPlace, ("rank", "host"), router_id=list(found)):
        found[one.router_id].append(one)
    return found


def places_on(source: Source, hosts: Iterable[str]) -> list[RouterPlace]:
    """All places on these hosts."""
    return sql.find_all(source, router_place, RouterPlace, ("router_id", "host"), host=list(hosts))


def add(tx: Tx, *rows: RouterPlace) -> None:
    if rows:
        sql.add(tx, router_place, *rows)


def say(tx: Tx, place: RouterPlace, state: str) -> None:
    """Keep what a host said of itself."""
    sql.change(tx, router_place, {"state": state}, router_id=place.router_id, host=place.host)


def remove(tx: Tx, router_id: str, hosts: Iterable[str]) -> None:
    sql.remove(tx, router_place, router_id=router_id, host=list(hosts))


def routers_on(source: Source, host: str, network_ids: Iterable[str] = ()) -> list[Router]:
    """The routers that are on the host, or stand by there, oldest first; distributed ones of these networks too."""
    shared = select(router_place.c.router_id).where(router_place.c.host == host)
    reaching = select(router_reach.c.router_id).where(sql.any_of(router_reach.c.network_id, network_ids))
    spread = and_(router.c.distributed, router.c.id.in_(reaching))
    return common.find_all(source, Router, or_(router.c.host == host, router.c.id.in_(shared), spread))


def hosts_of_ports(source: Source, router_id: str) -> set[str]:
    """The hosts that have ports on networks that the router reaches."""
    query = select(port.c.host).distinct().join(router_reach, router_reach.c.network_id == port.c.network_id)
    return set(sql.column(source, query.where(router_reach.c.router_id == router_id, port.c.host != "")))


def reaching(source: Source, router_id: str) -> set[str]:
    """The networks that are known to be reached by the router on several hosts."""
    return {one.network_id for one in sql.find_all(source, router_reach, RouterReach, router_id=router_id)}


def all_reaching(source: Source) -> set[tuple[str, str]]:
    """The same of all routers: network and router."""
    return set(sql.tuples(source, select(router_reach.c.network_id, router_reach.c.router_id)))


def networks_of(source: Source, router_id: str) -> set[str]:
    """The networks of the router's ports."""
    owners = [*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY]
    query = select(port.c.network_id).where(port.c.device_id == router_id, port.c.device_owner.in_(owners))
    return set(sql.column(source, query.distinct()))


def reach(tx: Tx, router_id: str, network_ids: Iterable[str]) -> None:
    """Say that the router reaches these networks on several hosts."""
    for network_id in network_ids:
        sql.add(tx, router_reach, RouterReach(network_id, router_id))


def leave(tx: Tx, router_id: str, network_ids: Iterable[str]) -> None:
    sql.remove(tx, router_reach, router_id=router_id, network_id=list(network_ids))


def ha_network_of(source: Source, project_id: str) -> HaNetwork | None:
    return sql.find(source, ha_network, HaNetwork, project_id=project_id)


def add_ha_network(tx: Tx, row: HaNetwork) -> None:
    sql.add(tx, ha_network, row)
