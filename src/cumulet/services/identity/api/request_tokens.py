# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-OAUTH1/request_token`, `/v3/OS-OAUTH1/authorize/{request_token_id}`, `/v3/OS-OAUTH1/access_token`"""

from __future__ import annotations

from datetime import datetime

from cumulet.kernel import clock
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.views import ROLES
from cumulet.services.identity.logic import access_tokens, oauth1_secrets, oauth1_signatures, tokens
from cumulet.services.identity.logic import request_tokens as logic
from cumulet.services.identity.logic.oauth1_signatures import SignedRequest
from cumulet.services.identity.logic.proofs import is_delegated
from cumulet.services.identity.logic.refusals import not_allowed
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.types import AccessToken, RequestToken

MEDIA_TYPE = "application/x-www-form-urlencoded"
PROJECT = "requested-project-id"

_AUTHORIZE = Schema(
    {
        "type": "object",
        "properties": {"roles": ROLES},
    }
)


def create(request: Request) -> Reply:
    asked = _signed(request)
    asked.need("consumer_key")
    project_id = request.headers.get(PROJECT)
    if not project_id:
        raise lacks("Requested-Project-Id", "request")
    return _told(request, logic.create(request.cloud, asked, project_id))


def authorize(request: Request) -> Reply:
    if is_delegated(tokens.read(request.cloud, request.headers["x-auth-token"])):
        raise not_allowed("Cannot authorize a request token with a token issued via delegation.")
    wanted = request.body.get("roles", ())
    verifier = logic.authorize(request.cloud, request.ctx, request.params["request_token_id"], wanted)
    return Reply(200, {"token": {"oauth_verifier": verifier}})


def exchange(request: Request) -> Reply:
    return _told(request, access_tokens.create(request.cloud, _signed(request)))


def moment(when: datetime) -> str:
    """A time as OAuth clients are told it."""
    return clock.iso_micro_z(when)


def _told(request: Request, token: RequestToken | AccessToken) -> Reply:
    secret = oauth1_secrets.of(request.cloud, token)
    text = f"oauth_token={token.id}&oauth_token_secret={secret}"
    if token.expires_at is not None:
        text += f"&oauth_expires_at={moment(token.expires_at)}"
    return Reply(201, text.encode(), media_type=MEDIA_TYPE)


def _signed(request: Request) -> SignedRequest:
    return oauth1_signatures.read(request.method, request.url, request.query_pairs, request.headers, request.raw)


_AUTHORIZE_PATH = "/OS-OAUTH1/authorize/{request_token_id}"

ROUTES = (
    Route("POST", "/OS-OAUTH1/request_token", create, PUBLIC),
    Route("PUT", _AUTHORIZE_PATH, authorize, "identity:authorize_request_token", body=_AUTHORIZE),
    Route("POST", "/OS-OAUTH1/access_token", exchange, PUBLIC),
)
