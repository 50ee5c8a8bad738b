# SPDX-License-Identifier: Apache-2.0
"""What can be done with users and their passwords."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.identity import events
from cumulet.services.identity.logic import (
    accounts,
    changes,
    directories,
    login_news,
    password_rules,
    projects,
    revocations,
    trust_ends,
)
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.store import (
    access_rules,
    access_tokens,
    application_credentials,
    assignments,
    credentials,
)
from cumulet.services.identity.store import accounts as account_store
from cumulet.services.identity.store import projects as project_store
from cumulet.services.identity.store import users as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Actor, User

FIELDS = ("name", "domain_id", "default_project_id", "enabled", "password", "password_expires_at")


def get(source: Source, user_id: str) -> User:
    found = store.find(source, user_id)
    if found is None:
        raise NotFound(f"Could not find user: {user_id}.", code="UserNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[User]:
    return store.find_all(source, filters)


def create(cloud: Cloud, ctx: Context, words: Mapping[str, Any]) -> User:
    """Store a new user, with a password where one is said."""
    new = User(
        id=ids.new_hex(),
        name=words["name"].strip(),
        domain_id=changes.home(ctx, words),
        default_project_id=words.get("default_project_id"),
        enabled=words.get("enabled", True) is not False,
        options=changes.merge_options({}, words),
        extra=changes.extras(words, FIELDS),
        created_at=clock.utcnow(),
    )
    hashed = password_rules.hash_new(cloud, words["password"]) if "password" in words else None
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        projects.get_domain(tx, new.domain_id)
        directories.check_writable(tx, new.domain_id)
        _check_default_project(tx, new.default_project_id)
        if store.find_by_name(tx, new.name, new.domain_id) is not None:
            raise changes.taken("user", new.name, new.domain_id)
        store.add(tx, new)
        if hashed is not None:
            password_rules.replace(tx, cloud, new.id, hashed, new.options, self_service=False)
        news.tell(tx, "user", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, user_id: str, words: Mapping[str, Any]) -> User:
    """Change a user; a new password, and disabling, make the user's tokens void.

    Application credentials rest while their user is disabled, and are good again afterwards, as in Keystone.
    """
    hashed = password_rules.hash_new(cloud, words["password"]) if "password" in words else None
    news = Teller(cloud)

    def write(tx: Tx) -> User:
        old = get(tx, user_id)
        directories.check_writable(tx, old.domain_id)
        changes.check_same(words, "domain_id", old.domain_id, "Cannot change Domain ID")
        changes.check_same(words, "id", old.id, "Cannot change ID")
        values = {name: words[name] for name in ("name", "enabled") if words.get(name) is not None}
        if "name" in values and values["name"].strip() != old.name:
            values["name"] = values["name"].strip()
            if store.find_by_name(tx, values["name"], old.domain_id) is not None:
                raise changes.taken("user", values["name"], words.get("domain_id"))
        if "default_project_id" in words:
            _check_default_project(tx, words["default_project_id"])
            values["default_project_id"] = words["default_project_id"]
        values["options"] = changes.merge_options(old.options, words)
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, user_id, values)
        if hashed is not None:
            password_rules.replace(tx, cloud, user_id, hashed, values["options"], self_service=False)
        if values.get("enabled"):
            accounts.reset(tx, user_id)
        disabled = old.enabled and values.get("enabled") is False
        if hashed is not None or disabled:
            revocations.revoke(tx, user_id=user_id)
        revocations.changed(tx)
        news.tell(tx, "user", "updated", user_id)
        return get(tx, user_id)

    return cloud.db.write(write)


def change_password(cloud: Cloud, user_id: str, original: str, new: str) -> None:
    """Replace one's own password; Unauthorized unless `original` is the one so far, which may have expired."""
    found = store.find(cloud.db, user_id)
    if found is not None:
        directories.check_writable(cloud.db, found.domain_id)
    user = _prove(cloud, user_id, found, original)
    kept = store.password_of(cloud.db, user_id)
    if kept is None:
        raise refused()
    news = Teller(cloud)
    try:
        password_rules.check_change(cloud, user, kept, new)
    except Invalid as error:
        refusal = events.reason(error.message, error.status)
        cloud.db.write(lambda tx: news.tell(tx, "user", "updated", user_id, reason=refusal))
        raise
    hashed = password_rules.hash_new(cloud, new)
    assert hashed is not None

    def write(tx: Tx) -> None:
        now = store.password_of(tx, user_id)
        if now is None or now.hash != kept.hash:
            raise refused()
        password_rules.replace(tx, cloud, user_id, hashed, user.options, self_service=True)
        revocations.revoke(tx, user_id=user_id)
        news.tell(tx, "user", "updated", user_id)

    cloud.db.write(write)


def delete(cloud: Cloud, user_id: str) -> None:
    """Remove a user with all that is the user's here."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        directories.check_writable(tx, get(tx, user_id).domain_id)
        end(tx, user_id, news)

    cloud.db.write(write)


def end(tx: Tx, user_id: str, news: Teller) -> None:
    """Remove a user, and tell of it and of what goes with the user."""
    for credential in application_credentials.of_user(tx, user_id):
        news.tell(tx, "application_credential", "deleted", credential.id)
    for rule in access_rules.of_user(tx, user_id):
        news.tell(tx, "access_rule", "deleted", rule.id)
    remove(tx, user_id)
    news.tell(tx, "user", "deleted", user_id)


def remove(tx: Tx, user_id: str) -> None:
    """Remove a user's row and what hangs on it."""
    assignments.remove_all(tx, actor=Actor.USER, actor_id=user_id)
    credentials.remove_of_user(tx, user_id)
    access_tokens.remove_of_user(tx, user_id)
    trust_ends.bury_of_user(tx, user_id)
    account_store.remove(tx, user_id)
    store.remove(tx, user_id)
    revocations.revoke(tx, user_id=user_id)


def _prove(cloud: Cloud, user_id: str, user: User | None, secret: str) -> User:
    """The user, whose password may have ended: it is good for being changed yet."""
    try:
        with login_news.told(cloud, "password", {"user": {"id": user_id}}):
            return accounts.prove(cloud, user, secret)
    except accounts.Expired as error:
        accounts.note_success(cloud, error.user)
        return error.user


def _check_default_project(tx: Tx, project_id: str | None) -> None:
    """A default project need not be there, but must not be a domain."""
    project = project_store.find(tx, project_id) if project_id else None
    if project is not None and project.is_domain:
        raise Invalid(f"User's default project ID cannot be a domain ID: {project_id}")
