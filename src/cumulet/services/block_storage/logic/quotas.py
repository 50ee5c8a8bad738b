# SPDX-License-Identifier: Apache-2.0
"""Limits of projects, and checks against them inside the transaction that adds."""

from __future__ import annotations

from cumulet.kernel import quota
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.logic.refusals import over_quota
from cumulet.services.block_storage.store import backups, groups, snapshots, volume_types, volumes
from cumulet.services.block_storage.store import quotas as store

# Cinder's own defaults.
DEFAULTS = {
    "per_volume_gigabytes": -1,
    "volumes": 10,
    "snapshots": 10,
    "gigabytes": 1000,
    "backups": 10,
    "backup_gigabytes": 1000,
    "groups": 10,
}
BY_TYPE = ("volumes", "gigabytes", "snapshots")
DEFAULT_CLASS = "class:default"


Kinds = dict[str, str]  # volume types' names by id


def names(kinds: Kinds) -> list[str]:
    """Everything that can be limited: the common resources, then three for each volume type."""
    return [*DEFAULTS, *(f"{resource}_{kind}" for kind in kinds.values() for resource in BY_TYPE)]


def defaults(source: Source, kinds: Kinds | None = None) -> dict[str, int]:
    """The limits of a project for which nothing is set."""
    kinds = volume_types.names(source) if kinds is None else kinds
    return _filled(kinds, store.limits(source, DEFAULT_CLASS))


def limits(source: Source, project_id: str, kinds: Kinds | None = None) -> dict[str, int]:
    """The limits in force."""
    own, common = store.limits_of(source, project_id, DEFAULT_CLASS)
    kinds = volume_types.names(source) if kinds is None else kinds
    return {name: own.get(name, limit) for name, limit in _filled(kinds, common).items()}


def of_class(source: Source, name: str) -> dict[str, int]:
    """The limits of a quota class; only the class `default` has an effect."""
    own = store.limits(source, f"class:{name}")
    return {name: own.get(name, limit) for name, limit in defaults(source).items()}


def set_class(tx: Tx, name: str, values: dict[str, int]) -> dict[str, int]:
    _check_names(tx, values, "quota class set")
    store.put(tx, f"class:{name}", values)
    return of_class(tx, name)


def set_limits(tx: Tx, project_id: str, values: dict[str, int]) -> dict[str, int]:
    """Set some limits of a project; none that it has of its own to less than what is in use, as Cinder has it."""
    _check_names(tx, values, "quota set")
    used, own = usage(tx, project_id), store.limits(tx, project_id)
    for name, limit in values.items():
        if name in own and name != "per_volume_gigabytes" and limit != quota.UNLIMITED and limit < used.get(name, 0):
            raise Invalid(
                f"Quota {name} limit must be equal or greater than existing resources. Current usage is "
                f"{used[name]} and the requested limit is {limit}."
            )
    store.put(tx, project_id, values)
    return limits(tx, project_id)


def reset(tx: Tx, project_id: str) -> None:
    """Back to the defaults."""
    store.remove(tx, project_id)


def usage(source: Source, project_id: str) -> dict[str, int]:
    """What the project has, by resource."""
    number, size = backups.usage(source, project_id)
    more = {"groups": groups.count(source, project_id), "backups": number, "backup_gigabytes": size}
    return {**_of_volumes(source, project_id, volume_types.names(source)), **more}


def _of_volumes(source: Source, project_id: str, kinds: Kinds) -> dict[str, int]:
    """What volumes and snapshots come to."""
    used = dict.fromkeys(names(kinds), 0)
    for type_id, number, size, moving in volumes.usage(source, project_id):
        kind = kinds.get(type_id)
        if not moving:
            _count(used, kind, "volumes", number, size)
        elif kind is not None:
            used[f"volumes_{kind}"] += number
            used[f"gigabytes_{kind}"] += size
    for type_id, (number, size) in snapshots.usage(source, project_id).items():
        _count(used, kinds.get(type_id), "snapshots", number, size)
    return used


def check_volume(
    tx: Tx, project_id: str, size: int, type_name: str, *, number: int = 1, more: int | None = None
) -> None:
    """Raise OverQuota unless the project may have `number` volumes and `more` GiB (default: `size`) more.

    `size` is the volume's whole size. The project's quota is locked until the commit.
    """
    more = size if more is None else more
    allowed, used, over = _over(tx, project_id, "volumes", number, more, type_name)
    limit = allowed["per_volume_gigabytes"]
    if 0 <= limit < size:
        raise over_quota(
            f"Requested volume size {size}G is larger than maximum allowed limit {limit}G.", "VolumeSizeExceedsLimit"
        )
    _refuse(allowed, used, over, more, "volumes")


def check_snapshot(tx: Tx, project_id: str, size: int, type_name: str) -> None:
    """Raise OverQuota unless the project may have one snapshot of `size` GiB more."""
    allowed, used, over = _over(tx, project_id, "snapshots", 1, size, type_name)
    _refuse(allowed, used, over, size, "snapshots")


def check_group(tx: Tx, project_id: str) -> None:
    """Raise OverQuota unless the project may have one group more."""
    tx.lock(f"quota:block_storage:{project_id}")
    allowed = limits(tx, project_id)["groups"]
    if 0 <= allowed <= groups.count(tx, project_id):
        raise over_quota(f"Maximum number of groups allowed ({allowed}) exceeded", "GroupLimitExceeded")


def check_backup(tx: Tx, project_id: str, size: int) -> None:
    """Raise OverQuota unless the project may have one backup of `size` GiB more."""
    tx.lock(f"quota:block_storage:{project_id}")
    number, used = backups.usage(tx, project_id)
    allowed = limits(tx, project_id)
    have, wanted = {"backups": number, "backup_gigabytes": used}, {"backups": 1, "backup_gigabytes": size}
    for name in quota.exceeded(allowed, have, wanted):
        if name == "backups":
            raise over_quota(f"Maximum number of backups allowed ({allowed[name]}) exceeded", "BackupLimitExceeded")
        raise over_quota(
            f"Requested backup exceeds allowed Backup gigabytes quota. Requested {size}G, quota is {allowed[name]}G "
            f"and {used}G has been consumed.",
            "VolumeBackupSizeExceedsAvailableQuota",
        )


def check_retype(tx: Tx, project_id: str, size: int, type_name: str) -> None:
    """Raise OverQuota unless the project may have one volume of `size` GiB more of that type."""
    tx.lock(f"quota:block_storage:{project_id}")
    kinds = volume_types.names(tx)
    allowed, used = limits(tx, project_id, kinds), _of_volumes(tx, project_id, kinds)
    wanted = {f"volumes_{type_name}": 1, f"gigabytes_{type_name}": size}
    _refuse(allowed, used, quota.exceeded(allowed, used, wanted), size, "volumes")


def _over(
    tx: Tx, project_id: str, resource: str, number: int, size: int, type_name: str
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    tx.lock(f"quota:block_storage:{project_id}")
    kinds = volume_types.names(tx)
    allowed, used = limits(tx, project_id, kinds), _of_volumes(tx, project_id, kinds)
    wanted = {resource: number, f"{resource}_{type_name}": number, "gigabytes": size, f"gigabytes_{type_name}": size}
    return allowed, used, quota.exceeded(allowed, used, wanted)


def _refuse(allowed: dict[str, int], used: dict[str, int], over: list[str], size: int, resource: str) -> None:
    for name in over:
        if name.startswith("gigabytes"):
            raise over_quota(
                f"Requested volume or snapshot exceeds allowed {name} quota. Requested {size}G, quota is "
                f"{allowed[name]}G and {used[name]}G has been consumed.",
                "VolumeSizeExceedsAvailableQuota",
            )
        if resource == "snapshots":
            raise over_quota(f"Maximum number of snapshots allowed ({allowed[name]}) exceeded", "SnapshotLimitExceeded")
        raise over_quota(
            f"Maximum number of volumes allowed ({allowed[name]}) exceeded for quota '{name}'.", "VolumeLimitExceeded"
        )


def _filled(kinds: Kinds, common: dict[str, int]) -> dict[str, int]:
    """With what is so by default for whatever is not in `common`."""
    return {name: common.get(name, DEFAULTS.get(name, quota.UNLIMITED)) for name in names(kinds)}


def _count(used: dict[str, int], kind: str | None, resource: str, number: int, size: int) -> None:
    suffixes = [""] if kind is None else ["", f"_{kind}"]
    for suffix in suffixes:
        used[resource + suffix] += number
        used["gigabytes" + suffix] += size


def _check_names(source: Source, values: dict[str, int], what: str) -> None:
    known = set(names(volume_types.names(source)))
    if bad := [name for name in values if name not in known]:
        raise Invalid(f"Invalid input received: Bad key(s) in {what}: {', '.join(bad)}", code="InvalidInput")
