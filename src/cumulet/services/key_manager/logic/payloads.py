# SPDX-License-Identifier: Apache-2.0
"""What payloads may be: media types, encodings, sizes; from what a caller sends to bytes and back.

Facts: Barbican's media types. Text is UTF-8; bytes inside JSON are base64; what is sent by PUT is bytes, or base64
where the header Content-Encoding says so.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cumulet.kernel.errors import NotAcceptable, TooLarge
from cumulet.services.key_manager.logic.refusals import ISSUE, issue

TEXT, BYTES, PKCS8 = "text/plain", "application/octet-stream", "application/pkcs8"
LARGEST = 20_000  # bytes of a payload as it is sent
BASE64 = "base64"
SUPPORTED = [TEXT, "text/plain;charset=utf-8", "text/plain; charset=utf-8", BYTES, PKCS8]
_TYPES = (TEXT, BYTES, PKCS8)


def media_type(said: str) -> str | None:
    """The media type without its parameters; None for one that is not supported."""
    name, _, parameters = said.partition(";")
    key, _, value = parameters.partition("=")
    if parameters and (key.strip().lower(), value.strip().lower()) != ("charset", "utf-8"):
        return None
    name = name.strip().lower()
    return name if name in _TYPES else None


def encodings(kind: str) -> list[str] | None:
    """The encodings that a payload of this type may have inside JSON; None: none at all."""
    return None if kind == TEXT else [BASE64, "binary"]


def check_size(sent: bytes) -> None:
    if len(sent) > LARGEST:
        raise TooLarge("Provided information too large to process")


def from_json(payload: str, kind: str) -> bytes:
    """The bytes of a payload that came inside JSON. Raises ValueError where it is not base64 and has to be."""
    if kind == TEXT:
        return payload.encode()
    return _decode(payload.encode())


def from_body(sent: bytes, kind: str | None, said: str, encoding: str | None) -> bytes:
    """The bytes of a payload that came alone; Invalid for a type or an encoding that is not supported."""
    if kind is None:
        raise issue(f"content-type of '{said}' not supported")
    if kind == TEXT:
        try:
            sent.decode()
        except UnicodeDecodeError:
            raise issue("Problem decoding payload") from None
        return sent
    if not encoding:
        return sent
    if encoding.lower() != BASE64:
        raise issue("Text-based binary secret payloads must specify a content-encoding of 'base64'")
    try:
        return _decode(sent)
    except ValueError:
        raise issue("Problem decoding payload") from None


def wanted_type(accept: str, kept: str) -> str:
    """The type in which a payload kept as `kept` is to be sent. Raises NotAcceptable."""
    if accept == "*/*":
        return kept
    found = media_type(accept)
    if found is None:
        raise NotAcceptable("Wrong payload content-type", code=ISSUE)
    return found


def shown(plain: bytes, kind: str) -> bytes:
    """`plain` as `kind`; NotAcceptable for bytes that are no text."""
    if kind == TEXT:
        try:
            plain.decode()
        except UnicodeDecodeError:
            raise NotAcceptable("Wrong payload content-type", code=ISSUE) from None
    return plain


def content_types(kind: str | None) -> Mapping[str, str] | None:
    """How a secret tells of its payload."""
    return None if kind is None else {"default": kind}


def _decode(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise ValueError("no base64") from error
