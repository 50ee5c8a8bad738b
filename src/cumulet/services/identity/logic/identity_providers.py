# SPDX-License-Identifier: Apache-2.0
"""What can be done with identity providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.identity.logic import domains, federation_sources, projects, revocations, users
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import federated_users
from cumulet.services.identity.store import identity_providers as store
from cumulet.services.identity.store import protocols as protocol_store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import IdentityProvider, Project

LONGEST_ID = 64


class Known(msgspec.Struct, frozen=True):
    """An identity provider with the names that it calls itself by."""

    provider: IdentityProvider
    remote_ids: list[str]


def get(source: Source, idp_id: str) -> IdentityProvider:
    found = store.find(source, idp_id)
    if found is None:
        raise NotFound(f"Could not find Identity Provider: {idp_id}.", code="IdentityProviderNotFound")
    return found


def find(source: Source, idp_id: str) -> Known:
    return Known(get(source, idp_id), store.remote_ids(source, idp_id))


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Known]:
    return [Known(found, store.remote_ids(source, found.id)) for found in store.find_all(source, filters)]


def create(cloud: Cloud, idp_id: str, words: Mapping[str, Any]) -> Known:
    """Store a new provider; one for which no domain is said gets one of its own."""
    check_id(idp_id)
    own_domain = None if words.get("domain_id") else _new_domain(idp_id)
    provider = IdentityProvider(
        id=idp_id,
        domain_id=own_domain.id if own_domain is not None else words["domain_id"],
        enabled=bool(words.get("enabled", False)),
        description=words.get("description"),
        authorization_ttl=words.get("authorization_ttl"),
    )
    names = list(words.get("remote_ids") or ())
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if own_domain is None:
            domains.get(tx, provider.domain_id)
        if store.find(tx, idp_id) is not None:
            raise Conflict("Conflict occurred attempting to store identity_provider - Duplicate entry: None.")
        _check_names(tx, idp_id, names)
        if own_domain is not None:
            projects.add(tx, own_domain)
            news.tell(tx, "domain", "created", own_domain.id)
        store.add(tx, provider)
        store.set_remote_ids(tx, idp_id, names)

    cloud.db.write(write)
    return Known(provider, names)


def update(cloud: Cloud, idp_id: str, words: Mapping[str, Any]) -> Known:
    """Change what may change; whoever came by a provider that is disabled is no longer let in."""
    values = {name: words[name] for name in ("enabled", "description", "authorization_ttl") if name in words}

    def write(tx: Tx) -> Known:
        get(tx, idp_id)
        if values:
            store.change(tx, idp_id, values)
        if "remote_ids" in words:
            names = list(words["remote_ids"] or ())
            _check_names(tx, idp_id, names)
            store.set_remote_ids(tx, idp_id, names)
        revocations.changed(tx)
        return find(tx, idp_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, idp_id: str) -> None:
    """Remove a provider with its protocols, and the users who could log in by it alone."""
    news = Teller(cloud)

    def write(tx: Tx) -> list[str]:
        get(tx, idp_id)
        for user_id in federated_users.only_known_by(tx, idp_id):
            users.end(tx, user_id, news)
        protocol_ids = [protocol.id for protocol in protocol_store.find_all(tx, idp_id)]
        for protocol_id in protocol_ids:
            protocol_store.remove(tx, idp_id, protocol_id)
        store.remove(tx, idp_id)
        revocations.changed(tx)
        return protocol_ids

    for protocol_id in cloud.db.write(write):
        federation_sources.remove(cloud.vault, idp_id, protocol_id)


def check_id(resource_id: str) -> None:
    """Refuse an id of the caller's choice that is longer than any."""
    if len(resource_id) > LONGEST_ID:
        raise Invalid(f"An id has at most {LONGEST_ID} characters.")


def _new_domain(idp_id: str) -> Project:
    domain_id = ids.new_hex()
    return Project(
        id=domain_id,
        name=domain_id,
        domain_id=None,
        parent_id=None,
        description=f"Auto generated federated domain for Identity Provider: {idp_id}",
        enabled=True,
        is_domain=True,
        options={},
        extra={},
    )


def _check_names(tx: Tx, idp_id: str, names: Iterable[str]) -> None:
    for name in names:
        if store.owner_of(tx, name) not in (None, idp_id):
            raise Conflict("Conflict occurred attempting to store identity_provider - Duplicate remote ID: None.")
