# SPDX-License-Identifier: Apache-2.0
"""How the limits of domains and projects bind each other: not at all (`flat`), or a project's is never above its
domain's (`strict_two_level`), where a domain without a limit has the registered one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError, Forbidden
from cumulet.services.identity.logic import projects, registered_limits
from cumulet.services.identity.store import limits as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import RegisteredLimit

STRICT = "strict_two_level"
DESCRIPTIONS = {
    "flat": "A project's usage is held against its own limits alone, whatever its parents'.",
    STRICT: "The limits of a domain bind those of its projects; projects stand at most two levels below it.",
}

# A limit as it is asked for: project_id or domain_id, service_id, region_id, resource_name, resource_limit.
Wanted = Mapping[str, Any]


def check(cloud: Cloud, tx: Tx, several: Sequence[Wanted]) -> None:
    """Forbidden for a limit that does not fit those above and below it, or those that come with it."""
    if cloud.settings.identity.limit_model == STRICT:
        for wanted in several:
            if not _fits(tx, wanted, several):
                raise _misfit(wanted)


def _fits(tx: Tx, wanted: Wanted, several: Sequence[Wanted]) -> bool:
    amount: int = wanted["resource_limit"]
    registered = registered_limits.find_for(tx, wanted["service_id"], wanted.get("region_id"), wanted["resource_name"])
    if wanted.get("project_id"):
        parent_id = projects.get(tx, wanted["project_id"]).parent_id
        beside = [other for other in several if other.get("domain_id") == parent_id and _same(other, wanted)]
        above = beside[0]["resource_limit"] if beside else _of_domain(tx, registered, parent_id)
        return not above or amount <= above
    below = (_own(tx, registered, "project_id", one.id) for one in projects.subtree(tx, wanted["domain_id"]))
    return all(not limit or amount >= limit for limit in below)


def _of_domain(tx: Tx, registered: RegisteredLimit | None, domain_id: str | None) -> int | None:
    own = _own(tx, registered, "domain_id", domain_id)
    return own if own is not None or registered is None else registered.default_limit


def _own(tx: Tx, registered: RegisteredLimit | None, owner: str, owner_id: str | None) -> int | None:
    if registered is None or owner_id is None:
        return None
    found = store.find_all(tx, [Filter("registered_limit_id", registered.id), Filter(owner, owner_id)])
    return found[0].resource_limit if found else None


def _same(other: Wanted, wanted: Wanted) -> bool:
    return all(other.get(name) == wanted.get(name) for name in ("service_id", "region_id", "resource_name"))


def _misfit(wanted: Wanted) -> CumuletError:
    level = "project_id" if wanted.get("project_id") else "domain_id"
    return Forbidden(
        f"Invalid resource limit: The resource limit ({level}: {wanted[level]}, "
        f"resource_name: {wanted['resource_name']}, resource_limit: {wanted['resource_limit']}, "
        f"service_id: {wanted['service_id']}, region_id: {wanted.get('region_id')}) doesn't satisfy current hierarchy "
        "model..",
        code="InvalidLimit",
    )
