# SPDX-License-Identifier: Apache-2.0
"""Certificates that guests with Windows take for a log-in: made here for who has none."""

from __future__ import annotations

import base64
from datetime import UTC, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cumulet.kernel import clock

_DAYS = 3650
_KEY_BITS = 2048
_PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # Microsoft's UPN
_UTF8_STRING = 0x0C
_LONGEST_NAME = 64  # of an X.509 common name


def generate(user_id: str) -> tuple[str, str]:
    """A certificate (PEM) that its own key signed, for the user; and both as PKCS #12 without a password, in base64."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:_LONGEST_NAME])])
    now = clock.utcnow().replace(tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_principal(user_id)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    both = pkcs12.serialize_key_and_certificates(None, key, certificate, None, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), base64.b64encode(both).decode()


def _principal(user_id: str) -> x509.OtherName:
    """`user@localhost` as a UTF8String."""
    text = f"{user_id[:_LONGEST_NAME]}@localhost".encode()
    return x509.OtherName(_PRINCIPAL_NAME, bytes([_UTF8_STRING, len(text)]) + text)
