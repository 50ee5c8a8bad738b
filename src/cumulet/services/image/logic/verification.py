# SPDX-License-Identifier: Apache-2.0
"""Data held against a signature and a certificate, with the kinds of keys and hashes that Glance knows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA-224": hashes.SHA224,
    "SHA-256": hashes.SHA256,
    "SHA-384": hashes.SHA384,
    "SHA-512": hashes.SHA512,
}

_Check = Callable[[Any, bytes, bytes, hashes.HashAlgorithm], None]


class Refused(Exception):
    """A signature that cannot be held against anything; the message is Glance's, without its full stop."""


def _check_rsa(key: rsa.RSAPublicKey, signature: bytes, digest: bytes, method: hashes.HashAlgorithm) -> None:
    pss = padding.PSS(mgf=padding.MGF1(method), salt_length=padding.PSS.MAX_LENGTH)
    key.verify(signature, digest, pss, Prehashed(method))


def _check_dsa(key: dsa.DSAPublicKey, signature: bytes, digest: bytes, method: hashes.HashAlgorithm) -> None:
    key.verify(signature, digest, Prehashed(method))


def _check_ecc(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes, method: hashes.HashAlgorithm) -> None:
    key.verify(signature, digest, ec.ECDSA(Prehashed(method)))


_KEY_TYPES: dict[str, tuple[type, _Check]] = {
    "RSA-PSS": (rsa.RSAPublicKey, _check_rsa),
    "DSA": (dsa.DSAPublicKey, _check_dsa),
    "ECC_SECP384R1": (ec.EllipticCurvePublicKey, _check_ecc),
    "ECC_SECP521R1": (ec.EllipticCurvePublicKey, _check_ecc),
}


class Sign(msgspec.Struct, frozen=True):
    """A signature, and how it was made."""

    signature: bytes
    method: Any
    key_type: str


def read(signature: str, hash_method: str, key_type: str) -> Sign:
    """What the words of an image say; raises Refused."""
    try:
        decoded = base64.b64decode(signature)
    except (binascii.Error, ValueError):
        raise Refused("The signature data was not properly encoded using base64") from None
    if hash_method not in _HASHES:
        raise Refused(f"Invalid signature hash method: {hash_method}")
    if key_type not in _KEY_TYPES:
        raise Refused(f"Invalid signature key type: {key_type}")
    if not decoded:
        raise Refused("Error occurred while creating the verifier")
    return Sign(decoded, _HASHES[hash_method](), key_type)


class Verifier:
    """Holds data against a signature: `update` with each piece in order, one at a time, then `fits` once."""

    def __init__(self, sign: Sign, certificate: bytes) -> None:
        """`certificate` is X.509 in DER or PEM; raises Refused where it is not, or has another kind of key."""
        self._sign = sign
        expected, self._check = _KEY_TYPES[sign.key_type]
        self._key = _public_key(certificate)
        if not isinstance(self._key, expected):
            raise Refused(f"Invalid public key type for signature key type: {sign.key_type}")
        self._hash = hashes.Hash(sign.method)

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def fits(self) -> bool:
        """Whether the data are the ones that were signed."""
        try:
            self._check(self._key, self._sign.signature, self._hash.finalize(), self._sign.method)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def _public_key(certificate: bytes) -> object:
    is_text = certificate.lstrip().startswith(b"-----BEGIN")
    load = x509.load_pem_x509_certificate if is_text else x509.load_der_x509_certificate
    try:
        return load(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("Invalid certificate format: unreadable") from None
