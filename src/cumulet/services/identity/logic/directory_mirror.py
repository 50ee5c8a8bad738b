# SPDX-License-Identifier: Apache-2.0
"""What directories say of users and groups, kept as rows like any other's, so that nothing else has to ask them.

A user or group that is gone there loses its row and its tokens. Its grants stay, as in Keystone, for the same id may
come back; nobody can use them before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.drivers.directories.base import Directory, DirectoryAway, DirectoryGroup, DirectoryUser
from cumulet.services.identity.logic import directories, public_ids, revocations
from cumulet.services.identity.store import directory_entries as entries
from cumulet.services.identity.store import groups, users
from cumulet.services.identity.types import Actor, DirectoryEntry, Group, User

LOG = logging.getLogger(__name__)

USER, GROUP = str(Actor.USER), str(Actor.GROUP)


def refresh_domain(cloud: Cloud, domain_id: str, kind: str) -> None:
    """Take over all users, or all groups, of a domain that has a directory."""
    directory = directories.of(cloud, domain_id)
    if directory is None:
        return
    found: Sequence[DirectoryUser | DirectoryGroup] = directory.users() if kind == USER else directory.groups()

    def write(tx: Tx) -> None:
        known = entries.of_domain(tx, domain_id, kind)
        forget(tx, kind, known.keys() - {public_ids.of(domain_id, kind, one.local_id) for one in found})
        for one in found:
            _take_over(tx, domain_id, one)

    cloud.db.write(write)


def refresh(cloud: Cloud, public: str) -> None:
    """Look up one entry again, unless that was done lately; anything else is left alone."""
    entry = entries.find(cloud.db, public)
    if entry is None or entry.refreshed_at > clock.utcnow() - _age(cloud):
        return
    directory = directories.of(cloud, entry.domain_id)
    if directory is None:
        cloud.db.write(lambda tx: forget(tx, entry.kind, [entry.id]))
    elif entry.kind == USER:
        take_over_user(cloud, entry.domain_id, directory, entry.local_id)
    else:
        group = directory.group(entry.local_id)
        cloud.db.write(lambda tx: _replace_group(tx, entry, group))


def take_over_user(
    cloud: Cloud, domain_id: str, directory: Directory, local_id: str, *, used: bool = False
) -> User | None:
    """The user as the directory tells of them now, with the groups that they are in; None for one who is gone."""
    found = directory.user(local_id)
    their_groups = directory.groups_of(local_id) if found is not None else []
    public = public_ids.of(domain_id, USER, local_id)

    def write(tx: Tx) -> None:
        if found is None:
            forget(tx, USER, [public])
            return
        if _take_over(tx, domain_id, found, used=used) is None:
            return
        wanted = {one for one in (_take_over(tx, domain_id, group) for group in their_groups) if one is not None}
        _set_groups(tx, public, wanted)

    cloud.db.write(write)
    return users.find(cloud.db, public)


def refresh_groups_of(cloud: Cloud, user_id: str) -> None:
    """Take over the groups of a user of a directory."""
    entry = entries.find(cloud.db, user_id)
    directory = directories.of(cloud, entry.domain_id) if entry is not None else None
    if entry is not None and directory is not None:
        take_over_user(cloud, entry.domain_id, directory, entry.local_id)


def refresh_members(cloud: Cloud, group_id: str) -> None:
    """Take over the members of a group of a directory."""
    entry = entries.find(cloud.db, group_id)
    directory = directories.of(cloud, entry.domain_id) if entry is not None else None
    if entry is None or directory is None:
        return
    found = directory.users_with(directory.members(entry.local_id))

    def write(tx: Tx) -> None:
        if groups.find(tx, group_id) is None:
            return
        wanted = {one for one in (_take_over(tx, entry.domain_id, user) for user in found) if one is not None}
        have = {user.id for user in groups.members(tx, group_id)}
        _join_and_leave(tx, {(group_id, user_id) for user_id in have}, {(group_id, user_id) for user_id in wanted})

    cloud.db.write(write)


def settle(cloud: Cloud, domain_id: str) -> None:
    """Forget everybody of a directory that the domain has no more."""
    if directories.is_outside(cloud.db, domain_id):
        return

    def write(tx: Tx) -> None:
        for kind in (USER, GROUP):
            forget(tx, kind, entries.of_domain(tx, domain_id, kind))

    cloud.db.write(write)


def refresh_used(cloud: Cloud) -> None:
    """Look up those who logged in lately enough to have tokens, where the last look is old."""
    now = clock.utcnow()
    used_after = now - 2 * timedelta(seconds=cloud.settings.identity.token_lifetime)
    silent: set[str] = set()
    for entry in entries.in_use(cloud.db, USER, used_after, now - _age(cloud)):
        if entry.domain_id not in silent:
            try:
                refresh(cloud, entry.id)
            except DirectoryAway:
                silent.add(entry.domain_id)


class Refresher:
    """Runs `refresh_used` in a thread of its own, one at a time."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def start(self, cloud: Cloud) -> None:
        if self._busy.acquire(blocking=False):
            threading.Thread(target=self._run, args=(cloud,), name="directories", daemon=True).start()

    def _run(self, cloud: Cloud) -> None:
        try:
            refresh_used(cloud)
        except Exception:
            LOG.exception("directories could not be asked again")
        finally:
            self._busy.release()


def _age(cloud: Cloud) -> timedelta:
    return timedelta(seconds=cloud.settings.identity.directory_cache_time)


def _replace_group(tx: Tx, entry: DirectoryEntry, found: DirectoryGroup | None) -> None:
    if found is None:
        forget(tx, GROUP, [entry.id])
    else:
        _take_over(tx, entry.domain_id, found)


def _take_over(tx: Tx, domain_id: str, found: DirectoryUser | DirectoryGroup, *, used: bool = False) -> str | None:
    """Store what the directory says of one user or group; the public id, None where the name is a local one's."""
    kind = USER if isinstance(found, DirectoryUser) else GROUP
    public, now = public_ids.of(domain_id, kind, found.local_id), clock.utcnow()
    if not _free_name(tx, kind, domain_id, found.name, public):
        LOG.warning("the name %r in domain %s is a local %s's, not the directory's", found.name, domain_id, kind)
        return None
    if isinstance(found, DirectoryUser):
        _put_user(tx, domain_id, public, found)
    else:
        _put_group(tx, domain_id, public, found)
    entries.put(tx, DirectoryEntry(public, domain_id, kind, found.local_id, now, now if used else None))
    return public


def _put_user(tx: Tx, domain_id: str, public: str, found: DirectoryUser) -> None:
    said = {"email": found.email, "description": found.description, **found.extra}
    values: dict[str, Any] = {
        "name": found.name,
        "default_project_id": found.default_project_id,
        "enabled": found.enabled,
        "extra": {name: value for name, value in said.items() if value is not None},
    }
    old = users.find(tx, public)
    if old is None:
        new = User(id=public, domain_id=domain_id, options={}, created_at=clock.utcnow(), **values)
        users.add(tx, new)
    elif any(getattr(old, name) != value for name, value in values.items()):
        users.change(tx, public, values)
        if old.enabled and not found.enabled:
            revocations.revoke(tx, user_id=public)
        revocations.changed(tx)


def _put_group(tx: Tx, domain_id: str, public: str, found: DirectoryGroup) -> None:
    values: dict[str, Any] = {
        "name": found.name[:64],
        "description": found.description or "",
        "extra": dict(found.extra),
    }
    old = groups.find(tx, public)
    if old is None:
        groups.add(tx, Group(id=public, domain_id=domain_id, **values))
    elif any(getattr(old, name) != value for name, value in values.items()):
        groups.change(tx, public, values)


def _free_name(tx: Tx, kind: str, domain_id: str, name: str, public: str) -> bool:
    """Let go of another entry that had the name before; False where the name is that of a local row."""
    find: Callable[[Source, str, str], User | Group | None]
    find = users.find_by_name if kind == USER else groups.find_by_name
    other = find(tx, name if kind == USER else name[:64], domain_id)
    if other is None or other.id == public:
        return True
    if entries.find(tx, other.id) is None:
        return False
    forget(tx, kind, [other.id])
    return True


def _set_groups(tx: Tx, user_id: str, wanted: set[str]) -> None:
    have = groups.ids_of_user(tx, user_id)
    _join_and_leave(tx, {(group_id, user_id) for group_id in have}, {(group_id, user_id) for group_id in wanted})


def _join_and_leave(tx: Tx, have: set[tuple[str, str]], wanted: set[tuple[str, str]]) -> None:
    """Bring memberships, each a group's id and a user's, from what they are to what they are to be."""
    for group_id, user_id in sorted(wanted - have):
        groups.join(tx, group_id, user_id)
    for group_id, user_id in sorted(have - wanted):
        groups.leave(tx, group_id, user_id)
    if have != wanted:
        revocations.changed(tx)


def forget(tx: Tx, kind: str, public_ids: Iterable[str]) -> None:
    """Remove the rows of users or groups of directories; their grants wait for the same ids to come back."""
    for public in sorted(public_ids):
        if kind == USER:
            revocations.revoke(tx, user_id=public)
            users.remove(tx, public)
        else:
            groups.remove(tx, public)
        entries.remove(tx, public)
        revocations.changed(tx)
