# SPDX-License-Identifier: Apache-2.0
"""What callers may say of a secret, alone or as an order's meta: from the words to their values, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.services.key_manager.logic import moments, payloads
from cumulet.services.key_manager.logic.refusals import mismatch
from cumulet.services.key_manager.types import SecretType

SECRET = "Secret"  # noqa: S105 - a schema's name


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret to be made. `content_type` is None where `plain` is, and where an order leaves it to the default."""

    name: str | None = None
    secret_type: str = SecretType.OPAQUE
    expiration: datetime | None = None
    algorithm: str | None = None
    bit_length: int | None = None
    mode: str | None = None
    content_type: str | None = None
    plain: bytes | None = None


def read(words: Mapping[str, Any], schema: str = SECRET, *, ordered: bool = False) -> NewSecret:
    """The secret that `words`, which fit the schema, describe; `ordered` says that they are an order's meta."""
    expiration = _expiration(words, schema)
    kind, plain = _payload(words, schema, ordered=ordered)
    bits = words.get("bit_length")
    return NewSecret(
        name=words.get("name"),
        secret_type=words.get("secret_type", SecretType.OPAQUE),
        expiration=expiration,
        algorithm=words.get("algorithm"),
        bit_length=None if bits is None else int(bits),
        mode=words.get("mode"),
        content_type=kind,
        plain=plain,
    )


def _expiration(words: Mapping[str, Any], schema: str) -> datetime | None:
    text = words.get("expiration")
    if not text:
        return None
    try:
        moment = moments.parse(text)
    except ValueError:
        raise mismatch(schema, "Invalid date for 'expiration'", "expiration") from None
    if moment <= clock.utcnow():
        raise mismatch(schema, "'expiration' is before current time", "expiration")
    return moment


def _payload(words: Mapping[str, Any], schema: str, *, ordered: bool) -> tuple[str | None, bytes | None]:
    said = words.get("payload_content_type")
    kind = payloads.media_type(said) if said else None
    if "payload" not in words:
        if "payload_content_type" in words and not ordered:
            reason = "payload must be provided when payload_content_type is specified"
            raise mismatch(schema, reason, "payload")
        if said and kind is None:
            raise _wrong_type(schema)
        return kind, None
    if said is None:
        reason = "If 'payload' is supplied, 'payload_content_type' must also be supplied."
        raise mismatch(schema, reason, "payload_content_type")
    if kind is None:
        raise _wrong_type(schema)
    encodings = payloads.encodings(kind)
    if words.get("payload_content_encoding") not in (encodings or (None,)):
        raise mismatch(schema, f"payload_content_encoding is not one of {encodings}", "payload_content_encoding")
    payloads.check_size(words["payload"].encode())
    if not words["payload"]:
        raise mismatch(schema, "If 'payload' specified, must be non empty", "payload")
    try:
        return kind, payloads.from_json(words["payload"], kind)
    except ValueError:
        raise mismatch(schema, "Invalid payload for payload_content_encoding", "payload") from None


def _wrong_type(schema: str) -> Exception:
    return mismatch(schema, f"payload_content_type is not one of {payloads.SUPPORTED}", "payload_content_type")
