# SPDX-License-Identifier: Apache-2.0
"""Tokens as text: what goes in comes out, and nothing else is ever taken for a token."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel import clock
from cumulet.kernel.vault import Vault
from cumulet.services.identity.logic import keys, payloads
from cumulet.services.identity.types import SYSTEM_ID, Federation, Target, Token

HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
IDS = st.one_of(HEX, st.just("default"), st.text("abcdefghijkmnop-0123456789", min_size=1, max_size=32))
AUDITS = st.lists(
    st.binary(min_size=16, max_size=16).map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()),
    min_size=1,
    max_size=2,
)

LENT = {
    "trust_id": IDS,
    "access_token_id": IDS,
    "thumbprint": st.text("abcdef0123456789", min_size=1, max_size=44),
    "federation": st.builds(Federation, IDS, IDS, st.lists(IDS, max_size=3).map(tuple)),
}


@st.composite
def tokens(draw: st.DrawFn) -> Token:
    target = draw(st.sampled_from([None, Target.PROJECT, Target.DOMAIN, Target.SYSTEM]))
    target_id = {None: None, Target.SYSTEM: SYSTEM_ID}.get(target, "")
    return Token(
        user_id=draw(IDS),
        methods=tuple(method for method in payloads.METHODS if draw(st.booleans())),
        target=target,
        target_id=draw(IDS) if target_id == "" else target_id,
        audit_ids=tuple(draw(AUDITS)),
        issued_at=draw(st.integers(0, 2**34 * 1_000_000)) / 1e6,
        expires_at=draw(st.integers(0, 2**34)),
        application_credential_id=draw(st.none() | HEX),
        **draw(st.fixed_dictionaries({}, optional=LENT)),
    )


@pytest.fixture(scope="module")
def ring(vault: Vault) -> keys.KeyRing:
    keys.ensure(vault, keys.TOKENS)
    return keys.KeyRing(vault, keys.TOKENS)


@settings(max_examples=120, deadline=None)
@given(token=tokens())
def test_a_token_says_what_it_was_told(ring: keys.KeyRing, token: Token) -> None:
    text = payloads.seal(ring, token)
    assert payloads.unseal(ring, text) == token
    lent = token.trust_id or token.access_token_id or token.thumbprint or token.federation
    assert lent or len(text) <= 255 or len(token.user_id + (token.target_id or "")) > 40
    assert "=" not in text


@settings(max_examples=100, deadline=None)
@given(token=tokens(), data=st.data())
def test_a_changed_or_shortened_token_is_none(ring: keys.KeyRing, token: Token, data: st.DataObject) -> None:
    text = payloads.seal(ring, token)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    for other in (forged, text[: data.draw(st.integers(0, len(text) - 1))]):
        with pytest.raises(payloads.NotAToken):
            payloads.unseal(ring, other)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=300))
def test_other_text_is_no_token(ring: keys.KeyRing, text: str) -> None:
    with pytest.raises(payloads.NotAToken):
        payloads.unseal(ring, text)


@settings(max_examples=100, deadline=None)
@given(inside=st.binary(max_size=100) | st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=9), max_leaves=12,
).map(msgspec.msgpack.encode))  # fmt: skip
def test_another_payload_under_the_right_key_is_no_token(ring: keys.KeyRing, inside: bytes) -> None:
    with pytest.raises(payloads.NotAToken):
        payloads.unseal(ring, ring.fernet().encrypt(inside).decode())


def test_a_lent_token_is_not_taken_for_another_by_the_release_before(ring: keys.KeyRing) -> None:
    plain = Token("u", (), None, None, ("A" * 22,), 1.0, 2)
    versions = [
        msgspec.msgpack.decode(payloads.encode(token))[0]
        for token in (
            plain,
            msgspec.structs.replace(plain, trust_id="a"),
            msgspec.structs.replace(plain, thumbprint="x"),
        )
    ]
    assert versions == [1, 2, 2]


def test_a_token_under_another_key_is_none(ring: keys.KeyRing, vault: Vault) -> None:
    keys.ensure(vault, "other")
    text = payloads.seal(keys.KeyRing(vault, "other"), Token("u", (), None, None, ("A" * 22,), 1.0, 2))
    with pytest.raises(payloads.NotAToken):
        payloads.unseal(ring, text)


def test_a_very_long_text_is_not_even_looked_at(ring: keys.KeyRing) -> None:
    with pytest.raises(payloads.NotAToken):
        payloads.unseal(ring, Fernet(Fernet.generate_key()).encrypt(b"x" * 10_000).decode())


def test_the_usual_token_is_short(ring: keys.KeyRing) -> None:
    token = Token("a" * 32, ("password", "token"), Target.PROJECT, "b" * 32, ("A" * 22, "B" * 22), 1.8e9, 1_800_003_600)
    assert len(payloads.seal(ring, token)) < 230


@settings(max_examples=200, deadline=None)
@given(token=tokens(), moment=st.floats(0, 2**33))
def test_a_token_was_issued_when_it_says_at_once(ring: keys.KeyRing, token: Token, moment: float) -> None:
    """To the microsecond, else one that is revoked at once would be younger than its revocation."""
    told = msgspec.structs.replace(token, issued_at=moment)
    read = payloads.unseal(ring, payloads.seal(ring, told))
    assert clock.from_seconds(read.issued_at) == clock.from_seconds(moment)
