# SPDX-License-Identifier: Apache-2.0
"""Limits and what is used of them. Use is counted from rows, inside the transaction that adds to it."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, OverQuota
from cumulet.kernel.quota import UNLIMITED, exceeded
from cumulet.services.compute.store import keypairs as keypairs_store
from cumulet.services.compute.store import migrations as migrations_store
from cumulet.services.compute.store import quotas as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Flavor, Server

DEFAULTS = {
    "instances": 10,
    "cores": 20,
    "ram": 51200,  # MiB
    "metadata_items": 128,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_groups": -1,
    "security_group_rules": -1,
}
DEFAULT_CLASS = "default"
# While a migration is in one of these, its server does not have the new flavor yet.
GROWING = ("pre-migrating", "migrating", "post-migrating")


def class_scope(name: str) -> str:
    return f"class:{name}"


def class_limits(source: Source, name: str = DEFAULT_CLASS) -> dict[str, int]:
    """The limits of a class of projects; all projects are of the class `default`."""
    return {**DEFAULTS, **store.limits(source, class_scope(name))}


def user_scope(project_id: str, user_id: str) -> str:
    return f"{_users_of(project_id)}{user_id}"


def limits(source: Source, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """The limits of a project, or those of one of its users: the user's own where there are any."""
    found = {**class_limits(source), **store.limits(source, project_id)}
    return found if user_id is None else {**found, **store.limits(source, user_scope(project_id, user_id))}


def set_class_limits(cloud: Cloud, name: str, changes: dict[str, int]) -> None:
    cloud.db.write(lambda tx: store.set_limits(tx, class_scope(name), changes))


def set_limits(cloud: Cloud, project_id: str, user_id: str | None, changes: dict[str, int], *, force: bool) -> None:
    """Set limits of a project or of one of its users.

    Without `force`, Invalid for a limit below what is used already, and for a user's above the project's.
    """

    def write(tx: Tx) -> None:
        lock(tx, project_id)
        if not force:
            now = used(tx, project_id, user_id)
            most = {} if user_id is None else limits(tx, project_id)
            for resource, limit in changes.items():
                _check_range(resource, limit, now[resource], most.get(resource, UNLIMITED))
        store.set_limits(tx, project_id if user_id is None else user_scope(project_id, user_id), changes)

    cloud.db.write(write)


def clear_limits(cloud: Cloud, project_id: str, user_id: str | None = None) -> None:
    """Back to the defaults: a project and all its users, or one of them."""

    def write(tx: Tx) -> None:
        if user_id is not None:
            store.clear_limits(tx, user_scope(project_id, user_id))
            return
        store.clear_limits(tx, project_id)
        store.clear_limits_below(tx, _users_of(project_id))

    cloud.db.write(write)


def used(source: Source, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """What a project, or one of its users there, uses of its limits."""
    sizes = servers_store.sizes(source, project_id)
    groups = store.groups_of(source, project_id)
    if user_id is not None:
        sizes = [size for size in sizes if size[0] == user_id]
        groups = [group for group in groups if group.user_id == user_id]
    return {**dict.fromkeys(DEFAULTS, 0), **_of_servers(sizes), "server_groups": len(groups)}


def lock(tx: Tx, project_id: str) -> None:
    """Nobody else adds to the project's use until this transaction ends."""
    tx.lock(f"quota:compute:{project_id}")


def servers_allowed(tx: Tx, project_id: str, user_id: str, flavor: Flavor, least: int, most: int) -> int:
    """How many servers, between `least` and `most`, the user may add to the project; OverQuota where not `least`."""
    lock(tx, project_id)
    sizes = servers_store.sizes(tx, project_id)
    mine = [size for size in sizes if size[0] == user_id]
    rooms = [
        (limits(tx, project_id), _of_servers(sizes)),
        (store.limits(tx, user_scope(project_id, user_id)), _of_servers(mine)),
    ]
    for count in range(most, least - 1, -1):
        if not any(exceeded(allowed, now, _wanted(flavor, count)) for allowed, now in rooms):
            return count
    error = _over(rooms, _wanted(flavor, least))
    assert error is not None
    raise error


def check_growth(tx: Tx, server: Server, before: Flavor, after: Flavor) -> None:
    """OverQuota where the server may not become `after` for the project or its user; what grows already counts."""
    wanted = {name: amount for name, amount in _growth(before, after).items() if amount > 0}
    if not wanted:
        return
    lock(tx, server.project_id)
    sizes = servers_store.sizes(tx, server.project_id)
    growing = migrations_store.of_project(tx, server.project_id, GROWING)
    mine = [size for size in sizes if size[0] == server.user_id]
    own = store.limits(tx, user_scope(server.project_id, server.user_id))
    rooms = [(limits(tx, server.project_id), _of_servers(sizes)), (own, _of_servers(mine))]
    for each in growing:
        more = _growth(msgspec.convert(each.old_flavor, Flavor), msgspec.convert(each.new_flavor, Flavor))
        for _allowed, now in rooms if each.user_id == server.user_id else rooms[:1]:
            now.update({name: now[name] + max(0, amount) for name, amount in more.items()})
    error = _over(rooms, wanted)
    if error is not None:
        raise error


def _growth(before: Flavor, after: Flavor) -> dict[str, int]:
    return {"cores": after.vcpus - before.vcpus, "ram": after.ram - before.ram}


def _over(rooms: list[tuple[dict[str, int], dict[str, int]]], wanted: dict[str, int]) -> OverQuota | None:
    """The refusal by the first of the limits, each with what is used of it, that leaves no room for `wanted`."""
    for allowed, now in rooms:
        over = exceeded(allowed, now, wanted)
        if over:
            names = ", ".join(over)
            asked, taken, most = (", ".join(str(each[name]) for name in over) for each in (wanted, now, allowed))
            return OverQuota(
                f"Quota exceeded for {names}: Requested {asked}, but already used {taken} of {most} {names}",
                code="TooManyInstances",
            )
    return None


def check_keypair(tx: Tx, project_id: str, user_id: str) -> None:
    """OverQuota where the user may have no further keypair."""
    tx.lock(f"quota:compute:{user_id}")
    limit = limits(tx, project_id)["key_pairs"]
    if 0 <= limit <= keypairs_store.count(tx, user_id):
        raise OverQuota("Quota exceeded, too many key pairs.", code="KeypairLimitExceeded")


def check_server_group(tx: Tx, project_id: str) -> None:
    """OverQuota where the project may have no further server group."""
    lock(tx, project_id)
    limit = limits(tx, project_id)["server_groups"]
    if 0 <= limit <= store.count_groups(tx, project_id):
        raise OverQuota("Quota exceeded, too many server groups.", code="ServerGroupLimitExceeded")


def check_group_member(tx: Tx, project_id: str, group_id: str, more: int) -> None:
    """OverQuota where the group may not have `more` further servers."""
    limit = limits(tx, project_id)["server_group_members"]
    if 0 <= limit < len(servers_store.in_group(tx, group_id)) + more:
        raise OverQuota("Quota exceeded, too many servers in group", code="GroupMemberLimitExceeded")


def _users_of(project_id: str) -> str:
    return f"user:{project_id}:"


def _check_range(resource: str, limit: int, least: int, most: int) -> None:
    if 0 <= limit < least:
        raise Invalid(
            f"Quota limit {limit} for {resource} must be greater than or equal to already used and reserved {least}."
        )
    if most != UNLIMITED and (limit == UNLIMITED or limit > most):
        raise Invalid(f"Quota limit {limit} for {resource} must be less than or equal to {most}.")


def _wanted(flavor: Flavor, count: int) -> dict[str, int]:
    return {"instances": count, "cores": count * flavor.vcpus, "ram": count * flavor.ram}


def _of_servers(sizes: list[tuple[str, dict[str, Any], int]]) -> dict[str, int]:
    """What servers use that were counted by user and flavor."""
    return {
        "instances": sum(count for _, _, count in sizes),
        "cores": sum(int(flavor["vcpus"]) * count for _, flavor, count in sizes),
        "ram": sum(int(flavor["ram"]) * count for _, flavor, count in sizes),
    }
