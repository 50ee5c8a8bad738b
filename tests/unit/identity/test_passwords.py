# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords: the whole password counts, whatever it is made of."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.identity.logic import passwords

ROUNDS = 4


@settings(max_examples=40, deadline=None)
@given(secret=st.text(max_size=200), other=st.text(max_size=200))
def test_only_the_same_password_matches(secret: str, other: str) -> None:
    hashed = passwords.make_hash(secret, ROUNDS)
    assert passwords.matches(secret, hashed)
    assert passwords.matches(other, hashed) == (secret == other)


def test_bytes_beyond_what_bcrypt_reads_count() -> None:
    hashed = passwords.make_hash("x" * 72 + "a", ROUNDS)
    assert not passwords.matches("x" * 72 + "b", hashed)


def test_a_zero_does_not_end_a_password() -> None:
    assert not passwords.matches("a\0c", passwords.make_hash("a\0b", ROUNDS))


def test_a_hash_is_salted() -> None:
    assert passwords.make_hash("a", ROUNDS) != passwords.make_hash("a", ROUNDS)
