# SPDX-License-Identifier: Apache-2.0
"""A certificate authority: its key in the vault, certificates for hosts and replicas, or for services.

That of the links is used for them only, and nothing else trusts it; services have another of the same make
(`kernel.service_certificates`). Signatures are ECDSA with P-256 and SHA-256.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.link import certificates
from cumulet.kernel.link.badges import OF_CONTROL
from cumulet.kernel.link.names import BADGE_NAME, CONTROL_NAME, door_name, is_host_name
from cumulet.kernel.vault import Vault

SECRET = "link.authority"  # noqa: S105 - a name in the vault
NAME = "Cumulet link authority"
LIFETIME = timedelta(days=3650)
REPLICA_LIFETIME = 30 * 86_400.0  # seconds; made anew at each start of a replica and when half of it is over
MOST = 16 * 1024  # characters of a request


class Authority:
    """The authority of the links, or that of another `secret` in `vault`; made at the first use. Raises NoMasterKey."""

    def __init__(self, vault: Vault, *, secret: str = SECRET, name: str = NAME) -> None:
        pem = vault.get_or_make(secret, lambda: _new_authority(name))
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(pem)

    @property
    def certificate(self) -> str:
        """Its certificate, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def fingerprint(self) -> str:
        return certificates.fingerprint(self.certificate)

    @property
    def until(self) -> float:
        """When its certificate ends, in seconds since the epoch."""
        return self._certificate.not_valid_after_utc.timestamp()

    def sign_host(self, name: str, request: str, lifetime: float) -> str:
        """A certificate, as PEM, of the host `name` for the key in `request`, for `lifetime` seconds.

        Of the request only the key is taken. Raises Invalid.
        """
        if not is_host_name(name):
            raise Invalid(f"{name!r} cannot be the name of a host")
        names = [x509.DNSName(name), x509.UniformResourceIdentifier(certificates.uri("host", name))]
        return _pem(self._sign(_public_key(request), name, names, [ExtendedKeyUsageOID.CLIENT_AUTH], lifetime))

    def sign_door(self, name: str, request: str, lifetime: float) -> str:
        """A certificate, as PEM, by which the host `name` proves its door (`kernel.link.pipes`) and nothing else.

        Raises Invalid.
        """
        if not is_host_name(name):
            raise Invalid(f"{name!r} cannot be the name of a host")
        names = [x509.DNSName(door_name(name))]
        return _pem(self._sign(_public_key(request), name, names, [ExtendedKeyUsageOID.SERVER_AUTH], lifetime))

    def sign_badge(self, name: str, request: str, lifetime: float) -> str:
        """A badge (`link.badges`), as PEM, for the key in `request`: `name` is a host's, or behind `control/`.

        Raises Invalid.
        """
        if not is_host_name(name.removeprefix(OF_CONTROL)):
            raise Invalid(f"{name!r} cannot be the name of a host")
        names = [x509.DNSName(BADGE_NAME), x509.UniformResourceIdentifier(certificates.uri("peer", name))]
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        return _pem(self._sign(_public_key(request), f"peer {name}", names, uses, lifetime))

    def issue_replica(self, name: str, address: str) -> tuple[str, str]:
        """A certificate and its new private key, as PEM, of the replica `name`, reached at `address`."""
        uri = x509.UniformResourceIdentifier(certificates.uri("replica", name))
        names = [x509.DNSName(CONTROL_NAME), _general_name(address), uri]
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        key = ec.generate_private_key(ec.SECP256R1())
        return _pem(self._sign(key.public_key(), name, names, uses, REPLICA_LIFETIME)), certificates.key_to_pem(key)

    def issue_service(self, name: str, hosts: Sequence[str], lifetime: float) -> tuple[str, str, int, float]:
        """A certificate and its new private key, as PEM, of a service at these names and addresses.

        With its serial number and its end in seconds since the epoch. Raises Invalid.
        """
        try:
            names = [_general_name(host) for host in hosts]
        except ValueError:
            raise Invalid(f"these cannot all be names or addresses: {', '.join(hosts)}") from None
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(key.public_key(), name, names, [ExtendedKeyUsageOID.SERVER_AUTH], lifetime)
        until = signed.not_valid_after_utc.timestamp()
        return _pem(signed), certificates.key_to_pem(key), signed.serial_number, until

    def revoked(self, serials: Mapping[int, float], lifetime: float) -> str:
        """The list of revoked certificates, as PEM: serial numbers with the times (seconds since the epoch)."""
        now = datetime.fromtimestamp(clock.now(), UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        made = made.last_update(now).next_update(now + timedelta(seconds=lifetime))
        for serial, moment in sorted(serials.items()):
            one = x509.RevokedCertificateBuilder().serial_number(serial)
            made = made.add_revoked_certificate(one.revocation_date(datetime.fromtimestamp(moment, UTC)).build())
        signed = made.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        names: Sequence[x509.GeneralName],
        uses: Sequence[x509.ObjectIdentifier],
        lifetime: float,
    ) -> x509.Certificate:
        now = datetime.fromtimestamp(clock.now(), UTC)
        above = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _builder(name, self._certificate.subject, key, now, timedelta(seconds=lifetime))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _general_name(host: str) -> x509.GeneralName:
    """An address or a name. Raises ValueError for text that no name can be."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_authority(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = (
        _builder(name, issuer, key.public_key(), datetime.fromtimestamp(clock.now(), UTC), LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificates.key_to_pem(key).encode("ascii") + signed.public_bytes(serialization.Encoding.PEM)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=certificates.BACKDATE))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _public_key(request: str) -> ec.EllipticCurvePublicKey:
    try:
        if len(request) > MOST:
            raise ValueError
        read = x509.load_pem_x509_csr(request.encode("ascii"))
        if not read.is_signature_valid:
            raise ValueError
        key = read.public_key()
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise Invalid("this is no certificate signing request") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("a host's key must be EC P-256")
    return key
