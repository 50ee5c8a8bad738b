# SPDX-License-Identifier: Apache-2.0
"""Who somebody is, proven by every method that the request names.

Whatever is wrong with the proof, the answer is the same 401, so that nobody learns which part it was.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import (
    application_credential_login,
    external,
    login_news,
    mapped_login,
    oauth1_login,
    password_login,
    token_login,
    totp,
)
from cumulet.services.identity.logic.proofs import Attempt, Method, Proven
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import lacks

METHODS: dict[str, Method] = {
    "password": password_login.prove,
    "token": token_login.prove,
    "application_credential": application_credential_login.prove,
    "totp": totp.prove,
    "oauth1": oauth1_login.prove,
    external.METHOD: external.prove,
    mapped_login.METHOD: mapped_login.prove,
}


def offered(cloud: Cloud) -> list[str]:
    """The methods that this cloud takes, by name."""
    off = set() if cloud.settings.identity.external_header else {external.METHOD}
    return sorted(METHODS.keys() - off)


def authenticate(cloud: Cloud, attempt: Attempt) -> Proven:
    """Prove the user by every method that the attempt names; Unauthorized unless all prove the same one."""
    named = list(dict.fromkeys(attempt.identity["methods"]))
    known = offered(cloud)
    for method in named:
        if not isinstance(attempt.identity.get(method), dict):
            raise lacks(method, "identity")
        if method not in known:
            raise Unauthorized(
                "Attempted to authenticate with an unsupported method.",
                code="AuthMethodNotSupported",
                identity={"methods": known},
            )
    proofs = [_prove(cloud, attempt, method) for method in named]
    if external.METHOD not in named:
        proofs.extend(_by_the_way(cloud, attempt))
    if not proofs or len({proof.user.id for proof in proofs}) > 1:
        raise refused()
    return _together(proofs)


def _prove(cloud: Cloud, attempt: Attempt, method: str) -> Proven:
    words = attempt.identity[method]
    if method not in login_news.METHODS:
        return METHODS[method](cloud, words, attempt)
    with login_news.told(cloud, method, words):
        return METHODS[method](cloud, words, attempt)


def _by_the_way(cloud: Cloud, attempt: Attempt) -> list[Proven]:
    """What a trusted front says of a request that does not ask for it; nothing where it names nobody known."""
    if external.named(cloud, attempt.carried) is None:
        return []
    try:
        return [external.prove(cloud, {}, attempt)]
    except Unauthorized:
        return []


def _together(proofs: list[Proven]) -> Proven:
    ends = [proof.expires_at for proof in proofs if proof.expires_at is not None]
    if len({proof.project_id for proof in proofs if proof.project_id}) > 1:
        raise refused()
    return Proven(
        user=proofs[0].user,
        methods=tuple(dict.fromkeys(method for proof in proofs for method in proof.methods)),
        expires_at=min(ends, default=None),
        audit_chain_id=next((proof.audit_chain_id for proof in proofs if proof.audit_chain_id), None),
        credential=next((proof.credential for proof in proofs if proof.credential), None),
        project_id=next((proof.project_id for proof in proofs if proof.project_id), None),
        access_token_id=next((proof.access_token_id for proof in proofs if proof.access_token_id), None),
        thumbprint=next((proof.thumbprint for proof in proofs if proof.thumbprint), None),
        federation=next((proof.federation for proof in proofs if proof.federation), None),
    )
