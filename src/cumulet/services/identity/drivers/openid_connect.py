# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider as its relying party sees it: codes and access tokens to claims about a person.

Discovery, the code flow with PKCE (RFC 7636), ID tokens, access tokens as JWT (RFC 9068) or by introspection (RFC
7662). Only asymmetric signatures are taken. What is wrong with a proof ends in Unauthorized, a provider that does not
answer in NotReady; neither holds a secret.

LIMITATIONS: no encrypted tokens, no dynamic registration, no log-out at the provider.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.errors import NotReady, Unauthorized

TIMEOUT = 10.0  # seconds for one answer of a provider
LARGEST = 1024 * 1024  # bytes of one answer
FRESH = 3600.0  # seconds that a provider's description and keys are kept
LEAST = 15.0  # seconds before keys are asked for again because one is missing
LEEWAY = 60  # seconds that a provider's clock may be off
_SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class OpenIdConnect(msgspec.Struct, frozen=True, kw_only=True, tag="openid_connect"):
    """How this cloud is known to a provider.

    Access tokens of a command line are taken where they are for `client_id` or one of `audiences`; with `introspect`
    the provider is asked about each.
    """

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: str = "openid email profile"
    audiences: tuple[str, ...] = ()
    introspect: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What somebody answered."""

    status: int
    body: Any


class Providers:
    """What this process knows of the providers that it has asked: descriptions and keys."""

    def __init__(self) -> None:
        self._descriptions: dict[str, tuple[float, dict[str, Any]]] = {}
        self._keys: dict[str, tuple[float, dict[str, Any]]] = {}

    def describe(self, issuer: str) -> dict[str, Any]:
        """The provider's own description, which must be of the issuer that it was asked for."""
        known = self._descriptions.get(issuer)
        if known is None or time.monotonic() - known[0] > FRESH:
            found = _ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration").body
            if not isinstance(found, dict) or found.get("issuer") != issuer:
                raise NotReady("The identity provider does not describe itself as the issuer that is configured.")
            known = self._descriptions[issuer] = (time.monotonic(), found)
        return known[1]

    def key(self, issuer: str, name: str | None) -> Any:
        """The public key `name` of a provider, or its only one; None where it has none such."""
        known = self._keys.get(issuer)
        age = time.monotonic() - known[0] if known is not None else FRESH + 1
        if known is None or age > FRESH or (_key(known[1], name) is None and age > LEAST):
            found = _ask(_endpoint(self.describe(issuer), "jwks_uri")).body
            if not isinstance(found, dict):
                raise NotReady("The identity provider has no keys.")
            known = self._keys[issuer] = (time.monotonic(), found)
        return _key(known[1], name)


def authorization_url(
    providers: Providers, client: OpenIdConnect, redirect_uri: str, state: str, nonce: str, verifier: str
) -> str:
    """Where a browser is sent to log in; `verifier` is kept, and shown when the code is exchanged."""
    words = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": client.scopes,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }
    endpoint = _endpoint(providers.describe(client.issuer), "authorization_endpoint")
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(words, quote_via=quote)}"


def challenge(verifier: str) -> str:
    """What is shown of a verifier beforehand (S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def redeem(
    providers: Providers, client: OpenIdConnect, code: str, redirect_uri: str, nonce: str, verifier: str
) -> dict[str, Any]:
    """The claims about whoever came back with `code`, those of the provider's user information among them."""
    about = providers.describe(client.issuer)
    words = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    answer = _ask(_endpoint(about, "token_endpoint"), form=words, client=client)
    tokens = answer.body
    if answer.status != 200 or not isinstance(tokens, dict) or not isinstance(tokens.get("id_token"), str):
        raise Unauthorized("The identity provider did not take the code.")
    claims = _verified(providers, client.issuer, tokens["id_token"], (client.client_id,))
    if claims.get("nonce") != nonce or claims.get("azp", client.client_id) != client.client_id:
        raise Unauthorized("The ID token was made for another log-in.")
    access_token = tokens.get("access_token")
    if about.get("userinfo_endpoint") and isinstance(access_token, str):
        more = _ask(_endpoint(about, "userinfo_endpoint"), bearer=access_token)
        if more.status == 200 and isinstance(more.body, dict) and more.body.get("sub") == claims.get("sub"):
            return {**more.body, **claims}
    return claims


def inspect(providers: Providers, client: OpenIdConnect, access_token: str) -> dict[str, Any]:
    """The claims behind an access token that was given out for this cloud."""
    audiences = (client.client_id, *client.audiences)
    if not client.introspect:
        return _verified(providers, client.issuer, access_token, audiences)
    endpoint = _endpoint(providers.describe(client.issuer), "introspection_endpoint")
    claims = _ask(endpoint, form={"token": access_token}, client=client).body
    if not isinstance(claims, dict) or claims.get("active") is not True:
        raise Unauthorized("The access token is not valid.")
    meant = claims.get("aud", claims.get("client_id"))
    if not set(audiences) & set(meant if isinstance(meant, list) else [meant]):
        raise Unauthorized("The access token is for somebody else.")
    if claims.setdefault("iss", client.issuer) != client.issuer:
        raise Unauthorized("The access token is another issuer's.")
    expires = claims.get("exp", clock.now() + 1)
    if not isinstance(expires, int | float) or expires <= clock.now():
        raise Unauthorized("The access token has expired.")
    return claims


def _verified(providers: Providers, issuer: str, text: str, audiences: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a signed token; Unauthorized unless it is the issuer's, for us, and alive."""
    import jwt  # 60 ms, and only who federates needs it

    try:
        name = jwt.get_unverified_header(text).get("kid")
        key = providers.key(issuer, name if isinstance(name, str) else None)
        if key is None:
            raise Unauthorized("The token is signed with a key that its issuer does not show.")
        claims: dict[str, Any] = jwt.decode(
            text,
            jwt.PyJWK(key).key,
            algorithms=_SIGNATURES,
            audience=audiences,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "sub", "aud"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise Unauthorized(f"The token is not valid ({type(error).__name__}).") from None
    return claims


def _key(keys: Mapping[str, Any], name: str | None) -> Any:
    listed = [key for key in keys.get("keys", ()) if isinstance(key, dict) and key.get("use", "sig") == "sig"]
    if name is None:
        return listed[0] if len(listed) == 1 else None
    return next((key for key in listed if key.get("kid") == name), None)


def _endpoint(about: Mapping[str, Any], name: str) -> str:
    url = about.get(name)
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise NotReady(f"The identity provider has no {name}.")
    return url


def _ask(
    url: str, form: Mapping[str, str] | None = None, client: OpenIdConnect | None = None, bearer: str | None = None
) -> Answer:
    """One request, which follows no redirection and reads no more than LARGEST."""
    headers = {"Accept": "application/json"}
    words = dict(form) if form is not None else None
    if client is not None and client.client_secret:
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    elif client is not None and words is not None:
        words["client_id"] = client.client_id
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    data = urlencode(words).encode() if words is not None else None
    import urllib.request  # with TLS, 30 ms that nobody else has to pay for

    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler())
    try:
        request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  the opener speaks HTTP alone
        with opener.open(request, timeout=TIMEOUT) as response:
            text = response.read(LARGEST + 1)
            status = int(response.status)
    except (OSError, ValueError) as error:
        raise NotReady(f"The identity provider does not answer ({type(error).__name__}).") from None
    try:
        return Answer(status, json.loads(text) if len(text) <= LARGEST else None)
    except ValueError:
        return Answer(status, None)
