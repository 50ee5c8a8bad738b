# SPDX-License-Identifier: Apache-2.0
"""Tokens as JSON Web Signatures: what goes in comes out, and nothing that another has signed is ever taken for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from test_payloads import tokens

from cumulet.kernel.vault import Vault
from cumulet.services.identity.logic import jws, keys, payloads
from cumulet.services.identity.logic.payloads import NotAToken
from cumulet.services.identity.types import Target, Token

TOKEN = Token("a" * 32, ("password",), Target.PROJECT, "b" * 32, ("A" * 22,), 1.8e9, 1_800_003_600)


@pytest.fixture(scope="module")
def ring(vault: Vault) -> keys.KeyRing:
    keys.ensure(vault, keys.SIGNATURES)
    return keys.KeyRing(vault, keys.SIGNATURES)


def armour(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def opened(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def signed(pair: ec.EllipticCurvePrivateKey, header: str, claims: str) -> str:
    r, s = utils.decode_dss_signature(pair.sign(f"{header}.{claims}".encode(), ec.ECDSA(SHA256())))
    return f"{header}.{claims}.{armour(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@settings(max_examples=60, deadline=None)
@given(token=tokens())
def test_a_token_says_what_it_was_told(ring: keys.KeyRing, token: Token) -> None:
    assert jws.unseal(ring, jws.seal(ring, token)) == token


def test_the_claims_are_keystones(ring: keys.KeyRing) -> None:
    header, claims, _ = jws.seal(ring, TOKEN).split(".")
    assert opened(header) == {"typ": "JWT", "alg": "ES256"}
    assert opened(claims) == {
        "sub": "a" * 32,
        "iat": 1.8e9,
        "exp": 1_800_003_600,
        "openstack_methods": ["password"],
        "openstack_audit_ids": ["A" * 22],
        "openstack_project_id": "b" * 32,
    }


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_changed_or_shortened_token_is_none(ring: keys.KeyRing, data: st.DataObject) -> None:
    text = jws.seal(ring, TOKEN)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda letter: letter != text[at]))
    for forged in (text[:at] + other + text[at + 1 :], text[:at], text + other, text + "="):
        with pytest.raises(NotAToken):
            jws.unseal(ring, forged)


def test_a_token_does_not_choose_how_it_is_checked(ring: keys.KeyRing) -> None:
    _, claims, signature = jws.seal(ring, TOKEN).split(".")
    public = ring.verifiers()[0].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    none = armour(b'{"typ":"JWT","alg":"none"}')
    symmetric = armour(b'{"typ":"JWT","alg":"HS256"}')
    mac = armour(hmac.digest(public, f"{symmetric}.{claims}".encode(), hashlib.sha256))
    own = armour(json.dumps({"typ": "JWT", "alg": "ES256", "jwk": {"kty": "EC"}}).encode())
    for forged in (
        f"{none}.{claims}.",
        f"{none}.{claims}.{signature}",
        f"{symmetric}.{claims}.{mac}",
        signed(ring.signer(), own, claims),
        f"{jws._HEADER}.{claims}.{armour(bytes(64))}",
    ):
        with pytest.raises(NotAToken):
            jws.unseal(ring, forged)


def test_another_key_signs_no_token(ring: keys.KeyRing) -> None:
    _, claims, _ = jws.seal(ring, TOKEN).split(".")
    with pytest.raises(NotAToken):
        jws.unseal(ring, signed(ec.generate_private_key(ec.SECP256R1()), jws._HEADER, claims))


@pytest.mark.parametrize(
    "claims",
    [{}, [], {"sub": "a"}, {"sub": "a", "iat": 1, "exp": 2, "openstack_methods": [], "openstack_audit_ids": []}],
)
def test_other_claims_under_the_right_key_are_no_token(ring: keys.KeyRing, claims: Any) -> None:
    with pytest.raises(NotAToken):
        jws.unseal(ring, signed(ring.signer(), jws._HEADER, armour(json.dumps(claims).encode())))


def test_a_very_long_text_is_not_even_looked_at(ring: keys.KeyRing) -> None:
    with pytest.raises(NotAToken):
        jws.unseal(ring, jws.seal(ring, TOKEN) + "A" * payloads.MOST)
