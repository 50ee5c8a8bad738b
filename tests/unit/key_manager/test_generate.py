# SPDX-License-Identifier: Apache-2.0
"""Keys and pairs as orders make them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

from cumulet.services.key_manager.logic import generate


@pytest.mark.parametrize(
    ("algorithm", "bits", "mode", "fits"),
    [
        ("AES", 128, None, True), ("aes", 512, "XTS", True), ("aes", 512, "cbc", False), ("des", 64, None, True),
        ("hmacsha256", 256, None, True), ("rsa", 2048, None, False), ("aes", 100, None, False),
    ],
)  # fmt: skip
def test_which_keys_are_made(algorithm, bits, mode, fits):
    assert generate.fits_symmetric(algorithm, bits, mode) is fits


def test_a_key_is_new_each_time():
    one, other = generate.symmetric(256), generate.symmetric(256)
    assert len(one) == 32
    assert one != other


@pytest.mark.parametrize("passphrase", [None, "geheim"])
def test_a_pair_belongs_together(passphrase):
    secret = passphrase.encode() if passphrase else None
    made = generate.asymmetric("RSA", 1024, passphrase)
    private = serialization.load_pem_private_key(made.private, secret)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.public_key() == serialization.load_pem_public_key(made.public)
    made = generate.asymmetric("dsa", 1024, passphrase)
    other = serialization.load_der_private_key(made.private, secret)
    assert isinstance(other, dsa.DSAPrivateKey)
    assert other.public_key() == serialization.load_der_public_key(made.public)


def test_a_sealed_pair_does_not_open_without_its_passphrase():
    made = generate.asymmetric("rsa", 1024, "geheim")
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(made.private, None)
