# SPDX-License-Identifier: Apache-2.0
"""Logging in by a browser: sending it to an identity provider, and judging what it comes back with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.drivers import openid_connect
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect, Providers
from cumulet.services.identity.logic import assertions, federation_sources, mapped_login, saml_login, sealed_states
from cumulet.services.identity.logic.federation_sources import Saml
from cumulet.services.identity.logic.proofs import Proven
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.store import identity_providers, protocols


class LogIn(msgspec.Struct, frozen=True):
    """A log-in that a browser has begun. `secret` is the code verifier, or the id of the SAML request."""

    idp_id: str
    protocol_id: str
    origin: str
    state: str
    nonce: str
    secret: str


def speakers(cloud: Cloud, protocol_id: str) -> list[str]:
    """The ids of the enabled providers by which a browser can log in with a protocol."""
    found = []
    for protocol in protocols.named(cloud.db, protocol_id):
        provider = identity_providers.find(cloud.db, protocol.idp_id)
        if provider is not None and provider.enabled and federation_sources.find(cloud, provider.id, protocol_id):
            found.append(provider.id)
    return found


def begin(cloud: Cloud, idp_id: str, protocol_id: str, origin: str) -> tuple[str, str]:
    """Where to send the browser, and the sealed state that it has to bring back."""
    source = federation_sources.find(cloud, idp_id, protocol_id)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    back = callback(cloud, idp_id, protocol_id)
    if isinstance(source, OpenIdConnect):
        location = openid_connect.authorization_url(cloud.keep(Providers), source, back, state, nonce, verifier)
    elif isinstance(source, Saml):
        verifier = saml_login.new_id()
        location = saml_login.redirection(cloud, source, back, verifier, state)
    else:
        raise refused()
    return location, sealed_states.seal(cloud, LogIn(idp_id, protocol_id, origin, state, nonce, verifier))


def end_openid(
    cloud: Cloud, idp_id: str, protocol_id: str, cookie: str, words: Mapping[str, str]
) -> tuple[Proven, str]:
    """Whoever came back with a code, and the dashboard that waits."""
    begun = _begun(cloud, idp_id, protocol_id, cookie, words.get("state", ""))
    source = federation_sources.find(cloud, idp_id, protocol_id)
    if not isinstance(source, OpenIdConnect) or not words.get("code"):
        raise Unauthorized("The identity provider has not logged anybody in.")
    if words.get("iss", source.issuer) != source.issuer:
        raise Unauthorized("The answer is another issuer's.")
    back = callback(cloud, idp_id, protocol_id)
    claims = openid_connect.redeem(
        cloud.keep(Providers), source, words["code"], back, nonce=begun.nonce, verifier=begun.secret
    )
    provider, protocol = mapped_login.door(cloud, idp_id, protocol_id)
    return mapped_login.enter(cloud, provider, protocol, assertions.of_claims(claims)), begun.origin


def end_saml(
    cloud: Cloud, idp_id: str, protocol_id: str, cookie: str, response: str, relay_state: str
) -> tuple[Proven, str]:
    """Whoever came back with an assertion, and the dashboard that waits."""
    begun = _begun(cloud, idp_id, protocol_id, cookie, relay_state)
    provider, protocol = mapped_login.door(cloud, idp_id, protocol_id)
    source = federation_sources.find(cloud, idp_id, protocol_id)
    if not isinstance(source, Saml):
        raise refused()
    assertion = saml_login.of_form(cloud, source, response, callback(cloud, idp_id, protocol_id), begun.secret)
    return mapped_login.enter(cloud, provider, protocol, assertion), begun.origin


def callback(cloud: Cloud, idp_id: str, protocol_id: str) -> str:
    """Where the provider sends browsers back to: what is registered with it."""
    place = f"identity_providers/{quote(idp_id, safe='')}/protocols/{quote(protocol_id, safe='')}/websso"
    return f"{cloud.settings.control_url}/identity/v3/auth/OS-FEDERATION/{place}"


def _begun(cloud: Cloud, idp_id: str, protocol_id: str, cookie: str, state: str) -> LogIn:
    begun = sealed_states.unseal(cloud, cookie, LogIn)
    same = secrets.compare_digest(begun.state.encode(), state.encode())
    if (begun.idp_id, begun.protocol_id) != (idp_id, protocol_id) or not same:
        raise Unauthorized("The log-in was begun by somebody else.")
    return begun
