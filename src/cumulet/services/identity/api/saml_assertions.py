# SPDX-License-Identifier: Apache-2.0
"""`/v3/auth/OS-FEDERATION/saml2`: assertions for other clouds about a token's holder (Keystone to Keystone)."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api.views import in_long_form, lacks_in_body
from cumulet.services.identity.logic import saml_assertions as logic
from cumulet.services.identity.types import ServiceProvider

_NAMED = {
    "type": "object",
    "properties": {"id": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}
_AUTH = in_long_form(
    {
        "type": "object",
        "properties": {
            "identity": {
                "type": "object",
                "properties": {"token": _NAMED, "methods": {"type": "array"}},
                "required": ["token"],
                "additionalProperties": False,
            },
            "scope": {
                "type": "object",
                "properties": {"service_provider": _NAMED},
                "required": ["service_provider"],
                "additionalProperties": False,
            },
        },
        "required": ["identity", "scope"],
        "additionalProperties": False,
    }
)


def assertion(request: Request) -> Reply:
    return _reply(*logic.respond(request.cloud, *_asked(request)))


def envelope(request: Request) -> Reply:
    return _reply(*logic.envelop(request.cloud, *_asked(request)))


def metadata(request: Request) -> Reply:
    return Reply(200, logic.metadata(request.cloud), media_type="text/xml")


def _asked(request: Request) -> tuple[str, str]:
    """The service provider's id and the token."""
    words: Any = request.body.get("auth") if isinstance(request.body, dict) else None
    if words is None:
        raise lacks_in_body("auth")
    _AUTH.check(words)
    return words["scope"]["service_provider"]["id"], words["identity"]["token"]["id"]


def _reply(document: bytes, provider: ServiceProvider) -> Reply:
    headers = {"X-sp-url": _plain(provider.sp_url), "X-auth-url": _plain(provider.auth_url)}
    return Reply(200, document, headers, media_type="text/xml")


def _plain(url: str) -> str:
    """A URL as a header can hold it."""
    return url.encode("ascii", "ignore").decode("ascii").replace("\r", "").replace("\n", "")


ROUTES = (
    Route("POST", "/auth/OS-FEDERATION/saml2", assertion, PUBLIC),
    Route("POST", "/auth/OS-FEDERATION/saml2/ecp", envelope, PUBLIC),
    Route("GET", "/OS-FEDERATION/saml2/metadata", metadata, PUBLIC),
)
