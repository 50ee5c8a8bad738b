# SPDX-License-Identifier: Apache-2.0
"""Logging in by several methods: the rules that a user may be under, and the receipt for the methods passed so far.

A receipt is a sealed note of who has proven what; with it the next request need only bring what is missing.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from cryptography.fernet import InvalidToken

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, Unauthorized
from cumulet.services.identity.logic import authentication, keys, payloads
from cumulet.services.identity.logic.proofs import Carried, Proven
from cumulet.services.identity.store import projects
from cumulet.services.identity.store import revocations as revocation_store
from cumulet.services.identity.types import Project, User

HEADER = "openstack-auth-receipt"

ENABLED, RULES = "multi_factor_auth_enabled", "multi_factor_auth_rules"


class Receipt(msgspec.Struct, frozen=True):
    """What a receipt says; times are seconds since the epoch."""

    version: Literal[1]
    user_id: str
    methods: int
    issued_at: float
    expires_at: int


class Insufficient(Unauthorized):
    """More methods are needed: `required` are the lists of which one has to be passed in full."""

    def __init__(
        self, user: User, domain: Project | None, receipt: Receipt, required: list[list[str]], text: str
    ) -> None:
        super().__init__("More methods are needed to log in.", code="InsufficientAuthMethods")
        self.user = user
        self.domain = domain
        self.receipt = receipt
        self.methods = payloads.unpack_methods(receipt.methods)
        self.required = required
        self.text = text


_decoder = msgspec.msgpack.Decoder(Receipt)


def complete(cloud: Cloud, proven: Proven, carried: Carried) -> Proven:
    """The proof with what the request's receipt adds to it; raises Insufficient where that is not enough."""
    methods = proven.methods
    if text := carried.headers.get(HEADER):
        receipt = _read(cloud, text)
        if receipt.user_id != proven.user.id:
            raise _unknown(text)
        methods = tuple(dict.fromkeys((*methods, *payloads.unpack_methods(receipt.methods))))
    rules = _rules(cloud, proven.user)
    if rules and not any(set(rule) <= set(methods) for rule in rules):
        raise _insufficient(cloud, proven.user, methods, rules)
    return msgspec.structs.replace(proven, methods=methods)


def _rules(cloud: Cloud, user: User) -> list[list[str]]:
    """The user's rules, without methods that are not offered here: those must not lock anybody out."""
    said: Any = user.options.get(RULES) or []
    if user.options.get(ENABLED, True) is False or not isinstance(said, list):
        return []
    offered = authentication.offered(cloud)
    rules = [[method for method in offered if method in rule] for rule in said if isinstance(rule, list)]
    return [rule for rule in rules if rule]


def _insufficient(cloud: Cloud, user: User, methods: tuple[str, ...], rules: list[list[str]]) -> Insufficient:
    now = clock.now()
    lifetime = cloud.settings.identity.receipt_lifetime
    receipt = Receipt(1, user.id, payloads.pack_methods(methods), now, int(now) + lifetime)
    sealed = keys.receipts(cloud).fernet().encrypt(msgspec.msgpack.encode(receipt))
    required = [rule for rule in rules if not set(rule).isdisjoint(methods)]
    domain = projects.find(cloud.db, user.domain_id)
    return Insufficient(user, domain, receipt, required, sealed.rstrip(b"=").decode("ascii"))


def _read(cloud: Cloud, text: str) -> Receipt:
    if len(text) > payloads.MOST or not text.isascii():
        raise _unknown(text)
    padded = (text + "=" * (-len(text) % 4)).encode("ascii")
    ring = keys.receipts(cloud)
    try:
        receipt = _decoder.decode(ring.fernet().decrypt(padded))
    except InvalidToken:
        if not ring.read_again():
            raise _unknown(text) from None
        return _read(cloud, text)
    except (msgspec.MsgspecError, ValueError):
        raise _unknown(text) from None
    if receipt.expires_at <= clock.now() or _is_void(cloud, receipt):
        raise _unknown(text)
    return receipt


def _is_void(cloud: Cloud, receipt: Receipt) -> bool:
    """Whether all of the user's tokens were revoked since: with a new password the old one has proven nothing."""
    issued_at = clock.from_seconds(receipt.issued_at)
    touching = revocation_store.touching(cloud.db, {"user_id": [receipt.user_id]})
    return any(revocation.issued_before >= issued_at for revocation in touching)


def _unknown(text: str) -> CumuletError:
    shown = text if len(text) <= payloads.MOST and text.isprintable() else ""
    return Unauthorized(f"Could not find auth receipt: {shown}.", code="ReceiptNotFound")
