# SPDX-License-Identifier: Apache-2.0
"""Tokens: issuing one, finding out what one stands for at this moment, and revoking it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from uuid import uuid4

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden, NotFound, Unauthorized
from cumulet.services.identity.logic import bearers, payloads, providers, revocations, users
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.types import Bearer, Token

_UNREADABLE = "Could not recognize Fernet token"


class Bearers(Memory[str, Bearer]):
    """What tokens stand for, by their text."""

    MOST = 4096


def issue(cloud: Cloud, token: Token) -> tuple[str, Bearer]:
    """The text of a new token and what it stands for; Unauthorized where its scope gives the user no role."""
    bearer = bearers.of(cloud, token, revocations.epoch_now(cloud))
    return providers.seal(cloud, token), bearer


def read(cloud: Cloud, text: str, *, expired_for: int = 0, epoch: int | None = None) -> Bearer:
    """What the token `text` stands for now; Unauthorized for one that is not valid.

    One that expired less than `expired_for` seconds ago is taken too. What a token stands for is remembered until the
    epoch has grown: one tiny read a call, or none where the caller has just read the `epoch`.
    """
    remembered = cloud.keep(Bearers)
    if epoch is None:
        epoch = revocations.epoch_now(cloud)
    bearer = remembered.find(epoch, text)
    if bearer is None or bearer.token.expires_at <= clock.now():
        bearer = _open(cloud, text, expired_for, epoch)
        remembered.put(epoch, text, bearer)
    return bearer


def _open(cloud: Cloud, text: str, expired_for: int, epoch: int) -> Bearer:
    try:
        token = providers.unseal(cloud, text)
    except payloads.NotAToken:
        raise Unauthorized(_UNREADABLE) from None
    if token.expires_at + expired_for <= clock.now():
        raise Unauthorized("The token has expired.")
    try:
        bearer = bearers.of(cloud, token, epoch)
    except Forbidden as error:
        raise Unauthorized(error.message) from None
    if revocations.is_revoked(cloud.db, bearer):
        raise Unauthorized("The token has been revoked.")
    return bearer


def validate(cloud: Cloud, text: str, *, expired_for: int = 0, epoch: int | None = None) -> Bearer:
    """As `read`, for a token that somebody asks about: NotFound for one that is not valid."""
    if not text:
        raise NotFound("No token in the request", code="TokenNotFound")
    try:
        return read(cloud, text, expired_for=expired_for, epoch=epoch)
    except Unauthorized as error:
        message = _UNREADABLE if error.message == _UNREADABLE else "Failed to validate token"
        raise NotFound(message, code="TokenNotFound") from None


def revoke_all(cloud: Cloud, user_id: str) -> None:
    """Make void all tokens of a user."""

    def write(tx: Tx) -> None:
        users.get(tx, user_id)
        revocations.revoke(tx, user_id=user_id)

    cloud.db.write(write)


def revoke(cloud: Cloud, text: str, *, chain: bool = True) -> None:
    """Make a token void and, with `chain`, all that were made from it."""
    token = validate(cloud, text).token

    def write(tx: Tx) -> None:
        revocations.revoke(tx, audit_id=token.audit_id)
        if chain:
            revocations.revoke(tx, audit_chain_id=token.audit_id)

    cloud.db.write(write)


def new_audit_id() -> str:
    """22 characters that name a token without giving it away."""
    return urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode("ascii")
