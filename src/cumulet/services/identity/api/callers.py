# SPDX-License-Identifier: Apache-2.0
"""The token of whoever asks, and what a request to log in carries beside its body."""

from __future__ import annotations

from cumulet.kernel.http import Request
from cumulet.services.identity.logic import proofs, tokenless, tokens
from cumulet.services.identity.logic.proofs import Carried
from cumulet.services.identity.logic.refusals import not_allowed
from cumulet.services.identity.types import Bearer


def caller(request: Request) -> Bearer:
    """What the caller's own token stands for."""
    window = request.cloud.settings.identity.allow_expired_window if request.ctx.is_service else 0
    return tokens.read(request.cloud, request.headers["x-auth-token"], expired_for=window)


def carried(request: Request) -> Carried:
    """What the methods of logging in may look at beside the body."""
    return Carried(
        method=request.method,
        url=request.url,
        query_pairs=tuple(request.query_pairs),
        headers=request.headers,
        client=request.client,
    )


def without_token(request: Request) -> str | None:
    """A token for a client that shows a certificate in place of one."""
    return tokenless.token(request.cloud, carried(request))


def keep_lent_tokens_out(request: Request) -> None:
    """Forbidden for a token that was lent by a trust, an access token or an EC2 signature.

    What it makes would outlive what it was lent for. Application credentials have rules of their own for this.
    """
    bearer = caller(request)
    if bearer.application_credential is None and proofs.is_delegated(bearer):
        raise not_allowed("Cannot manage application credentials with a token issued via delegation.")
