# SPDX-License-Identifier: Apache-2.0
"""OpenID Connect tokens that a provider never meant for us, or never made; and browsers that are to be led astray."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from federated_cloud import DASHBOARD, Federated
from jwt.algorithms import RSAAlgorithm

from cumulet.kernel.errors import CumuletError, NotReady, Unauthorized
from cumulet.services.identity.drivers import openid_connect
from cumulet.services.identity.drivers.openid_connect import Answer, OpenIdConnect, Providers

ISSUER = "https://login.example.org"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLIENT = OpenIdConnect(issuer=ISSUER, client_id="cloud", client_secret="secret", audiences=("api",))
WEBSSO = "/identity/v3/auth/OS-FEDERATION/identity_providers/company/protocols/openid/websso"
PUBLIC = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Providers:
    """What the provider answers about itself, without a provider."""
    about = {"issuer": ISSUER, **{name: f"{ISSUER}/{name}" for name in ("jwks_uri", "token_endpoint")}}
    keys = {"keys": [{**PUBLIC, "kid": "one", "use": "sig"}]}
    answers = {"/.well-known/openid-configuration": about, "/jwks_uri": keys}

    def ask(url: str, **_: Any) -> Answer:
        return Answer(200, answers[url.removeprefix(ISSUER)])

    monkeypatch.setattr(openid_connect, "_ask", ask)
    return Providers()


def claims(**words: Any) -> dict[str, Any]:
    """Good ones, but for `words`; None leaves one out."""
    now = int(time.time())
    said = {"iss": ISSUER, "sub": "bob", "aud": "cloud", "exp": now + 60, "iat": now, **words}
    return {name: value for name, value in said.items() if value is not None}


def token(key: Any = KEY, algorithm: str = "RS256", kid: str | None = "one", **words: Any) -> str:
    return jwt.encode(claims(**words), key, algorithm, headers={"kid": kid} if kid else {})


def by_hand(head: dict[str, Any], signature: bytes = b"", secret: bytes = b"") -> str:
    """A token whose signature nobody's library would make."""
    parts = (json.dumps({"typ": "JWT", "kid": "one", **head}).encode(), json.dumps(claims()).encode())
    text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    made = hmac.digest(secret, text.encode(), hashlib.sha256) if secret else signature
    return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def pem() -> bytes:
    return KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_good_ones_are_taken(providers: Providers) -> None:
    now = int(time.time())
    for words in ({}, {"aud": "api"}, {"aud": ["x", "cloud"]}, {"exp": now - 50}, {"nbf": now + 50}):
        assert openid_connect.inspect(providers, CLIENT, token(**words))["sub"] == "bob"


@pytest.mark.parametrize(
    "words",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another"]},
        {"aud": "cloud2"},
        {"iss": f"{ISSUER}/"},
        {"iss": "https://another.example.org"},
        {"iss": None},
        {"sub": None},
        {"exp": None},
        {"exp": 1_700_000_000},
        {"exp": "later"},
        {"nbf": 4_000_000_000},
        {"key": STRANGER},
        {"kid": "two"},
        {"kid": "../one"},
    ],
    ids=lambda words: "a stranger's key" if "key" in words else str(words),
)
def test_what_was_said_to_others_or_by_others(providers: Providers, words: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        openid_connect.inspect(providers, CLIENT, token(**words))


FORGED = {
    "none": by_hand({"alg": "none"}),
    "None": by_hand({"alg": "None"}),
    "the public key as a secret": by_hand({"alg": "HS256"}, secret=pem()),
    "the key's JSON as a secret": by_hand({"alg": "HS256"}, secret=json.dumps(PUBLIC).encode()),
    "no signature": by_hand({"alg": "RS256"}),
    "an unknown must": by_hand({"alg": "RS256", "crit": ["x"], "x": 1}),
    "a list of algorithms": by_hand({"alg": ["RS256"]}),
    "a number for a key": by_hand({"alg": "RS256", "kid": 1}),
    "four parts": token() + ".x",
    "no parts": "a.b.c",
    "nothing": "..",
    "a zero": "\0",
    "no ASCII": "ü" * 50,
}


@pytest.mark.parametrize("name", FORGED)
def test_what_nobody_signed(providers: Providers, name: str) -> None:
    """A public key is no secret; a key that comes with the token is nobody's."""
    with pytest.raises(Unauthorized):
        openid_connect.inspect(providers, CLIENT, FORGED[name])


def test_a_key_that_comes_with_the_token(providers: Providers) -> None:
    own = json.loads(RSAAlgorithm.to_jwk(STRANGER.public_key()))
    for more in ({"jwk": own}, {"jku": "https://another.example.org/keys"}, {"x5u": "https://another.example.org"}):
        made = jwt.encode(claims(), STRANGER, "RS256", headers={"kid": "one", **more})
        with pytest.raises(Unauthorized):
            openid_connect.inspect(providers, CLIENT, made)


@pytest.mark.parametrize("words", [{"nonce": "another"}, {"nonce": None}, {"azp": "another"}, {"aud": "api"}], ids=str)
def test_an_id_token_of_another_log_in(
    providers: Providers, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any]
) -> None:
    before = openid_connect._ask
    given: dict[str, Any] = {}

    def ask(url: str, **named: Any) -> Answer:
        return Answer(200, {"id_token": given["token"]}) if url.endswith("/token_endpoint") else before(url, **named)

    monkeypatch.setattr(openid_connect, "_ask", ask)
    given["token"] = token(nonce="n")
    assert openid_connect.redeem(providers, CLIENT, "code", "back", nonce="n", verifier="v")["sub"] == "bob"
    given["token"] = token(**{"nonce": "n", **words})
    with pytest.raises(Unauthorized):
        openid_connect.redeem(providers, CLIENT, "code", "back", nonce="n", verifier="v")


def test_a_provider_that_describes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or that names places that are none of the web's."""
    for about in (
        {"issuer": "https://another.example.org", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER, "jwks_uri": None},
        [],
        None,
    ):
        monkeypatch.setattr(openid_connect, "_ask", lambda url, said=about, **_: Answer(200, said))
        with pytest.raises(NotReady):
            openid_connect.inspect(Providers(), CLIENT, token())


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    made = Federated(tmp_path_factory.mktemp("cloud"))
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "sub"}]}]
    made.open("openid", CLIENT, rules, ISSUER)
    yield made
    made.close()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.org/",
        f"{DASHBOARD}../../../evil",
        f"{DASHBOARD}?next=https://evil.example.org",
        f"{DASHBOARD}#x",
        DASHBOARD.rstrip("/"),
        DASHBOARD.replace("http://", "http://evil.example.org@"),
        DASHBOARD.replace("http://dashboard.example.org", "http://dashboard.example.org.evil.org"),
        DASHBOARD.replace("http://", "https://"),
        DASHBOARD.replace("http://", "//"),
        DASHBOARD.replace("http://", "javascript://"),
        f" {DASHBOARD}",
        f"{DASHBOARD}\r\nSet-Cookie: x=y",
        "null",
    ],
)
def test_a_token_goes_to_trusted_dashboards_alone(federated: Federated, origin: str) -> None:
    for path in (WEBSSO, "/identity/v3/auth/OS-FEDERATION/websso/openid"):
        answer = federated.ask("GET", path, params={"origin": origin})
        assert answer.status_code == 401, answer.text
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers


def test_somebody_says_no_origin(federated: Federated) -> None:
    for words in ({}, {"origin": ""}):
        assert federated.ask("GET", WEBSSO, params=words).status_code == 400


def test_a_state_of_another_cloud(federated: Federated, tmp_path: Path) -> None:
    """What a browser brings back is sealed by the cloud that it began at."""
    from cumulet.services.identity.logic import sealed_states, websso

    there = Federated(tmp_path / "there")
    begun = websso.LogIn("company", "openid", DASHBOARD, "state", "nonce", "secret")
    try:
        cookie = sealed_states.seal(there.cloud, begun)
        answer = federated.ask(
            "GET", WEBSSO, params={"state": "state", "code": "x"}, headers={"cookie": f"cumulet_websso={cookie}"}
        )
        assert answer.status_code == 401
        own = sealed_states.seal(federated.cloud, begun)
        for params in ({"state": "another", "code": "x"}, {"state": "", "code": "x"}, {"state": "state"}):
            answer = federated.ask("GET", WEBSSO, params=params, headers={"cookie": f"cumulet_websso={own}"})
            assert answer.status_code == 401
    finally:
        there.close()


def test_nothing_that_went_wrong_tells_a_secret(providers: Providers) -> None:
    shown = token(key=STRANGER)
    with pytest.raises(CumuletError) as refused:
        openid_connect.inspect(providers, CLIENT, shown)
    assert shown not in str(refused.value)
    assert CLIENT.client_secret not in str(refused.value)
