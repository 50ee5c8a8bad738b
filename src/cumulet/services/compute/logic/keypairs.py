# SPDX-License-Identifier: Apache-2.0
"""Keypairs: given or generated, and their fingerprints."""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import keypair_certificates, quotas
from cumulet.services.compute.store import keypairs as store
from cumulet.services.compute.types import Keypair

SSH, X509 = "ssh", "x509"
KEY_BITS = 2048


def find_all(source: Source, user_id: str, marker: str | None, limit: int | None) -> list[Keypair]:
    """A user's keypairs by name; Invalid for a marker that is not there."""
    if marker is not None and store.find(source, user_id, marker) is None:
        raise Invalid(f"Marker {marker} could not be found.", code="MarkerNotFound")
    return store.find_all(source, user_id, marker, limit)


def get(source: Source, user_id: str, name: str) -> Keypair:
    found = store.find(source, user_id, name)
    if found is None:
        raise NotFound(f"Keypair {name} not found for user {user_id}", code="KeypairNotFound")
    return found


def for_server(source: Source, ctx: Context, name: str | None) -> dict[str, str] | None:
    """What a server keeps of its caller's key; Invalid where there is none of that name."""
    if name is None:
        return None
    found = store.find(source, ctx.user_id, name)
    if found is None:
        raise Invalid("Invalid key_name provided.", code="KeypairNotFound")
    return {"name": found.name, "type": found.type, "public_key": found.public_key}


def create(
    cloud: Cloud, ctx: Context, user_id: str, name: str, public_key: str | None, kind: str = SSH
) -> tuple[Keypair, str | None]:
    """Keep a public key, generated where none is given; the private key then, for this one answer."""
    private_key: str | None = None
    if public_key is None:
        public_key, private_key = _generate() if kind == SSH else keypair_certificates.generate(user_id)
    fingerprint = _fingerprint(public_key, kind)

    def write(tx: Tx) -> Keypair:
        if store.find(tx, user_id, name) is not None:
            raise Conflict(f"Key pair '{name}' already exists.", code="KeyPairExists")
        quotas.check_keypair(cloud, tx, ctx.project_id or "", user_id)
        new = Keypair(
            id=store.next_id(tx),
            user_id=user_id,
            name=name,
            type=kind,
            fingerprint=fingerprint,
            public_key=public_key,
            created_at=clock.utcnow(),
        )
        store.add(tx, new)
        return new

    return cloud.db.write(write), private_key


def delete(cloud: Cloud, user_id: str, name: str) -> None:
    def write(tx: Tx) -> None:
        if not store.remove(tx, user_id, name):
            raise NotFound(f"Keypair {name} not found for user {user_id}", code="KeypairNotFound")

    cloud.db.write(write)


def _generate() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return f"{public.decode()} Generated-by-Nova", private.decode()


def _fingerprint(public_key: str, kind: str) -> str:
    """MD5 over an SSH key, SHA-1 over a certificate, as the API has always shown them."""
    if kind == X509:
        try:
            certificate = x509.load_pem_x509_certificate(public_key.encode())
        except ValueError as error:
            raise _bad_key(str(error)) from error
        return _colons(certificate.fingerprint(hashes.SHA1()))  # noqa: S303
    words = public_key.split()
    try:
        serialization.load_ssh_public_key(public_key.strip().encode())
        data = base64.b64decode(words[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, IndexError, binascii.Error) as error:
        raise _bad_key("failed to generate fingerprint") from error
    return _colons(hashlib.md5(data, usedforsecurity=False).digest())


def _bad_key(reason: str) -> Invalid:
    return Invalid(f"Keypair data is invalid: {reason}", code="InvalidKeypair")


def _colons(data: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in data)
