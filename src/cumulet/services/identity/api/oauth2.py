# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-OAUTH2/token`: tokens for OAuth 2.0 clients, with the errors that RFC 6749 asks for."""

from __future__ import annotations

from urllib.parse import parse_qsl

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.kernel.http.errors import unauthenticated
from cumulet.services.identity.api.callers import carried
from cumulet.services.identity.logic import oauth2
from cumulet.services.identity.types import Bearer

GRANT = "client_credentials"

_FORM = "application/x-www-form-urlencoded"
_KINDS = {400: "invalid_request", 401: "invalid_client"}


def create(request: Request) -> Reply:
    form = _form(request)
    grant = form.get("grant_type")
    if grant is None:
        return _error(request, 400, "invalid_request", "The parameter grant_type is required.")
    if grant != GRANT:
        return _error(request, 400, "unsupported_grant_type", f"The parameter grant_type {grant} is not supported.")
    try:
        found = _authenticate(request, form)
    except CumuletError as error:
        if error.status in _KINDS:
            return _error(request, error.status, _KINDS[error.status], error.message)
        told = "An unknown error occurred and failed to get an OAuth2.0 access token."
        return _error(request, error.status, "other_error", told)
    if found is None:
        return _error(request, 401, "invalid_client", "Client authentication failed.")
    text, bearer = found
    lasts = bearer.token.expires_at - int(bearer.token.issued_at)
    return Reply(200, {"access_token": text, "token_type": "Bearer", "expires_in": lasts})


def refuse(request: Request) -> Reply:
    return _error(request, 405, "other_error", "The method is not allowed for the requested URL.")


def _authenticate(request: Request, form: dict[str, str]) -> tuple[str, Bearer] | None:
    """The client's token; None where it has not said enough."""
    client_id, secret = form.get("client_id"), form.get("client_secret")
    brought = carried(request)
    certificate = oauth2.certificate_of(request.cloud, brought)
    said = oauth2.basic(request.headers.get("authorization", ""))
    if certificate is None and said is not None:
        client_id, secret = said
    if not client_id or "\0" in client_id:
        return None
    if certificate is not None:
        return oauth2.by_certificate(request.cloud, client_id, certificate)
    return oauth2.by_secret(request.cloud, client_id, secret, brought) if secret else None


def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    return dict(parse_qsl(request.raw.decode("utf-8", "replace"), keep_blank_values=True))


def _error(request: Request, status: int, kind: str, description: str) -> Reply:
    headers = unauthenticated(request).headers if status == 401 else {}
    return Reply(status, {"error": kind, "error_description": description}, dict(headers))


_PATH = "/OS-OAUTH2/token"

ROUTES = (
    Route("POST", _PATH, create, PUBLIC, raw=True),
    *(Route(method, _PATH, refuse, PUBLIC, raw=True) for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE")),
)
