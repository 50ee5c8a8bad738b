# SPDX-License-Identifier: Apache-2.0
"""`/v3/auth/tokens`: issue, validate and revoke."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api import access_rules, targets, token_answers
from cumulet.services.identity.api.callers import carried
from cumulet.services.identity.api.token_answers import ACCESS_RULES, SUBJECT, Bodies
from cumulet.services.identity.api.views import in_long_form, lacks_in_body, truth
from cumulet.services.identity.logic import catalog, login, service_providers, tokens
from cumulet.services.identity.types import Bearer, Project, Role

ACCESS_RULES_VERSION = 1.0  # from which on a service heeds access rules

_STRING = {"type": "string"}
_DOMAIN = {"type": "object", "properties": {"id": _STRING, "name": _STRING}}
_USER = {
    "type": "object",
    "properties": {"id": _STRING, "name": _STRING, "password": _STRING, "domain": _DOMAIN},
}
_AUTH = in_long_form(
    {
        "type": "object",
        "properties": {
            "identity": {
                "type": "object",
                "properties": {
                    "methods": {"type": "array", "items": _STRING},
                    "password": {"type": "object", "properties": {"user": _USER}},
                    "oauth1": {"type": "object"},
                    "totp": {"type": "object", "properties": {"user": _USER}},
                    "token": {"type": "object", "properties": {"id": _STRING}, "required": ["id"]},
                    "application_credential": {
                        "type": "object",
                        "properties": {"id": _STRING, "name": _STRING, "secret": _STRING, "user": _USER},
                    },
                },
                "required": ["methods"],
            },
            "scope": {
                "type": ["object", "string"],
                "properties": {
                    "project": {"type": "object", "properties": {"name": _STRING, "id": _STRING, "domain": _DOMAIN}},
                    "domain": _DOMAIN,
                    "OS-TRUST:trust": {"type": "object", "properties": {"id": _STRING}},
                    "system": {"type": "object", "properties": {"all": {"type": "boolean"}}},
                },
            },
        },
        "required": ["identity"],
    }
)
_NAMED = (
    ("identity", "password", "user"),
    ("identity", "password", "user", "domain"),
    ("scope", "project"),
    ("scope", "project", "domain"),
    ("scope", "domain"),
)


def issue(request: Request) -> Reply:
    auth = request.body.get("auth") if isinstance(request.body, dict) else None
    if auth is None:
        raise lacks_in_body("auth")
    _AUTH.check(auth)
    _check_named(auth)
    text, bearer = login.login(request.cloud, auth, carried(request))
    return Reply(201, {"token": view(request, bearer)}, {"X-Subject-Token": text})


def validate(request: Request) -> Reply:
    remembered, text = request.cloud.keep(Bodies), _subject(request)
    epoch, bearer = request.once(_find_subject)
    if bearer.access_rules is not None and not _understands_access_rules(request):
        raise NotFound("Failed to validate token", code="TokenNotFound")
    asked = (text, "nocatalog" in request.query)
    body = remembered.find(epoch, asked)
    if body is None:
        body = orjson.dumps({"token": view(request, bearer)})
        remembered.put(epoch, asked, body)
    token_answers.remember(request, bearer, body)
    return token_answers.reply(text, body)


def revoke(request: Request) -> Reply:
    tokens.revoke(request.cloud, _subject(request), chain=truth(request.query.get("cascade", "true")))
    return Reply(204)


def revoke_all(request: Request) -> Reply:
    tokens.revoke_all(request.cloud, request.params["user_id"])
    return Reply(204)


def target(request: Request) -> Mapping[str, Any]:
    """What the rules of validating and revoking are judged on: whose token it is; nobody's where none is named."""
    if not _subject(request):
        return {"target": {"token": {"user_id": None, "user": {"id": None, "domain": {"id": None}}}}}
    _, bearer = request.once(_find_subject)
    user = {"id": bearer.user.id, "domain": {"id": bearer.user_domain.id}}
    return {"target": {"token": {"user_id": bearer.user.id, "user": user}}}


def view(request: Request, bearer: Bearer) -> dict[str, Any]:
    token, ends = bearer.token, bearer.password_expires_at
    body: dict[str, Any] = {
        "methods": list(token.methods),
        "user": {
            "domain": _name(bearer.user_domain),
            "id": bearer.user.id,
            "name": bearer.user.name,
            "password_expires_at": clock.iso_micro(ends) if ends is not None else None,
        },
        "audit_ids": list(token.audit_ids),
        "expires_at": _moment(token.expires_at),
        "issued_at": _moment(int(token.issued_at)),
    }
    _tell_of_elsewhere(request, bearer, body)
    if bearer.system:
        body["system"] = {"all": True}
    elif bearer.domain is not None:
        body["domain"] = _name(bearer.domain)
    elif bearer.project is not None and bearer.project_domain is not None:
        body["project"] = {"domain": _name(bearer.project_domain), **_name(bearer.project)}
        if bearer.trust is None:
            body["is_domain"] = bearer.project.is_domain
    if (trust := bearer.trust) is not None:
        body["OS-TRUST:trust"] = {
            "id": trust.id,
            "trustor_user": {"id": trust.trustor_user_id},
            "trustee_user": {"id": trust.trustee_user_id},
            "impersonation": trust.impersonation,
        }
    if token.thumbprint is not None:
        body["oauth2_credential"] = {"x5t#S256": token.thumbprint}
    if token.access_token_id is not None:
        body["OS-OAUTH1"] = {"access_token_id": token.access_token_id, "consumer_id": bearer.consumer_id}
    if token.target is not None:
        body["roles"] = [_role(role, whole=bearer.trust is not None) for role in bearer.roles]
        if "nocatalog" not in request.query:
            project_id = bearer.project.id if bearer.project is not None else None
            user_id = bearer.trust.trustor_user_id if bearer.trust is not None else bearer.user.id
            body["catalog"] = catalog.of(request.cloud, user_id, project_id)
    if (credential := bearer.application_credential) is not None:
        restricted = not credential.unrestricted
        body["application_credential"] = {"id": credential.id, "name": credential.name, "restricted": restricted}
        if bearer.access_rules is not None:
            body["application_credential"]["access_rules"] = [access_rules.view(rule) for rule in bearer.access_rules]
    return body


def _role(role: Role, *, whole: bool) -> dict[str, Any]:
    """A role as tokens show it; those that a trust lends are shown with all that they are."""
    more = {"domain_id": role.domain_id, "description": role.description, "options": role.options} if whole else {}
    return {"id": role.id, "name": role.name, **more}


def _tell_of_elsewhere(request: Request, bearer: Bearer, body: dict[str, Any]) -> None:
    """Say who vouched for a user from elsewhere, and which other clouds let users of this one in."""
    if (federation := bearer.token.federation) is not None:
        body["user"]["OS-FEDERATION"] = {
            "groups": [{"id": group_id} for group_id in federation.group_ids],
            "identity_provider": {"id": federation.identity_provider_id},
            "protocol": {"id": federation.protocol_id},
        }
        del body["user"]["password_expires_at"]
    found = service_providers.enabled(request.cloud)
    if found:
        body["service_providers"] = [{"auth_url": one.auth_url, "id": one.id, "sp_url": one.sp_url} for one in found]


def _check_named(auth: dict[str, Any]) -> None:
    """Hold every object that is named by id or name to having one of them."""
    for path in _NAMED:
        found: Any = auth
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict) and "id" not in found and "name" not in found:
            raise Invalid(f"Invalid input for field {'/'.join(path)}: id or name must be present.")


def _find_subject(request: Request) -> tuple[int, Bearer]:
    """What the token that is asked about stands for, and the epoch in which it does."""
    expired = truth(request.query.get("allow_expired"))
    window = request.cloud.settings.identity.allow_expired_window if expired else 0
    epoch = request.once(token_answers.epoch)
    return epoch, tokens.validate(request.cloud, _subject(request), expired_for=window, epoch=epoch)


def _understands_access_rules(request: Request) -> bool:
    try:
        return float(request.headers.get(ACCESS_RULES, "")) >= ACCESS_RULES_VERSION
    except ValueError:
        return False


def _subject(request: Request) -> str:
    return request.headers.get(SUBJECT, "")


def _moment(seconds: int) -> str:
    return clock.iso_micro_z(datetime.fromtimestamp(seconds, UTC))


def _name(project: Project) -> dict[str, str]:
    return {"id": project.id, "name": project.name}


ROUTES = (
    Route("POST", "/auth/tokens", issue, PUBLIC, slow=True),
    Route(
        *("GET", "/auth/tokens", validate, "identity:validate_token"),
        target=target,
        always_allowed=True,
        at_hand=token_answers.again,
    ),
    Route("HEAD", "/auth/tokens", validate, "identity:check_token", target=target),
    Route("DELETE", "/auth/tokens", revoke, "identity:revoke_token", target=target),
    Route("DELETE", "/users/{user_id}/tokens", revoke_all, "identity:revoke_tokens_for_user", target=targets.of_path),
)
