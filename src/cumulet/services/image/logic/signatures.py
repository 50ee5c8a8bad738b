# SPDX-License-Identifier: Apache-2.0
"""Signed images: four words on an image name a signature and a certificate, and its data must then fit them.

The words, what they may say, and the refusals are Glance's. A certificate is read from the key manager with the rights
of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.key_manager.contract import KeyManagerContract

if TYPE_CHECKING:
    from cumulet.services.image.logic.verification import Verifier

SIGNATURE = "img_signature"
HASH_METHOD = "img_signature_hash_method"
KEY_TYPE = "img_signature_key_type"
CERTIFICATE = "img_signature_certificate_uuid"
WORDS = (SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE)

# What a secret that is no certificate is called, by its type.
_OTHER_FORMATS = {"symmetric": "RAW", "passphrase": "RAW", "private": "PKCS8", "public": "SubjectPublicKeyInfo"}


def is_signed(words: Mapping[str, str]) -> bool:
    """Whether an image with these words is signed: it has all four of them."""
    return all(name in words for name in WORDS)


def verifier(cloud: Cloud, ctx: Context, image_id: str, words: Mapping[str, str]) -> Verifier | None:
    """What holds an image's data against its signature, None for an image that is not signed.

    Raises Invalid for words that say nothing sensible, and for a certificate that the caller cannot read.
    """
    if not is_signed(words):
        return None
    from cumulet.services.image.logic import verification  # most images are not signed, and X.509 costs memory

    try:
        sign = verification.read(words[SIGNATURE], words[HASH_METHOD], words[KEY_TYPE])
        return verification.Verifier(sign, _certificate(cloud, ctx, words[CERTIFICATE]))
    except verification.Refused as error:
        raise refusal(image_id, f"Signature verification for the image failed: {error}.") from None


def verify(image_id: str, verifier: Verifier | None) -> None:
    """Raises Invalid where the data that the verifier has seen are not the ones that were signed."""
    if verifier is not None and not verifier.fits():
        raise refusal(image_id, "Signature verification failed")


def refusal(image_id: str, problem: str) -> Invalid:
    return Invalid(f"Signature verification failed for image {image_id}: {problem}", code="SignatureInvalid")


def _certificate(cloud: Cloud, ctx: Context, ref: str) -> bytes:
    from cumulet.services.image.logic.verification import Refused

    try:
        secret = cloud.contracts.use(KeyManagerContract).fetch(ctx, ref)
    except NotFound:
        raise Refused(f"Certificate not found with ID: {ref}") from None
    except CumuletError:
        raise Refused(f"Unable to retrieve certificate with ID: {ref}") from None
    if secret.type != "certificate":
        raise Refused(f"Invalid certificate format: {_OTHER_FORMATS.get(secret.type, 'Opaque')}")
    return secret.payload
