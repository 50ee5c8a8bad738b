# SPDX-License-Identifier: Apache-2.0
"""What can be done with groups and their members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import changes, directories, projects, revocations, users
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import assignments
from cumulet.services.identity.store import groups as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Actor, Group, User

FIELDS = ("name", "domain_id", "description")


def get(source: Source, group_id: str) -> Group:
    found = store.find(source, group_id)
    if found is None:
        raise NotFound(f"Could not find group: {group_id}.", code="GroupNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Group]:
    return store.find_all(source, filters)


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[Group]:
    users.get(source, user_id)
    return store.of_user(source, user_id, filters)


def members(source: Source, group_id: str, filters: Iterable[Filter] = ()) -> list[User]:
    get(source, group_id)
    return store.members(source, group_id, filters)


def create(cloud: Cloud, ctx: Context, words: Mapping[str, Any]) -> Group:
    new = Group(
        id=ids.new_hex(),
        name=words["name"].strip(),
        domain_id=changes.home(ctx, words),
        description=words.get("description") or "",
        extra=changes.extras(words, FIELDS),
    )

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        projects.get_domain(tx, new.domain_id)
        directories.check_writable(tx, new.domain_id)
        if store.find_by_name(tx, new.name, new.domain_id) is not None:
            raise changes.taken("group", new.name, new.domain_id)
        store.add(tx, new)
        news.tell(tx, "group", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, group_id: str, words: Mapping[str, Any]) -> Group:
    news = Teller(cloud)

    def write(tx: Tx) -> Group:
        old = get(tx, group_id)
        directories.check_writable(tx, old.domain_id)
        changes.check_same(words, "domain_id", old.domain_id, "Cannot change Domain ID")
        changes.check_same(words, "id", old.id, "Cannot change ID")
        values: dict[str, Any] = {}
        if "name" in words and words["name"].strip() != old.name:
            values["name"] = words["name"].strip()
            if store.find_by_name(tx, values["name"], old.domain_id) is not None:
                raise changes.taken("group", values["name"], words.get("domain_id"))
        if "description" in words:
            values["description"] = words["description"] or ""
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, group_id, values)
        news.tell(tx, "group", "updated", group_id)
        return get(tx, group_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, group_id: str) -> None:
    """Remove a group; where it was given roles, its members' tokens are void, as in Keystone."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        directories.check_writable(tx, get(tx, group_id).domain_id)
        if assignments.find_all(tx, actor=Actor.GROUP, actor_id=group_id):
            for user in store.members(tx, group_id):
                revocations.revoke(tx, user_id=user.id)
        remove(tx, group_id)
        news.tell(tx, "group", "deleted", group_id)

    cloud.db.write(write)


def remove(tx: Tx, group_id: str) -> None:
    """Remove a group's row and what hangs on it."""
    assignments.remove_all(tx, actor=Actor.GROUP, actor_id=group_id)
    store.remove(tx, group_id)
    revocations.changed(tx)


def check_member(source: Source, group_id: str, user_id: str) -> None:
    """NotFound unless the user is in the group."""
    users.get(source, user_id)
    get(source, group_id)
    if not store.has_member(source, group_id, user_id):
        raise NotFound(f"User '{user_id}' not found in group '{group_id}'")


def join(cloud: Cloud, group_id: str, user_id: str) -> None:
    """Put a user into a group; one who is in it stays."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        user = users.get(tx, user_id)
        for domain_id in {user.domain_id, get(tx, group_id).domain_id}:
            directories.check_writable(tx, domain_id)
        if not store.has_member(tx, group_id, user_id):
            store.join(tx, group_id, user_id)
            revocations.changed(tx)
        news.tell_member(tx, group_id, user_id, "added")

    cloud.db.write(write)


def leave(cloud: Cloud, group_id: str, user_id: str) -> None:
    """Take a user out of a group; the user's tokens are void, as in Keystone, whatever they were made for."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        check_member(tx, group_id, user_id)
        directories.check_writable(tx, get(tx, group_id).domain_id)
        store.leave(tx, group_id, user_id)
        revocations.revoke(tx, user_id=user_id)
        news.tell_member(tx, group_id, user_id, "removed")

    cloud.db.write(write)
