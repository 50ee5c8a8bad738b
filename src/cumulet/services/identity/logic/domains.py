# SPDX-License-Identifier: Apache-2.0
"""What can be done with domains: projects at the root of a tree, with users, groups and roles of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.services.identity.logic import changes, domain_configs, groups, projects, users
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import assignments, domain_options, limits, roles
from cumulet.services.identity.store import groups as group_store
from cumulet.services.identity.store import projects as store
from cumulet.services.identity.store import users as user_store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Project, Target

FIELDS = ("name", "description", "enabled", "tags", "explicit_domain_id", "is_domain", "domain_id", "parent_id")


def get(source: Source, domain_id: str) -> Project:
    return projects.get_domain(source, domain_id)


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Project]:
    return store.find_all(source, [Filter("is_domain", True), *filters])


def of_user(source: Source, user_id: str, more: Iterable[str] = ()) -> list[Project]:
    """The enabled domains on which a user has a role; `more` groups are the user's too."""
    held = assignments.of_user(source, user_id, [*group_store.ids_of_user(source, user_id), *more])
    found = {one.target_id for one in held if one.target == Target.DOMAIN and not one.inherited}
    return [domain for domain in store.find_these(source, found) if domain.enabled]


def create(cloud: Cloud, words: Mapping[str, Any]) -> Project:
    """Store a new domain, under an id of the caller's where one is said."""
    said = words.get("explicit_domain_id")
    if said is not None and not ids.is_uuid(said):
        raise Invalid("Domain ID does not conform to required UUID format.")
    new = Project(
        id=said or ids.new_hex(),
        name=words["name"].strip(),
        domain_id=None,
        parent_id=None,
        description=words.get("description") or "",
        enabled=words.get("enabled", True) is not False,
        is_domain=True,
        options=changes.merge_options({}, words),
        extra=changes.extras(words, FIELDS),
    )

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if store.find(tx, new.id) is not None:
            raise changes.taken("domain", new.name)
        projects.add(tx, new, words.get("tags", ()))
        news.tell(tx, "domain", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, domain_id: str, words: Mapping[str, Any]) -> Project:
    get(cloud.db, domain_id)
    return projects.update(cloud, domain_id, words)


def delete(cloud: Cloud, domain_id: str, *, as_project: bool = False) -> None:
    """Remove a disabled domain with everything in it; as a project it must not have others below it."""
    news = Teller(cloud)
    options = domain_options.find_all(cloud.db, domain_id)

    def write(tx: Tx) -> None:
        domain = get(tx, domain_id)
        if as_project:
            projects.check_deletable(tx, domain)
        changes.check_deletable("domain", domain_id, domain.options)
        if domain.enabled:
            raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
        for project in reversed(projects.subtree(tx, domain_id)):
            projects.remove(tx, project.id)
            news.tell(tx, "project", "deleted", project.id)
        inside = [Filter("domain_id", domain_id)]
        for group in group_store.find_all(tx, inside):
            groups.remove(tx, group.id)
            news.tell(tx, "group", "deleted", group.id)
        for user in user_store.find_all(tx, inside):
            users.end(tx, user.id, news)
        for role in roles.find_all(tx, inside):
            roles.remove(tx, role.id)
            news.tell(tx, "role", "deleted", role.id)
        limits.remove_of_domain(tx, domain_id)
        projects.remove(tx, domain_id)
        news.tell(tx, "project", "deleted", domain_id)
        news.tell(tx, "domain", "deleted", domain_id)

    cloud.db.write(write)
    domain_configs.forget_secrets(cloud, options)
