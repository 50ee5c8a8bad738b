# SPDX-License-Identifier: Apache-2.0
"""Tokens on the wire: a packed payload in a Fernet envelope, about 200 characters and never more than 255."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

import msgspec
from cryptography.fernet import InvalidToken

from cumulet.services.identity.logic.keys import KeyRing
from cumulet.services.identity.types import SYSTEM_ID, Target, Token

METHODS = ("password", "token", "application_credential")
MOST = 4096  # characters: nothing longer is looked at

_VERSION: Literal[1] = 1
_SCOPES: tuple[str | None, ...] = (None, Target.PROJECT, Target.DOMAIN, Target.SYSTEM)
_HEX = re.compile(r"[0-9a-f]{32}")

_DIGITS, _TEXT = b"\0", b"\1"  # how an id is packed: 32 hexadecimal digits as 16 bytes, any other as it is


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    version: Literal[1]
    user: bytes
    methods: int
    scope: int
    scope_id: bytes | None
    issued_at: int  # microseconds
    expires_at: int  # seconds
    audit: bytes
    application_credential: bytes | None = None


_decoder = msgspec.msgpack.Decoder(_Payload)


class NotAToken(Exception):
    """The text is no token of ours: forged, truncated, or sealed with a key that is gone."""


def seal(ring: KeyRing, token: Token) -> str:
    """The text of `token`."""
    payload = _Payload(
        version=_VERSION,
        user=_pack(token.user_id),
        methods=sum(1 << METHODS.index(method) for method in set(token.methods)),
        scope=_SCOPES.index(token.target),
        scope_id=_pack(token.target_id) if token.target_id and token.target != Target.SYSTEM else None,
        issued_at=round(token.issued_at * 1e6),
        expires_at=token.expires_at,
        audit=b"".join(urlsafe_b64decode(audit_id + "==") for audit_id in token.audit_ids),
        application_credential=_pack(token.application_credential_id) if token.application_credential_id else None,
    )
    sealed = ring.fernet().encrypt_at_time(msgspec.msgpack.encode(payload), int(token.issued_at))
    return sealed.rstrip(b"=").decode("ascii")


def unseal(ring: KeyRing, text: str) -> Token:
    """What `text` says; raises NotAToken. Whether it has expired is for the caller to see."""
    if len(text) > MOST or not text.isascii():
        raise NotAToken
    padded = (text + "=" * (-len(text) % 4)).encode("ascii")
    try:
        return _token(_decoder.decode(ring.fernet().decrypt(padded)))
    except (InvalidToken, msgspec.MsgspecError, ValueError, IndexError) as error:
        raise NotAToken from error


def _token(payload: _Payload) -> Token:
    target = _SCOPES[payload.scope]
    target_id = SYSTEM_ID if target == Target.SYSTEM else _unpack(payload.scope_id) if payload.scope_id else None
    audits = [payload.audit[at : at + 16] for at in range(0, len(payload.audit), 16)]
    return Token(
        user_id=_unpack(payload.user),
        methods=tuple(method for at, method in enumerate(METHODS) if payload.methods >> at & 1),
        target=target,
        target_id=target_id,
        audit_ids=tuple(urlsafe_b64encode(audit).rstrip(b"=").decode("ascii") for audit in audits),
        issued_at=payload.issued_at / 1e6,
        expires_at=payload.expires_at,
        application_credential_id=_unpack(credential) if (credential := payload.application_credential) else None,
    )


def _pack(text: str) -> bytes:
    return _DIGITS + bytes.fromhex(text) if _HEX.fullmatch(text) else _TEXT + text.encode()


def _unpack(packed: bytes) -> str:
    return packed[1:].hex() if packed[:1] == _DIGITS else packed[1:].decode()
