# SPDX-License-Identifier: Apache-2.0
"""A consumer asks for a share of a user's rights on a project, and a user agrees (OAuth 1)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.identity.logic import (
    consumers,
    effective,
    oauth1_secrets,
    oauth1_signatures,
    projects,
    role_names,
)
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.oauth1_signatures import SignedRequest
from cumulet.services.identity.logic.refusals import not_proven
from cumulet.services.identity.store import request_tokens as store
from cumulet.services.identity.types import RequestToken

KIND = "OS-OAUTH1:request_token"
# Verifiers are typed by people: no characters that look like others.
CHARACTERS = "".join(one for one in string.ascii_letters + string.digits if one not in "jiIl1oO0")
LENGTH = 8


def get(source: Source, token_id: str) -> RequestToken:
    """NotFound where there is none, Unauthorized for one that has expired."""
    found = store.find(source, token_id)
    if found is None:
        raise NotFound("Request token not found", code="RequestTokenNotFound")
    if found.expires_at is not None and found.expires_at <= clock.utcnow():
        raise not_proven("Request token is expired", "RequestTokenExpired")
    return found


def create(cloud: Cloud, asked: SignedRequest, project_id: str) -> RequestToken:
    """Keep what a consumer asks for; Unauthorized unless the consumer has signed it."""
    (consumer_id,) = asked.need("consumer_key")
    projects.get(cloud.db, project_id)
    consumer = consumers.get(cloud.db, consumer_id)
    oauth1_signatures.check_form(asked)
    if "callback" not in asked.words:
        raise Invalid("Validation failed with errors: invalid_request, detail message is: Missing callback URI..")
    if not oauth1_signatures.is_signed(asked, oauth1_secrets.of(cloud, consumer)):
        raise not_proven("Invalid signature", "OAuthSignature")
    lifetime = cloud.settings.identity.oauth1_request_lifetime
    now = clock.utcnow()
    ends = now + timedelta(seconds=lifetime) if lifetime else None
    new = RequestToken(ids.new_hex(), consumer_id, project_id, None, None, None, ends)
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        store.remove_ended(tx, now)
        consumers.get(tx, consumer_id)
        store.add(tx, new)
        news.tell(tx, KIND, "created", new.id)

    cloud.db.write(write)
    return new


def authorize(cloud: Cloud, ctx: Context, token_id: str, wanted: Iterable[Mapping[str, str]]) -> str:
    """The caller lends these of its own roles (`{"id": ...}` or `{"name": ...}`); the verifier to tell the consumer."""
    get(cloud.db, token_id)
    role_ids = sorted(role_names.to_ids(cloud.db, wanted))
    verifier = "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))

    def write(tx: Tx) -> None:
        token = get(tx, token_id)
        held = effective.on_project(tx, ctx.user_id, projects.get(tx, token.project_id))
        if not set(role_ids) <= {role.id for role in held}:
            raise not_proven("authorizing user does not have role required", "RoleMissing")
        store.change(tx, token_id, {"user_id": ctx.user_id, "role_ids": role_ids, "verifier": verifier})

    cloud.db.write(write)
    return verifier
