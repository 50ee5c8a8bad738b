# SPDX-License-Identifier: Apache-2.0
"""The key that this cloud signs SAML messages with, and its certificate: in the vault, made when first asked for."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud

SECRET = "identity.saml"  # noqa: S105  a name in the vault
LIFE = timedelta(days=3650)
_BITS = 3072


class KeyPair(msgspec.Struct, frozen=True):
    """PEM, both."""

    key: str
    certificate: str

    @property
    def private(self) -> rsa.RSAPrivateKey:
        # Whether it is a good key was seen when it was made; to look again takes 0.15 s, and the vault seals it.
        loaded = serialization.load_pem_private_key(self.key.encode(), None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        return loaded


def key_pair(cloud: Cloud) -> KeyPair:
    return msgspec.json.decode(cloud.vault.get_or_make(SECRET, _make), type=KeyPair)


def _make() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cumulet saml")])
    now = clock.utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    return msgspec.json.encode(KeyPair(pem.decode("ascii"), shown.decode("ascii")))
