# SPDX-License-Identifier: Apache-2.0
"""The method `mapped`: somebody whom an identity provider has proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Forbidden, Unauthorized
from cumulet.services.identity.drivers import openid_connect
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect, Providers
from cumulet.services.identity.logic import (
    assertions,
    federated_users,
    federation_sources,
    identity_providers,
    login_news,
    mapping_rules,
    mappings,
    protocols,
    token_login,
)
from cumulet.services.identity.logic.assertions import Assertion
from cumulet.services.identity.logic.bearers import REFUSED
from cumulet.services.identity.logic.mapping_rules import Mapped, NoMatch
from cumulet.services.identity.logic.payloads import METHODS
from cumulet.services.identity.logic.proofs import Attempt, Proven, find_user
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store import identity_providers as provider_store
from cumulet.services.identity.types import Federation, IdentityProvider, Protocol, User

METHOD = "mapped"

_BEARER = "bearer "


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    """By a federated token (`id`), or by the provider's access token in the header `Authorization`."""
    if "id" in words:
        proven = token_login.prove(cloud, words, attempt)
        if proven.federation is None:
            raise refused()
        identity_providers_enabled(cloud, proven.federation.identity_provider_id)
        return proven
    for name in ("identity_provider", "protocol"):
        if not isinstance(words.get(name), str):
            raise lacks(name, "mapped")
    provider, protocol = door(cloud, words["identity_provider"], words["protocol"])
    return enter(cloud, provider, protocol, by_bearer(cloud, provider, protocol, attempt.carried.headers))


def door(cloud: Cloud, idp_id: str, protocol_id: str) -> tuple[IdentityProvider, Protocol]:
    """A provider and its protocol; NotFound without, Forbidden while the provider is disabled."""
    provider = identity_providers_enabled(cloud, idp_id)
    return provider, protocols.get(cloud.db, idp_id, protocol_id)


def identity_providers_enabled(cloud: Cloud, idp_id: str) -> IdentityProvider:
    provider = identity_providers.get(cloud.db, idp_id)
    if not provider.enabled:
        raise Forbidden(REFUSED)
    return provider


def by_bearer(cloud: Cloud, provider: IdentityProvider, protocol: Protocol, headers: Mapping[str, str]) -> Assertion:
    """What the provider says of whoever holds an access token of its own."""
    said = headers.get("authorization", "")
    source = federation_sources.find(cloud, provider.id, protocol.id)
    if not isinstance(source, OpenIdConnect) or not said.lower().startswith(_BEARER):
        raise refused()
    claims = openid_connect.inspect(cloud.keep(Providers), source, said[len(_BEARER) :].strip())
    return assertions.of_claims(claims)


def enter(cloud: Cloud, provider: IdentityProvider, protocol: Protocol, assertion: Assertion) -> Proven:
    """Let somebody in as whom the mapping says; Unauthorized for whom it does not let in."""
    with login_news.told_from_elsewhere(cloud, provider.id) as proofs:
        proofs.append(_mapped(cloud, provider, protocol, assertion))
    return proofs[0]


def _mapped(cloud: Cloud, provider: IdentityProvider, protocol: Protocol, assertion: Assertion) -> Proven:
    _check_issuer(cloud, provider, protocol, assertion)
    mapping = mappings.get(cloud.db, protocol.mapping_id)
    try:
        mapped = mapping_rules.evaluate(mapping.rules, assertion, mapping.schema_version)
    except NoMatch as error:
        raise Unauthorized(str(error)) from None
    method = protocol.id if protocol.id in METHODS else METHOD
    if mapped.kind == mapping_rules.LOCAL:
        return Proven(user=local(cloud, mapped), methods=(method,))
    user, group_ids = federated_users.shadow(cloud, provider, protocol, mapped, mapping.schema_version)
    return Proven(user=user, methods=(method,), federation=Federation(provider.id, protocol.id, tuple(group_ids)))


def _check_issuer(cloud: Cloud, provider: IdentityProvider, protocol: Protocol, assertion: Assertion) -> None:
    """Where the provider has names, the assertion must say one of them."""
    names = provider_store.remote_ids(cloud.db, provider.id)
    if not names:
        return
    attribute = protocol.remote_id_attribute or assertions.ISSUER
    if attribute not in assertion:
        raise Unauthorized("Could not find Identity Provider identifier in environment")
    if assertion[attribute] not in names:
        raise Forbidden(REFUSED)


def local(cloud: Cloud, mapped: Mapped) -> User:
    """The user of this cloud whom the mapping names."""
    words = {name: mapped.user[name] for name in ("id", "name", "domain") if mapped.user.get(name)}
    user = find_user(cloud.db, words)
    if user is None or not user.enabled:
        raise refused()
    enabled_domain(cloud.db, {"id": user.domain_id})
    return user
