# SPDX-License-Identifier: Apache-2.0
"""Tokens on the wire: a packed payload in a Fernet envelope, about 200 characters and never more than 255."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Literal

import msgspec
from cryptography.fernet import InvalidToken

from cumulet.kernel import clock
from cumulet.services.identity.logic.keys import KeyRing
from cumulet.services.identity.types import SYSTEM_ID, Federation, Target, Token

# A method's place is its bit in the payload: new ones come last.
METHODS = (
    *("password", "token", "application_credential", "totp", "external", "oauth1", "mapped", "openid", "saml2"),
    *("ec2credential", "oauth2_credential", "kerberos", "x509"),
)
MOST = 4096  # characters: nothing longer is looked at

# 2 is a token with _More, which a release that would overlook it must not take for one without.
_Version = Literal[1, 2]
_SCOPES: tuple[str | None, ...] = (None, Target.PROJECT, Target.DOMAIN, Target.SYSTEM)
_HEX = re.compile(r"[0-9a-f]{32}")

_DIGITS, _TEXT = b"\0", b"\1"  # how an id is packed: 32 hexadecimal digits as 16 bytes, any other as it is


class _More(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What few tokens have."""

    trust: bytes | None = None
    access_token: bytes | None = None
    thumbprint: str | None = None
    federation: tuple[bytes, bytes, list[bytes]] | None = None  # identity provider, protocol, groups


_PLAIN = _More()


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    version: _Version
    user: bytes
    methods: int
    scope: int
    scope_id: bytes | None
    issued_at: int  # microseconds
    expires_at: int  # seconds
    audit: bytes
    application_credential: bytes | None = None
    more: _More = _PLAIN


_decoder = msgspec.msgpack.Decoder(_Payload)


class NotAToken(Exception):
    """The text is no token of ours: forged, truncated, or sealed with a key that is gone."""


def seal(ring: KeyRing, token: Token) -> str:
    """The text of `token`."""
    sealed = ring.fernet().encrypt_at_time(encode(token), int(token.issued_at))
    return sealed.rstrip(b"=").decode("ascii")


def encode(token: Token) -> bytes:
    """The payload of `token`."""
    more = _more(token)
    payload = _Payload(
        version=1 if more == _PLAIN else 2,
        user=_pack(token.user_id),
        methods=pack_methods(token.methods),
        scope=_SCOPES.index(token.target),
        scope_id=_pack(token.target_id) if token.target_id and token.target != Target.SYSTEM else None,
        issued_at=clock.to_micros(token.issued_at),
        expires_at=token.expires_at,
        audit=b"".join(urlsafe_b64decode(audit_id + "==") for audit_id in token.audit_ids),
        application_credential=_pack_any(token.application_credential_id),
        more=more,
    )
    return msgspec.msgpack.encode(payload)


def pack_methods(methods: Iterable[str]) -> int:
    """A bit for each of these METHODS."""
    return sum(1 << METHODS.index(method) for method in set(methods))


def unpack_methods(bits: int) -> tuple[str, ...]:
    return tuple(method for at, method in enumerate(METHODS) if bits >> at & 1)


def unseal(ring: KeyRing, text: str) -> Token:
    """What `text` says; raises NotAToken. Whether it has expired is for the caller to see."""
    if len(text) > MOST or not text.isascii():
        raise NotAToken
    padded = (text + "=" * (-len(text) % 4)).encode("ascii")
    try:
        return _token(_decoder.decode(ring.fernet().decrypt(padded)))
    except (InvalidToken, msgspec.MsgspecError, ValueError, IndexError) as error:
        raise NotAToken from error


def _more(token: Token) -> _More:
    federation = token.federation
    return _More(
        trust=_pack_any(token.trust_id),
        access_token=_pack_any(token.access_token_id),
        thumbprint=token.thumbprint,
        federation=(
            _pack(federation.identity_provider_id),
            _pack(federation.protocol_id),
            [_pack(group_id) for group_id in federation.group_ids],
        )
        if federation
        else None,
    )


def _token(payload: _Payload) -> Token:
    target = _SCOPES[payload.scope]
    target_id = SYSTEM_ID if target == Target.SYSTEM else _unpack_any(payload.scope_id)
    audits = [payload.audit[at : at + 16] for at in range(0, len(payload.audit), 16)]
    more = payload.more
    return Token(
        user_id=_unpack(payload.user),
        methods=unpack_methods(payload.methods),
        target=target,
        target_id=target_id,
        audit_ids=tuple(urlsafe_b64encode(audit).rstrip(b"=").decode("ascii") for audit in audits),
        issued_at=payload.issued_at / 1e6,
        expires_at=payload.expires_at,
        application_credential_id=_unpack_any(payload.application_credential),
        trust_id=_unpack_any(more.trust),
        access_token_id=_unpack_any(more.access_token),
        thumbprint=more.thumbprint,
        federation=_federation(*more.federation) if more.federation else None,
    )


def _federation(identity_provider: bytes, protocol: bytes, groups: list[bytes]) -> Federation:
    return Federation(_unpack(identity_provider), _unpack(protocol), tuple(_unpack(group) for group in groups))


def _pack(text: str) -> bytes:
    return _DIGITS + bytes.fromhex(text) if _HEX.fullmatch(text) else _TEXT + text.encode()


def _unpack(packed: bytes) -> str:
    return packed[1:].hex() if packed[:1] == _DIGITS else packed[1:].decode()


def _pack_any(text: str | None) -> bytes | None:
    return _pack(text) if text else None


def _unpack_any(packed: bytes | None) -> str | None:
    return _unpack(packed) if packed else None
