# SPDX-License-Identifier: Apache-2.0
"""Signed images are taken with the data that were signed alone; keys of encrypted ones go with them, if they are to."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

from cumulet.kernel.auth import Authenticator
from cumulet.kernel.errors import NotFound
from cumulet.services.key_manager.contract import KeyManagerContract, NewSecret
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

DATA = b"what was signed" * 200_000  # more than one piece on its way
OCTETS = {"Content-Type": "application/octet-stream"}
KEYS: dict[str, Any] = {
    "RSA-PSS": rsa.generate_private_key(65537, 1024),
    "DSA": dsa.generate_private_key(1024),
    "ECC_SECP384R1": ec.generate_private_key(ec.SECP384R1()),
    "ECC_SECP521R1": ec.generate_private_key(ec.SECP521R1()),
}
HASHES: dict[str, hashes.HashAlgorithm] = {"SHA-224": hashes.SHA224(), "SHA-512": hashes.SHA512()}


def certificate(kind: str) -> bytes:
    """One for the key of this kind, as DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "who signs images")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, KEYS[kind].public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(KEYS["ECC_SECP384R1"], hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def signed(kind: str, method: str, data: bytes = DATA) -> str:
    key, chosen = KEYS[kind], HASHES[method]
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(chosen), salt_length=padding.PSS.MAX_LENGTH)
        return base64.b64encode(key.sign(data, pss, chosen)).decode()
    if isinstance(key, dsa.DSAPrivateKey):
        return base64.b64encode(key.sign(data, chosen)).decode()
    return base64.b64encode(key.sign(data, ec.ECDSA(chosen))).decode()


class Signer:
    """A member of a project who makes signed images."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.keys = self.cloud.contracts.use(KeyManagerContract)
        self.ctx = self.cloud.contracts.use(Authenticator).context(self.words["MEMBER_TOKEN"])
        self.http = httpx.Client(
            base_url=f"{cloud.data_url}/image/v2",
            headers={"X-Auth-Token": self.words["MEMBER_TOKEN"], "Accept": "application/json"},
            timeout=60,
        )

    def keep(self, payload: bytes, kind: str = "certificate") -> str:
        sealed = self.keys.seal(self.ctx, NewSecret(payload=payload, type=kind))
        return self.cloud.db.write(lambda tx: self.keys.store(tx, sealed))

    def image(self, **words: str) -> str:
        body = {"disk_format": "raw", "container_format": "bare", **words}
        answer = self.http.post("/images", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def signed_image(self, kind: str = "ECC_SECP384R1", method: str = "SHA-512", **other: str) -> str:
        words = {
            "img_signature": signed(kind, method),
            "img_signature_hash_method": method,
            "img_signature_key_type": kind,
            **other,
        }
        words.setdefault("img_signature_certificate_uuid", self.keep(certificate(kind)))
        return self.image(**words)

    def fill(self, image_id: str, data: bytes = DATA) -> httpx.Response:
        return self.http.put(f"/images/{image_id}/file", content=data, headers=OCTETS)

    def status(self, image_id: str) -> str:
        return str(self.http.get(f"/images/{image_id}").json()["status"])


@pytest.fixture(scope="module")
def signer(cloud: RunningCloud) -> Iterator[Signer]:
    made = Signer(cloud)
    yield made
    made.http.close()


@pytest.mark.parametrize(
    ("kind", "method"),
    [("RSA-PSS", "SHA-224"), ("DSA", "SHA-224"), ("ECC_SECP384R1", "SHA-512"), ("ECC_SECP521R1", "SHA-512")],
)
def test_what_was_signed_is_taken_and_nothing_else(signer: Signer, kind: str, method: str) -> None:
    image_id = signer.signed_image(kind, method)
    answer = signer.fill(image_id, DATA[:-1] + b"!")
    assert answer.status_code == 400
    assert f"Signature verification failed for image {image_id}: Signature verification failed" in answer.text
    assert signer.status(image_id) == "queued"
    assert signer.fill(image_id).status_code == 204
    assert signer.status(image_id) == "active"


def test_what_is_imported_is_held_against_the_signature_as_well(signer: Signer) -> None:
    image_id = signer.signed_image()
    for data, becomes in ((DATA + b"!", "queued"), (DATA, "active")):
        assert signer.http.put(f"/images/{image_id}/stage", content=data, headers=OCTETS).status_code == 204
        answer = signer.http.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
        assert answer.status_code == 202
        until(lambda: signer.status(image_id) == becomes)  # noqa: B023 - called at once
    tasks = signer.http.get(f"/images/{image_id}/tasks").json()["tasks"]
    assert any("Signature verification failed" in task["message"] for task in tasks)


REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"img_signature": "x"}, "The signature data was not properly encoded using base64"),
    ({"img_signature_hash_method": "MD5"}, "Invalid signature hash method: MD5"),
    ({"img_signature_key_type": "ROT13"}, "Invalid signature key type: ROT13"),
    ({"img_signature_key_type": "RSA-PSS"}, "Invalid public key type for signature key type: RSA-PSS"),
    ({"img_signature_certificate_uuid": "nowhere"}, "Certificate not found with ID: nowhere"),
]


@pytest.mark.parametrize(("words", "says"), REFUSALS)
def test_a_signature_must_say_something_sensible(signer: Signer, words: dict[str, str], says: str) -> None:
    image_id = signer.signed_image(**words)
    answer = signer.fill(image_id)
    assert answer.status_code == 400
    assert f"Signature verification for the image failed: {says}." in answer.text
    assert signer.status(image_id) == "queued"


def test_a_certificate_is_read_with_the_rights_of_who_uploads(signer: Signer) -> None:
    other = signer.cloud.contracts.use(Authenticator).context(signer.words["OTHER_TOKEN"])
    sealed = signer.keys.seal(other, NewSecret(payload=certificate("ECC_SECP384R1"), type="certificate"))
    theirs = signer.cloud.db.write(lambda tx: signer.keys.store(tx, sealed))
    image_id = signer.signed_image(img_signature_certificate_uuid=theirs)
    answer = signer.fill(image_id)
    assert answer.status_code == 400
    assert f"Unable to retrieve certificate with ID: {theirs}." in answer.text


def test_a_certificate_must_be_one(signer: Signer) -> None:
    for payload, kind, says in (
        (certificate("ECC_SECP384R1"), "opaque", "Invalid certificate format: Opaque"),
        (b"no certificate", "certificate", "Invalid certificate format: unreadable"),
    ):
        image_id = signer.signed_image(img_signature_certificate_uuid=signer.keep(payload, kind))
        answer = signer.fill(image_id)
        assert answer.status_code == 400
        assert says in answer.text


def test_an_image_without_all_four_words_is_not_signed(signer: Signer) -> None:
    image_id = signer.image(img_signature="anything", img_signature_hash_method="SHA-256")
    assert signer.fill(image_id).status_code == 204


def is_there(signer: Signer, secret: str) -> bool:
    try:
        signer.keys.fetch(signer.ctx, secret)
    except NotFound:
        return False
    return True


Words = Callable[[str], dict[str, str]]


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        (lambda key: {"os_encrypt_key_id": key, "os_encrypt_key_deletion_policy": "on_image_deletion"}, False),
        (
            lambda key: {
                "cinder_encryption_key_id": key,
                "cinder_encryption_key_deletion_policy": "on_image_deletion",
            },
            False,
        ),
        (lambda key: {"os_encrypt_key_id": key, "os_encrypt_key_deletion_policy": "do_not_delete"}, True),
        (lambda key: {"os_encrypt_key_id": key}, True),
    ],
)
def test_a_key_goes_with_its_image_where_it_is_to(signer: Signer, words: Words, *, stays: bool) -> None:
    key = signer.keep(b"k" * 32, "symmetric")
    image_id = signer.image(os_encrypt_format="LUKSv1", os_encrypt_cipher="aes-xts-plain64", **words(key))
    assert signer.http.delete(f"/images/{image_id}").status_code == 204
    assert is_there(signer, key) == stays


def test_nobody_deletes_the_keys_of_others_by_their_images(signer: Signer) -> None:
    other = signer.cloud.contracts.use(Authenticator).context(signer.words["OTHER_TOKEN"])
    sealed = signer.keys.seal(other, NewSecret(payload=b"k" * 32, type="symmetric"))
    theirs = signer.cloud.db.write(lambda tx: signer.keys.store(tx, sealed))
    image_id = signer.image(os_encrypt_key_id=theirs, os_encrypt_key_deletion_policy="on_image_deletion")
    assert signer.http.delete(f"/images/{image_id}").status_code == 204
    assert signer.keys.fetch(other, theirs).payload == b"k" * 32
