# SPDX-License-Identifier: Apache-2.0
"""What users have lent to consumers: some roles on a project, for as long as the user lets it be (OAuth 1)."""

from __future__ import annotations

import hmac
from datetime import timedelta

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.identity.logic import oauth1_secrets, oauth1_signatures, request_tokens, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.oauth1_signatures import SignedRequest
from cumulet.services.identity.logic.refusals import not_proven
from cumulet.services.identity.store import access_tokens as store
from cumulet.services.identity.store import consumers, roles
from cumulet.services.identity.store import request_tokens as request_store
from cumulet.services.identity.types import AccessToken, RequestToken, Role

KIND = "OS-OAUTH1:access_token"


def get(source: Source, token_id: str) -> AccessToken:
    found = store.find(source, token_id)
    if found is None:
        raise NotFound("Access token not found", code="AccessTokenNotFound")
    return found


def of_user(source: Source, user_id: str) -> list[AccessToken]:
    return store.of_user(source, user_id)


def roles_of(source: Source, token: AccessToken) -> list[Role]:
    """The roles lent that are still there."""
    return roles.find_these(source, token.role_ids)


def create(cloud: Cloud, asked: SignedRequest) -> AccessToken:
    """Exchange an authorized request token, which is used up; Unauthorized unless its consumer has signed for it."""
    consumer_id, request_id, verifier = asked.need("consumer_key", "token", "verifier")
    token = request_tokens.get(cloud.db, request_id)
    _check_form(asked)
    _check_signed(cloud, asked, token, consumer_id, verifier)
    lifetime = cloud.settings.identity.oauth1_access_lifetime
    ends = clock.utcnow() + timedelta(seconds=lifetime) if lifetime else None
    news = Teller(cloud)

    def write(tx: Tx) -> AccessToken:
        agreed = request_tokens.get(tx, request_id)
        if agreed.user_id is None or agreed.role_ids is None:
            raise _refused("Request Token does not have an authorizing user id.")
        if not request_store.remove(tx, request_id):
            raise NotFound("Request token not found", code="RequestTokenNotFound")
        new = AccessToken(ids.new_hex(), consumer_id, agreed.project_id, agreed.user_id, agreed.role_ids, ends)
        store.add(tx, new)
        news.tell(tx, KIND, "created", new.id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, user_id: str, token_id: str) -> None:
    """Take back what a user has lent; the tokens made by it are void at once."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if get(tx, token_id).user_id != user_id:
            raise _refused("User IDs do not match")
        store.remove(tx, token_id)
        news.tell(tx, KIND, "deleted", token_id)
        revocations.revoke(tx, access_token_id=token_id)

    cloud.db.write(write)


def _check_form(asked: SignedRequest) -> None:
    oauth1_signatures.check_form(asked)
    if not oauth1_signatures.ID.fullmatch(asked.words["token"]):
        raise Invalid(
            "Validation failed with errors: invalid_request, detail message is: Invalid resource owner key format.."
        )
    verifier = asked.words["verifier"]
    if len(verifier) != request_tokens.LENGTH or not set(verifier) <= set(request_tokens.CHARACTERS):
        raise Invalid("Validation failed with errors: invalid_request, detail message is: Invalid verifier format..")


def _check_signed(cloud: Cloud, asked: SignedRequest, token: RequestToken, consumer_id: str, verifier: str) -> None:
    consumer = consumers.find(cloud.db, consumer_id)
    if consumer is None:
        raise _refused("Provided consumer does not exist.")
    if token.consumer_id != consumer_id:
        raise _refused("Provided consumer key does not match stored consumer key.")
    if token.verifier is None or not hmac.compare_digest(token.verifier.encode(), verifier.encode()):
        raise _refused("Provided verifier does not match stored verifier")
    own, of_token = oauth1_secrets.of(cloud, consumer), oauth1_secrets.of(cloud, token)
    if not oauth1_signatures.is_signed(asked, own, of_token):
        raise _refused("Invalid signature")


def _refused(message: str) -> CumuletError:
    return not_proven(message, "OAuthRefused")
