# SPDX-License-Identifier: Apache-2.0
"""Certificates as both ends of a link use them: keys, requests, TLS contexts, and whom a certificate speaks of.

Each replica and each host has an EC P-256 key and a certificate of the cloud's own authority. Who it speaks of stands
in a URI (`cumulet:host/NAME`, `cumulet:replica/NAME`); hosts may be clients only, so that none can play a replica.
`cumulet:peer/NAME` is a badge (`link.badges`), which is good among hosts' processes alone.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Role = Literal["host", "replica", "peer"]
URI = "cumulet"
BACKDATE = 600.0  # seconds that a certificate is good before it was made, for clocks that are late
_ROLES: Mapping[str, Role] = {"host": "host", "replica": "replica", "peer": "peer"}


class Holder(msgspec.Struct, frozen=True):
    """Whom a certificate speaks of. `since`, `until` are in seconds since the epoch; `fingerprint` is of it all."""

    role: Role
    name: str
    fingerprint: str
    since: float
    until: float


def new_key() -> str:
    """A private key, as PEM."""
    return key_to_pem(ec.generate_private_key(ec.SECP256R1()))


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def request(key: str, name: str) -> str:
    """A signing request of `name` for the private key `key`, both as PEM."""
    private = serialization.load_pem_private_key(key.encode("ascii"), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode("ascii")


def fingerprint(certificate: str) -> str:
    """SHA-256 over a certificate given as PEM, as 43 URL-safe characters. Raises ValueError for other text."""
    return _digest(ssl.PEM_cert_to_DER_cert(certificate))


def holder(certificate: str) -> Holder:
    """Whom a certificate given as PEM speaks of; it is not verified. Raises ValueError."""
    read = x509.load_pem_x509_certificate(certificate.encode("ascii"))
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("the certificate names nobody") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    der = read.public_bytes(serialization.Encoding.DER)
    return _holder(uris, der, read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp())


def peer(transport_ssl: ssl.SSLObject) -> Holder | None:
    """Whom the other side's verified certificate speaks of; None where it has shown none. Raises ValueError."""
    der = transport_ssl.getpeercert(binary_form=True)
    if der is None:
        return None
    said = transport_ssl.getpeercert() or {}
    names: Iterable[tuple[str, str]] = said.get("subjectAltName", ())  # type: ignore[assignment]
    uris = [value for kind, value in names if kind == "URI"]
    since, until = (float(ssl.cert_time_to_seconds(str(said[name]))) for name in ("notBefore", "notAfter"))
    return _holder(uris, der, since, until)


def server_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """For a listener that knows hosts and replicas by their certificates, and lets those without one ask to join."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # each link shows its certificate
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority)
    _load(context, certificate, key)
    return context


def client_context(authority: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """For one who trusts nobody but replicas with a certificate of `authority`, and shows its own if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    if certificate:
        _load(context, certificate, key)
    return context


def blind_context() -> ssl.SSLContext:
    """For the one question whose answer is checked against a fingerprint. Nothing secret may be said over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have a context show another certificate from now on, both as PEM."""
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let `context` show this certificate. The library reads files only, so one is there for a moment."""
    with tempfile.NamedTemporaryFile("w", prefix="cumulet-", suffix=".pem", encoding="ascii") as file:
        Path(file.name).chmod(0o600)
        file.write(key + certificate)
        file.flush()
        context.load_cert_chain(file.name)


def uri(role: Role, name: str) -> str:
    return f"{URI}:{role}/{name}"


def _holder(uris: list[str], der: bytes, since: float, until: float) -> Holder:
    for text in uris:
        scheme, _, rest = text.partition(":")
        role, _, name = rest.partition("/")
        if scheme == URI and name and role in _ROLES:
            return Holder(_ROLES[role], name, _digest(der), since, until)
    raise ValueError("the certificate speaks of nobody who is known here")


def _digest(der: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode("ascii")
