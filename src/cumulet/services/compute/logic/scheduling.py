# SPDX-License-Identifier: Apache-2.0
"""The choice of a host for a new server: the least loaded of those that placement offers and the user allows."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.compute.logic import hosts
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.store import hosts as store
from cumulet.services.compute.store import quotas as groups_store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import ComputeHost, Flavor, Server
from cumulet.services.placement.contract import Candidate, PlacementContract

Suits = Callable[[ComputeHost], bool]


def choose(cloud: Cloud, server: Server, forced: str, near: set[str]) -> tuple[ComputeHost, Candidate]:
    """A host for the server and what to claim of it; one of `near`, which have its volumes, where any of them will do.

    Conflict where no host will do (NoValidHost), NotReady where one would that is not connected now.
    """
    by_id = {host.id: host for host in store.find_all(cloud.db)}
    suits = _all_of(_placed(forced), _in_zone(cloud.db, server), _hinted(cloud.db, server), _grouped(cloud.db, server))
    fitting = [
        (by_id[each.root], each)
        for each in _candidates(cloud, server, server.kind)
        if each.root in by_id and suits(by_id[each.root])
    ]
    if not fitting:
        raise no_valid_host()
    fitting = [each for each in fitting if each[0].name in near] or fitting
    up = [(host, each) for host, each in fitting if hosts.is_up(cloud, host)]
    if not up:
        raise NotReady("no host that could take the server is connected")
    load = servers_store.counts_by_host(cloud.db)
    least = min(load.get(host.name, 0) for host, _ in up)
    return secrets.choice([each for each in up if load.get(each[0].name, 0) == least])


def at_home(cloud: Cloud, server: Server, flavor: Flavor) -> Candidate:
    """What the server would claim of its own host with another flavor, beside what it holds; Conflict (NoValidHost)."""
    home = hosts.find(cloud.db, server.host)
    found = [] if home.disabled else _candidates(cloud, server, flavor, home.id)
    if not found:
        raise no_valid_host()
    return found[0]


def no_valid_host() -> Conflict:
    return Conflict("No valid host was found. There are not enough hosts available.", code="NoValidHost")


def _candidates(cloud: Cloud, server: Server, flavor: Flavor, inside: str | None = None) -> list[Candidate]:
    """Where a server of the flavor could be, or in what ways below the provider `inside`."""
    traits = {key[6:]: value for key, value in flavor.extra_specs.items() if key[:6] == "trait:"}
    words = server.image.get("properties", {})
    wanted = hosts.resources(flavor, with_disk=bool(server.image_id)) | needs.resources(flavor, words)
    return cloud.contracts.use(PlacementContract).candidates(
        cloud.db,
        wanted,
        required={name for name, value in traits.items() if value == "required"} | needs.traits(flavor, words),
        forbidden=[name for name, value in traits.items() if value == "forbidden"],
        in_tree=inside,
    )


def _all_of(*rules: Suits) -> Suits:
    return lambda host: all(rule(host) for rule in rules)


def _placed(forced: str) -> Suits:
    """An administrator's word goes before what is disabled."""
    return lambda host: host.name == forced if forced else not host.disabled


def _in_zone(source: Source, server: Server) -> Suits:
    zone = server.availability_zone
    if zone is None:
        return _any
    inside = {host.name for host in hosts.zones(source).get(zone, [])}
    return lambda host: host.name in inside


def _hinted(source: Source, server: Server) -> Suits:
    different = _listed(server.scheduler_hints.get("different_host"))
    same = _listed(server.scheduler_hints.get("same_host"))
    if not different and not same:
        return _any
    taken = _hosts_of(source, different)
    wanted = _hosts_of(source, same)
    return lambda host: host.name not in taken and (not same or host.name in wanted)


def _grouped(source: Source, server: Server) -> Suits:
    """What the policy of the server's group says."""
    group = groups_store.find_group(source, server.group_id) if server.group_id else None
    if group is None:
        return _any
    members = servers_store.in_group(source, group.id)
    load = Counter(each.host for each in members if each.host and each.id != server.id)
    if group.policy == "anti-affinity":
        most = int(group.rules.get("max_server_per_host", 1))
        return lambda host: load[host.name] < most
    if group.policy == "affinity" and load:
        return lambda host: host.name in load
    return _any


def _any(_host: ComputeHost) -> bool:
    return True


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _hosts_of(source: Source, server_ids: list[str]) -> set[str]:
    found = [servers_store.find(source, server_id) for server_id in server_ids]
    return {server.host for server in found if server is not None and server.host}
