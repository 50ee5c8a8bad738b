# SPDX-License-Identifier: Apache-2.0
"""What can be done with limits: the own values of projects and domains in the place of registered limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, NotFound
from cumulet.services.identity.logic import limit_models, registered_limits
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import limits as store
from cumulet.services.identity.store import projects, services
from cumulet.services.identity.store import registered_limits as store_of_registered
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Limit, RegisteredLimit

SUPERUSERS = frozenset({"admin", "service"})


class Full(msgspec.Struct, frozen=True):
    """A limit with the registered one that it stands for."""

    own: Limit
    registered: RegisteredLimit


def get(source: Source, limit_id: str) -> Full:
    found = store.find(source, limit_id)
    if found is None:
        raise NotFound(f"Could not find limit for {limit_id}.", code="LimitNotFound")
    return Full(found, registered_limits.get(source, found.registered_limit_id))


def find_all(source: Source, ctx: Context, filters: Iterable[Filter] = ()) -> list[Full]:
    """The limits that the caller may see: all, or those of the token's domain or project."""
    every = [
        Full(one, registered_limits.get(source, one.registered_limit_id)) for one in store.find_all(source, filters)
    ]
    if ctx.system_scope or ctx.roles & SUPERUSERS:
        return every
    if ctx.domain_id is not None:
        inside = {project.id for project in projects.find_all(source, [Filter("domain_id", ctx.domain_id)])}
        return [one for one in every if one.own.project_id in inside or one.own.domain_id == ctx.domain_id]
    return [one for one in every if ctx.project_id is not None and one.own.project_id == ctx.project_id]


def in_force(source: Source, service_type: str, region: str | None, project_id: str | None) -> dict[str, int]:
    """The limits of a service's resources by their names: the project's own, or the registered ones.

    Those of the region come before those of all regions.
    """
    found: dict[str, int] = {}
    for service in services.find_all(source, [Filter("type", service_type)]):
        registered = store_of_registered.find_all(source, [Filter("service_id", service.id)])
        here = [each for each in registered if each.region_id in (None, region)]
        for each in sorted(here, key=lambda one: one.region_id is not None):
            found[each.resource_name] = each.default_limit
            if project_id is not None:
                same = [Filter("registered_limit_id", each.id), Filter("project_id", project_id)]
                for own in store.find_all(source, same):
                    found[each.resource_name] = own.resource_limit
    return found


def create(cloud: Cloud, several: Sequence[Mapping[str, Any]]) -> list[Full]:
    """Store several limits, all or none; each needs a registered limit to stand for."""

    def write(tx: Tx) -> list[Full]:
        wanted = [_with_owner(tx, words) for words in several]
        limit_models.check(cloud, tx, wanted)
        return [_add(tx, words) for words in wanted]

    return cloud.db.write(write)


def update(cloud: Cloud, limit_id: str, words: Mapping[str, Any]) -> Full:
    def write(tx: Tx) -> Full:
        old = get(tx, limit_id)
        changes = {name: words[name] for name in ("resource_limit", "description") if name in words}
        limit_models.check(cloud, tx, [{**_words(old), **changes}])
        if changes:
            store.change(tx, limit_id, changes)
        return get(tx, limit_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, limit_id: str) -> None:
    def write(tx: Tx) -> None:
        get(tx, limit_id)
        store.remove(tx, limit_id)

    cloud.db.write(write)


def _add(tx: Tx, words: Mapping[str, Any]) -> Full:
    project_id, domain_id = words.get("project_id"), words.get("domain_id")
    if services.find(tx, words["service_id"]) is None:
        raise lacks("service_id", "limit")
    registered = registered_limits.find_for(tx, words["service_id"], words.get("region_id"), words["resource_name"])
    if registered is None:
        raise Forbidden("Unable to create a limit that has no corresponding registered limit.")
    same = (
        Filter("registered_limit_id", registered.id),
        Filter("project_id", project_id),
        Filter("domain_id", domain_id),
    )
    if store.find_all(tx, same):
        raise Conflict("Conflict occurred attempting to store limit - Duplicate entry.")
    new = Limit(ids.new_hex(), registered.id, project_id, domain_id, words["resource_limit"], words.get("description"))
    store.add(tx, new)
    return Full(new, registered)


def _with_owner(tx: Tx, words: Mapping[str, Any]) -> dict[str, Any]:
    """The words with an owner who is there; a project that acts as a domain is meant as the domain."""
    project_id, domain_id = words.get("project_id"), words.get("domain_id")
    project = projects.find(tx, project_id) if project_id is not None else None
    if project is not None and project.is_domain:
        project_id, domain_id = None, project.id
    elif project_id is not None and project is None:
        raise lacks("project_id", "limit")
    domain = projects.find(tx, domain_id) if domain_id is not None else None
    if domain_id is not None and (domain is None or not domain.is_domain):
        raise lacks("domain_id", "limit")
    return {**words, "project_id": project_id, "domain_id": domain_id}


def _words(limit: Full) -> dict[str, Any]:
    own, registered = limit.own, limit.registered
    return {
        "project_id": own.project_id,
        "domain_id": own.domain_id,
        "service_id": registered.service_id,
        "region_id": registered.region_id,
        "resource_name": registered.resource_name,
        "resource_limit": own.resource_limit,
    }
