# SPDX-License-Identifier: Apache-2.0
"""What can be done with roles, and with the rules by which one implies another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.identity.logic import changes, projects, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import roles as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Role

FIELDS = ("name", "domain_id", "description")
NEVER_IMPLIED = "admin"


def get(source: Source, role_id: str) -> Role:
    found = store.find(source, role_id)
    if found is None:
        raise NotFound(f"Could not find role: {role_id}.", code="RoleNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Role]:
    return store.find_all(source, filters)


def create(cloud: Cloud, words: Mapping[str, Any]) -> Role:
    new = Role(
        id=ids.new_hex(),
        name=words["name"].strip(),
        domain_id=words.get("domain_id"),
        description=words.get("description"),
        options=changes.merge_options({}, words),
        extra=changes.extras(words, FIELDS),
    )

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if new.domain_id:
            projects.get_domain(tx, new.domain_id)
        if store.find_by_name(tx, new.name, new.domain_id) is not None:
            raise changes.taken("role", new.name, new.domain_id)
        store.add(tx, new)
        news.tell(tx, "role", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, role_id: str, words: Mapping[str, Any]) -> Role:
    news = Teller(cloud)

    def write(tx: Tx) -> Role:
        old = get(tx, role_id)
        changes.check_same(words, "id", old.id, "Cannot change ID")
        changes.check_same(words, "domain_id", old.domain_id, "Update of `domain_id` is not allowed.")
        changes.check_changeable("role", old.id, old.options, words)
        values: dict[str, Any] = {name: words[name] for name in ("name", "description") if name in words}
        if "name" in values and values["name"].strip() != old.name:
            values["name"] = values["name"].strip()
            if store.find_by_name(tx, values["name"], old.domain_id) is not None:
                raise changes.taken("role", values["name"], old.domain_id)
        values["options"] = changes.merge_options(old.options, words)
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, role_id, values)
        news.tell(tx, "role", "updated", role_id)
        revocations.changed(tx)
        return get(tx, role_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, role_id: str) -> None:
    """Remove a role, and with it every assignment and rule that names it."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        old = get(tx, role_id)
        changes.check_deletable("role", role_id, old.options)
        store.remove(tx, role_id)
        news.tell(tx, "role", "deleted", role_id)
        revocations.changed(tx)

    cloud.db.write(write)


def implied_by(source: Source, prior_id: str) -> list[Role]:
    """The roles that one implies directly."""
    get(source, prior_id)
    return store.find_these(
        source, [rule.implied_id for rule in store.implications(source) if rule.prior_id == prior_id]
    )


def implications(source: Source) -> list[tuple[Role, list[Role]]]:
    """Every role that implies others, with those."""
    known = {role.id: role for role in store.find_all(source)}
    rules: dict[str, list[Role]] = {}
    for rule in store.implications(source):
        rules.setdefault(rule.prior_id, []).append(known[rule.implied_id])
    return [(known[prior_id], implied) for prior_id, implied in rules.items()]


def check_implied(source: Source, prior_id: str, implied_id: str) -> Role:
    """The implied role; NotFound where there is no such rule."""
    implied = get(source, implied_id)
    if all(role.id != implied_id for role in implied_by(source, prior_id)):
        raise NotFound(f"{prior_id} does not imply {implied_id}.", code="ImpliedRoleNotFound")
    return implied


def imply(cloud: Cloud, prior_id: str, implied_id: str) -> None:
    """Let one role imply another; nothing implies `admin`, and a global role no domain's own."""

    def write(tx: Tx) -> None:
        prior, implied = get(tx, prior_id), get(tx, implied_id)
        if implied.name == NEVER_IMPLIED:
            raise Forbidden(f"{implied_id} cannot be an implied roles.")
        if prior.domain_id is None and implied.domain_id is not None:
            raise Forbidden(f"{implied_id} cannot be an implied roles.")
        if prior_id == implied_id:
            raise Invalid("A role cannot imply itself.")
        if any(role.id == implied_id for role in implied_by(tx, prior_id)):
            raise Conflict("Conflict occurred attempting to store implied_role - Duplicate entry.")
        store.imply(tx, prior_id, implied_id)
        revocations.changed(tx)

    cloud.db.write(write)


def stop_implying(cloud: Cloud, prior_id: str, implied_id: str) -> None:
    def write(tx: Tx) -> None:
        check_implied(tx, prior_id, implied_id)
        store.stop_implying(tx, prior_id, implied_id)
        revocations.changed(tx)

    cloud.db.write(write)
