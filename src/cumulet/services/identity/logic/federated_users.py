# SPDX-License-Identifier: Apache-2.0
"""Users who live elsewhere: their shadows here, the groups they are in for a while, the projects mapped to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, Unauthorized
from cumulet.services.identity.logic import projects, public_ids, revocations
from cumulet.services.identity.logic.mapping_rules import Mapped
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import assignments, groups, identity_providers, roles, users
from cumulet.services.identity.store import federated_users as store
from cumulet.services.identity.store import projects as project_store
from cumulet.services.identity.types import (
    Actor,
    Assignment,
    FederatedUser,
    Federation,
    IdentityProvider,
    Project,
    Protocol,
    Target,
    User,
)

SYNCHRONISED = "3.0"  # from this version of mappings on, what a log-in does not grant is taken away
_LONGEST = 255


def shadow(
    cloud: Cloud, provider: IdentityProvider, protocol: Protocol, mapped: Mapped, version: str
) -> tuple[User, list[str]]:
    """The user here for an ephemeral one, made or brought up to date, and the ids of the groups it was mapped to."""
    news = Teller(cloud)
    own = provider.authorization_ttl
    minutes = cloud.settings.identity.authorization_ttl if own is None else own
    ends = clock.utcnow() + timedelta(minutes=minutes)

    def write(tx: Tx) -> tuple[User, list[str]]:
        domain_id = _domain(tx, mapped.user.get("domain"), provider.domain_id)
        unique_id, name = _identity(mapped.user)
        group_ids = _groups(tx, mapped)
        user, is_new = _user(tx, FederatedUser(provider.id, protocol.id, unique_id, "", name), domain_id, mapped, news)
        if mapped.projects is not None:
            _assign(tx, user, mapped.projects, provider, version, news)
        changed = store.set_memberships(tx, user.id, provider.id, group_ids, ends)
        if changed and not is_new:
            revocations.revoke(tx, user_id=user.id)
        revocations.changed(tx)
        return user, group_ids

    return cloud.db.write(write)


def shown(source: Source, user: User, federation: Federation | None) -> User:
    """The user under the name that the provider gave, which another user of the domain may have too.

    Unauthorized where the provider or the protocol is gone, or the provider disabled.
    """
    if federation is None:
        return user
    provider = identity_providers.find(source, federation.identity_provider_id)
    if provider is None or not provider.enabled:
        raise Unauthorized("The identity provider is gone or disabled.")
    for known in store.of_user(source, user.id):
        if (known.idp_id, known.protocol_id) == (federation.identity_provider_id, federation.protocol_id):
            return msgspec.structs.replace(user, name=known.display_name)
    raise Unauthorized("The identity provider does not know the user any more.")


def described(source: Source, user_id: str) -> list[dict[str, Any]]:
    """Who a user is to identity providers, as Keystone tells it: their ids, each with protocols and the id there."""
    found: dict[str, list[dict[str, str]]] = {}
    for known in store.of_user(source, user_id):
        protocol = {"protocol_id": known.protocol_id, "unique_id": known.unique_id}
        found.setdefault(known.idp_id, []).append(protocol)
    return [{"idp_id": idp_id, "protocols": protocols} for idp_id, protocols in found.items()]


def membership_ends(source: Source, user_id: str) -> dict[str, str]:
    """The ids of the groups that a user is in for a while, with the moment until which."""
    return {one.group_id: clock.iso_micro(one.expires_at) for one in store.memberships(source, user_id)}


def lapsed(source: Source) -> bool:
    """Whether somebody's time in a group is over."""
    return store.lapsed(source, clock.utcnow())


def end_memberships(tx: Tx) -> None:
    """Take everybody whose time is over out of the groups."""
    store.end_memberships(tx, clock.utcnow())
    revocations.changed(tx)


def _identity(user: Mapping[str, Any]) -> tuple[str, str]:
    """The unique id and the name to show; either stands for the other."""
    name = user.get("name") or user.get("id")
    unique = user.get("id") or user.get("name")
    if not name or not unique:
        raise Unauthorized("Could not map user while setting ephemeral user identity.")
    unique = quote(unique)
    if len(unique) > _LONGEST or len(name) > _LONGEST:
        raise Unauthorized("The mapped user's name is too long.")
    return unique, name


def _user(tx: Tx, wanted: FederatedUser, domain_id: str, mapped: Mapped, news: Teller) -> tuple[User, bool]:
    email = {"email": mapped.user["email"]} if mapped.user.get("email") else {}
    known = store.find(tx, wanted.idp_id, wanted.protocol_id, wanted.unique_id)
    user = users.find(tx, known.user_id) if known is not None else None
    if known is not None and user is not None:
        if not user.enabled:
            raise Unauthorized("The user is disabled.")
        if known.display_name != wanted.display_name:
            store.rename(tx, known, wanted.display_name)
        if email and user.extra.get("email") != email["email"]:
            users.change(tx, user.id, {"extra": {**user.extra, **email}})
            news.tell(tx, "user", "updated", user.id)
        return user, False
    user_id = public_ids.of(domain_id, Actor.USER, wanted.unique_id)
    if users.find(tx, user_id) is not None:
        user_id = ids.new_hex()
    name = next(
        name
        for name in (wanted.display_name, f"{wanted.display_name}@{wanted.idp_id}"[:_LONGEST], user_id)
        if users.find_by_name(tx, name, domain_id) is None
    )
    user = User(user_id, name, domain_id, None, True, {}, dict(email), clock.utcnow())
    users.add(tx, user)
    store.add(tx, msgspec.structs.replace(wanted, user_id=user_id))
    news.tell(tx, "user", "created", user_id)
    return user, True


def _groups(tx: Tx, mapped: Mapped) -> list[str]:
    """The ids of the groups mapped; one named by id must be there, one named by name is passed over where it is not."""
    found = dict.fromkeys(mapped.group_ids)
    for group_id in found:
        if len(group_id) > _LONGEST or groups.find(tx, group_id) is None:
            raise Unauthorized("A group that the mapping names by its id is not there.")
    for words in mapped.group_names:
        group = groups.find_by_name(tx, words["name"], _domain(tx, words["domain"], None))
        if group is not None:
            found[group.id] = None
    return list(found)


def _domain(source: Source, words: Mapping[str, Any] | None, default_id: str | None) -> str:
    """The id of `{"id": ...}` or `{"name": ...}`; Unauthorized where there is none such."""
    domain: Project | None = None
    if words and words.get("id"):
        domain = project_store.find(source, str(words["id"]))
    elif words and words.get("name"):
        domain = project_store.find_by_name(source, str(words["name"]), None)
    elif default_id is not None:
        domain = project_store.find(source, default_id)
    if domain is None or not domain.is_domain:
        raise Unauthorized("A domain that the mapping names is not there.")
    return domain.id


def _assign(
    tx: Tx, user: User, wanted: Iterable[Mapping[str, Any]], provider: IdentityProvider, version: str, news: Teller
) -> None:
    """Give the user the roles mapped, on projects that are made where they are not there."""
    known = {role.name: role for role in roles.find_all(tx) if role.domain_id in (None, user.domain_id)}
    granted: set[tuple[str, str]] = set()
    for words in wanted:
        missing = [role["name"] for role in words["roles"] if role["name"] not in known]
        if missing:
            raise Unauthorized(f"A role that the mapping names is not there: {missing[0]}.")
        project = _project(tx, words, provider, news)
        granted |= {(project.id, known[role["name"]].id) for role in words["roles"]}
    held = assignments.find_all(tx, actor=Actor.USER, actor_id=user.id, target=Target.PROJECT)
    have = {(one.target_id, one.role_id) for one in held if not one.inherited}
    for project_id, role_id in sorted(granted - have):
        given = Assignment(Actor.USER, user.id, Target.PROJECT, project_id, role_id, False)
        assignments.add(tx, given)
        news.tell_grant(tx, "created", given)
    if float(version) >= float(SYNCHRONISED):
        for project_id, role_id in sorted(have - granted):
            taken = Assignment(Actor.USER, user.id, Target.PROJECT, project_id, role_id, False)
            assignments.remove(tx, taken)
            news.tell_grant(tx, "deleted", taken)


def _project(tx: Tx, words: Mapping[str, Any], provider: IdentityProvider, news: Teller) -> Project:
    domain_id = _domain(tx, words.get("domain"), provider.domain_id)
    found = project_store.find_by_name(tx, words["name"], domain_id)
    if found is not None:
        return found
    if not 0 < len(words["name"].strip()) <= 64:
        raise Unauthorized("The mapped project's name is empty or too long.")
    new = Project(ids.new_hex(), words["name"].strip(), domain_id, domain_id, "", True, False, {}, {})
    try:
        projects.add(tx, new)
    except CumuletError as error:
        raise Unauthorized(f"A mapped project cannot be made: {error.message}") from None
    news.tell(tx, "project", "created", new.id)
    return new
