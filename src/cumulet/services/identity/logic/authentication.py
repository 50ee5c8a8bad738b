# SPDX-License-Identifier: Apache-2.0
"""Who somebody is, proven by password, token or application credential.

Whatever is wrong with the proof, the answer is the same 401, so that nobody learns which part it was.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import CumuletError, Forbidden, NotFound, Unauthorized
from cumulet.services.identity.logic import passwords, tokens
from cumulet.services.identity.logic.scopes import enabled_domain, lacks
from cumulet.services.identity.store import application_credentials, users
from cumulet.services.identity.types import ApplicationCredential, Bearer, User


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A user who has been proven, and what the proof says of the token to come."""

    user: User
    methods: tuple[str, ...]
    expires_at: int | None = None
    audit_chain_id: str | None = None
    credential: ApplicationCredential | None = None


def authenticate(cloud: Cloud, identity: dict[str, Any], scope: Any) -> Proven:
    """Prove the user by every method that `identity` names; Unauthorized unless all prove the same one."""
    proofs: list[Proven] = []
    for method in dict.fromkeys(identity["methods"]):
        if method not in identity:
            raise lacks(method, "identity")
        if method not in _METHODS:
            raise Unauthorized(
                "Attempted to authenticate with an unsupported method.",
                code="AuthMethodNotSupported",
                identity={"methods": sorted(_METHODS)},
            )
        proofs.append(_METHODS[method](cloud, identity[method], scope))
    if not proofs or len({proof.user.id for proof in proofs}) > 1:
        raise _refused()
    return _together(proofs)


def _together(proofs: list[Proven]) -> Proven:
    ends = [proof.expires_at for proof in proofs if proof.expires_at is not None]
    return Proven(
        user=proofs[0].user,
        methods=tuple(dict.fromkeys(method for proof in proofs for method in proof.methods)),
        expires_at=min(ends, default=None),
        audit_chain_id=next((proof.audit_chain_id for proof in proofs if proof.audit_chain_id), None),
        credential=next((proof.credential for proof in proofs if proof.credential), None),
    )


def _by_password(cloud: Cloud, words: dict[str, Any], scope: Any) -> Proven:
    if "user" not in words:
        raise lacks("user", "password")
    secret = words["user"].get("password")
    user = _find_user(cloud.db, words["user"])
    hashed = users.password_of(cloud.db, user.id) if user is not None else None
    if user is None or hashed is None or not isinstance(secret, str) or len(secret) > passwords.LONGEST:
        passwords.waste("", cloud.settings.identity.bcrypt_rounds)
        raise _refused()
    if not passwords.matches(secret, hashed.hash) or not user.enabled:
        raise _refused()
    enabled_domain(cloud.db, {"id": user.domain_id})
    return Proven(user=user, methods=("password",))


def _by_token(cloud: Cloud, words: dict[str, Any], scope: Any) -> Proven:
    bearer = tokens.validate(cloud, words["id"])
    _may_exchange(bearer, scope)
    token = bearer.token
    return Proven(
        user=bearer.user,
        methods=("token", *token.methods),
        expires_at=token.expires_at,
        audit_chain_id=token.audit_chain_id,
    )


def _may_exchange(bearer: Bearer, scope: Any) -> None:
    wanted = scope if isinstance(scope, dict) else {}
    if bearer.system and ("project" in wanted or "domain" in wanted):
        raise _forbidden(
            "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed."
        )
    if bearer.application_credential is not None:
        raise _forbidden("Using a delegated token to create another token is not allowed.")


def _by_application_credential(cloud: Cloud, words: dict[str, Any], scope: Any) -> Proven:
    credential = _find_credential(cloud.db, words)
    secret = words.get("secret")
    if credential is None or not isinstance(secret, str) or len(secret) > passwords.LONGEST:
        passwords.waste("", cloud.settings.identity.bcrypt_rounds)
        raise _refused()
    user = users.find(cloud.db, credential.user_id)
    if user is None or not user.enabled or not passwords.matches(secret, credential.hash):
        raise _refused()
    if credential.expires_at is not None and credential.expires_at <= clock.utcnow():
        raise _refused()
    ends = int(credential.expires_at.replace(tzinfo=UTC).timestamp()) if credential.expires_at else None
    return Proven(user=user, methods=("application_credential",), expires_at=ends, credential=credential)


def _find_credential(source: Source, words: dict[str, Any]) -> ApplicationCredential | None:
    if words.get("id"):
        found = application_credentials.find(source, words["id"])
        if found is None:
            raise NotFound(f"Could not find Application Credential: {words['id']}.")
        return found
    if not words.get("name"):
        raise lacks("name or ID", "application credential")
    if "user" not in words:
        raise lacks("user", "application credential")
    user = _find_user(source, words["user"])
    return application_credentials.find_by_name(source, user.id, words["name"]) if user is not None else None


def _find_user(source: Source, words: dict[str, Any]) -> User | None:
    user_id, name = words.get("id"), words.get("name")
    if not user_id and not name:
        raise lacks("id or name", "user")
    if not name:
        return users.find(source, str(user_id))
    if "domain" not in words:
        raise lacks("domain", "user")
    return users.find_by_name(source, name, enabled_domain(source, words["domain"]).id)


def _refused() -> CumuletError:
    return Unauthorized("The request you have made requires authentication.")


def _forbidden(reason: str) -> CumuletError:
    return Forbidden(f"You are not authorized to perform the requested action: {reason}.")


_METHODS = {
    "password": _by_password,
    "token": _by_token,
    "application_credential": _by_application_credential,
}
