# SPDX-License-Identifier: Apache-2.0
"""Making keys and pairs of keys. The algorithms and lengths are those that Barbican's software plugin knows."""

from __future__ import annotations

import os

import msgspec

SYMMETRIC = ("aes", "des", "3des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512")
ASYMMETRIC = ("rsa", "dsa")
SYMMETRIC_BITS = (64, 128, 192, 256)
ASYMMETRIC_BITS = (1024, 2048, 4096)
RSA_EXPONENT = 65537
XTS = "xts"  # a mode that needs two keys of the length


class Pair(msgspec.Struct, frozen=True):
    """A private key, sealed with the passphrase where there was one, and its public key: PEM for RSA, DER for DSA."""

    private: bytes
    public: bytes


def symmetric(bit_length: int) -> bytes:
    return os.urandom(bit_length // 8)


def fits_symmetric(algorithm: str, bit_length: int, mode: str | None) -> bool:
    """Whether such a key is made here."""
    keys = 2 if (mode or "").lower() == XTS else 1
    return algorithm.lower() in SYMMETRIC and bit_length / keys in SYMMETRIC_BITS


def asymmetric(algorithm: str, bit_length: int, passphrase: str | None) -> Pair:
    """A new pair; slow: up to seconds."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, rsa

    is_rsa = algorithm.lower() == "rsa"
    key = rsa.generate_private_key(RSA_EXPONENT, bit_length) if is_rsa else dsa.generate_private_key(bit_length)
    encoding = serialization.Encoding.PEM if is_rsa else serialization.Encoding.DER
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        sealing = serialization.BestAvailableEncryption(passphrase.encode())
    return Pair(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, sealing),
        key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
