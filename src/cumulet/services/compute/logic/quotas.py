# SPDX-License-Identifier: Apache-2.0
"""Limits and what is used of them. Use is counted from rows, inside the transaction that adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, OverQuota
from cumulet.kernel.quota import UNLIMITED, exceeded
from cumulet.services.compute.logic import unified_limits
from cumulet.services.compute.logic.guest import needs
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


class Servers(NamedTuple):
    """Between `least` and `most` servers that somebody wants; `claim` is what each takes in placement, by class."""

    flavor: Flavor
    claim: Mapping[str, int]
    least: int = 1
    most: int = 1


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


def in_force(cloud: Cloud, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """The limits that are shown: compute's own, or those that the identity service keeps."""
    if unified_limits.are_used(cloud):
        return {**dict.fromkeys(DEFAULTS, UNLIMITED), **unified_limits.limits(cloud, cloud.db, project_id)}
    return limits(cloud.db, project_id, user_id)


def defaults_in_force(cloud: Cloud, name: str = DEFAULT_CLASS) -> dict[str, int]:
    """The same of a class of projects; the identity service knows but one."""
    if unified_limits.are_used(cloud):
        return {**dict.fromkeys(DEFAULTS, UNLIMITED), **unified_limits.limits(cloud, cloud.db, None)}
    return class_limits(cloud.db, name)


def in_use(cloud: Cloud, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """What is shown as used of them."""
    if unified_limits.are_used(cloud):
        return {**used(cloud.db, project_id), **unified_limits.used(cloud, cloud.db, project_id)}
    return used(cloud.db, project_id, user_id)


def set_class_limits(cloud: Cloud, name: str, changes: dict[str, int]) -> None:
    if unified_limits.are_used(cloud):
        return
    cloud.db.write(lambda tx: store.set_limits(tx, class_scope(name), changes))


def set_limits(cloud: Cloud, project_id: str, user_id: str | None, changes: dict[str, int], *, force: bool) -> None:
    """Set limits of a project or of one of its users.

    Without `force`, Invalid for a limit below what is used already, and for a user's above the project's. Nothing
    happens where the identity service keeps the limits.
    """
    if unified_limits.are_used(cloud):
        return

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
    """Back to the defaults: a project and all its users, or one of them; nothing happens as above."""
    if unified_limits.are_used(cloud):
        return

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


def servers_allowed(cloud: Cloud, tx: Tx, owner: tuple[str, str], wanted: Servers) -> int:
    """How many servers the owner (a project and a user) may have more; OverQuota where not the least wanted."""
    project_id, user_id = owner
    flavor, least, most = wanted.flavor, wanted.least, wanted.most
    lock(tx, project_id)
    if unified_limits.are_used(cloud):
        return unified_limits.servers_allowed(cloud, tx, project_id, wanted.claim, least, most)
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


def check_growth(cloud: Cloud, tx: Tx, server: Server, before: Flavor, after: Flavor) -> None:
    """OverQuota where the server may not become `after` for the project or its user; what grows already counts."""
    if unified_limits.are_used(cloud):
        # Until the resize is confirmed placement has it twice.
        lock(tx, server.project_id)
        words = server.image.get("properties", {})
        claim = needs.claim(after, words, with_disk=bool(server.image_id))
        unified_limits.servers_allowed(cloud, tx, server.project_id, claim, 1, 1)
        return
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


def check_metadata(cloud: Cloud, source: Source, project_id: str, count: int) -> None:
    """OverQuota where a server may not have so many metadata."""
    words = "Maximum number of metadata items exceeds {limit}"
    _check(cloud, source, project_id, "metadata_items", (0, count), words, "MetadataLimitExceeded")


def check_files(cloud: Cloud, source: Source, project_id: str, *, count: int, path: int, contents: int) -> None:
    """OverQuota where a server may not be given so many files, with such long paths and contents."""
    for name, amount, words, code in (
        ("injected_files", count, "Personality file limit exceeded", "OnsetFileLimitExceeded"),
        ("injected_file_path_bytes", path, "Personality file path exceeds maximum {limit}",
         "OnsetFilePathLimitExceeded"),
        ("injected_file_content_bytes", contents, "Personality file content exceeds maximum {limit}",
         "OnsetFileContentLimitExceeded"),
    ):  # fmt: skip
        _check(cloud, source, project_id, name, (0, amount), words, code)


def check_keypair(cloud: Cloud, tx: Tx, project_id: str, user_id: str) -> None:
    """OverQuota where the user may have no further keypair."""
    tx.lock(f"quota:compute:{user_id}")
    amounts = keypairs_store.count(tx, user_id), 1
    _check(cloud, tx, project_id, "key_pairs", amounts, "Quota exceeded, too many key pairs.", "KeypairLimitExceeded")


def check_server_group(cloud: Cloud, tx: Tx, project_id: str) -> None:
    """OverQuota where the project may have no further server group."""
    lock(tx, project_id)
    amounts, words = (store.count_groups(tx, project_id), 1), "Quota exceeded, too many server groups."
    _check(cloud, tx, project_id, "server_groups", amounts, words, "ServerGroupLimitExceeded")


def check_group_member(cloud: Cloud, tx: Tx, project_id: str, group_id: str, more: int) -> None:
    """OverQuota where the group may not have `more` further servers."""
    amounts, words = (len(servers_store.in_group(tx, group_id)), more), "Quota exceeded, too many servers in group"
    _check(cloud, tx, project_id, "server_group_members", amounts, words, "GroupMemberLimitExceeded")


def _check(
    cloud: Cloud, source: Source, project_id: str, name: str, amounts: tuple[int, int], words: str, code: str
) -> None:
    """OverQuota, in these words, where there are `amounts[0]` and the limit leaves no room for `amounts[1]` more."""
    have, more = amounts
    if unified_limits.are_used(cloud):
        unified_limits.check(cloud, source, name, have, more, code)
        return
    limit = limits(source, project_id)[name]
    if 0 <= limit < have + more:
        raise OverQuota(words.format(limit=limit), code=code)


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
