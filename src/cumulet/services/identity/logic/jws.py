# SPDX-License-Identifier: Apache-2.0
"""Tokens as JSON Web Signatures (RFC 7515): ES256 and nothing else, claims under Keystone's names.

The header is compared, not obeyed: a token cannot choose how it is checked.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from cumulet.services.identity.logic.keys import KeyRing
from cumulet.services.identity.logic.payloads import MOST, NotAToken
from cumulet.services.identity.types import SYSTEM_ID, Federation, Target, Token

_SIGNED_BY = ec.ECDSA(SHA256())
_HALF = 32  # bytes of each of the two numbers of a signature


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    sub: str
    iat: float
    exp: int
    openstack_methods: list[str]
    openstack_audit_ids: list[str]
    openstack_system: str | None = None
    openstack_domain_id: str | None = None
    openstack_project_id: str | None = None
    openstack_trust_id: str | None = None
    openstack_app_cred_id: str | None = None
    openstack_access_token_id: str | None = None
    openstack_thumbprint: str | None = None
    openstack_idp_id: str | None = None
    openstack_protocol_id: str | None = None
    openstack_group_ids: list[str] = []


_decoder = msgspec.json.Decoder(_Claims)


def seal(ring: KeyRing, token: Token) -> str:
    """The text of `token`, signed with the primary key."""
    said = f"{_HEADER}.{_armour(msgspec.json.encode(_claims(token)))}"
    r, s = utils.decode_dss_signature(ring.signer().sign(said.encode("ascii"), _SIGNED_BY))
    return f"{said}.{_armour(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"


def unseal(ring: KeyRing, text: str) -> Token:
    """What `text` says, where one of our keys has signed it; raises NotAToken."""
    if len(text) > MOST or not text.isascii():
        raise NotAToken
    header, _, rest = text.partition(".")
    claims, _, signature = rest.partition(".")
    try:
        raw = _unarmour(signature)
        # Whoever compares texts must not be told by another spelling of the same bytes.
        if header != _HEADER or len(raw) != 2 * _HALF or _armour(raw) != signature:
            raise NotAToken
        numbers = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
        if not _is_signed(ring, f"{header}.{claims}".encode("ascii"), utils.encode_dss_signature(*numbers)):
            raise NotAToken
        return _token(_decoder.decode(_unarmour(claims)))
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotAToken from error


def _is_signed(ring: KeyRing, said: bytes, signature: bytes) -> bool:
    for key in ring.verifiers():
        try:
            key.verify(signature, said, _SIGNED_BY)
        except InvalidSignature:
            continue
        return True
    return False


def _claims(token: Token) -> _Claims:
    federation = token.federation
    places: dict[str, Any] = {}
    if token.target == Target.SYSTEM:
        places["openstack_system"] = "all"
    elif token.target is not None:
        places[f"openstack_{token.target}_id"] = token.target_id
    return _Claims(
        sub=token.user_id,
        iat=token.issued_at,
        exp=token.expires_at,
        openstack_methods=list(token.methods),
        openstack_audit_ids=list(token.audit_ids),
        openstack_trust_id=token.trust_id,
        openstack_app_cred_id=token.application_credential_id,
        openstack_access_token_id=token.access_token_id,
        openstack_thumbprint=token.thumbprint,
        openstack_idp_id=federation.identity_provider_id if federation else None,
        openstack_protocol_id=federation.protocol_id if federation else None,
        openstack_group_ids=list(federation.group_ids) if federation else [],
        **places,
    )


def _token(claims: _Claims) -> Token:
    target, target_id = _place(claims)
    federation = None
    if claims.openstack_idp_id is not None and claims.openstack_protocol_id is not None:
        groups = tuple(claims.openstack_group_ids)
        federation = Federation(claims.openstack_idp_id, claims.openstack_protocol_id, groups)
    if not claims.openstack_audit_ids:
        raise NotAToken
    return Token(
        user_id=claims.sub,
        methods=tuple(claims.openstack_methods),
        target=target,
        target_id=target_id,
        audit_ids=tuple(claims.openstack_audit_ids),
        issued_at=claims.iat,
        expires_at=claims.exp,
        application_credential_id=claims.openstack_app_cred_id,
        trust_id=claims.openstack_trust_id,
        access_token_id=claims.openstack_access_token_id,
        thumbprint=claims.openstack_thumbprint,
        federation=federation,
    )


def _place(claims: _Claims) -> tuple[str | None, str | None]:
    if claims.openstack_system is not None:
        return Target.SYSTEM, SYSTEM_ID
    if claims.openstack_domain_id is not None:
        return Target.DOMAIN, claims.openstack_domain_id
    return (Target.PROJECT, claims.openstack_project_id) if claims.openstack_project_id else (None, None)


def _armour(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _unarmour(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER = _armour(json.dumps({"typ": "JWT", "alg": "ES256"}, separators=(",", ":")).encode())
