# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-FEDERATION/.../auth`: tokens for people whom an identity provider has proven; what they could reach."""

from __future__ import annotations

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api import auth
from cumulet.services.identity.api.tokens import view
from cumulet.services.identity.logic import federation_sources, login, mapped_login, saml_login
from cumulet.services.identity.logic.federation_sources import Saml
from cumulet.services.identity.logic.proofs import Attempt, Proven
from cumulet.services.identity.logic.refusals import refused

PAOS = "application/vnd.paos+xml"
_AUTH = "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"


def enter(request: Request) -> Reply:
    """Log in by an access token of the provider, or by SAML for clients that are no browsers (ECP)."""
    cloud, idp_id, protocol_id = request.cloud, request.params["idp_id"], request.params["protocol_id"]
    provider, protocol = mapped_login.door(cloud, idp_id, protocol_id)
    source = federation_sources.find(cloud, idp_id, protocol_id)
    if isinstance(source, Saml):
        if request.raw and PAOS in request.headers.get("content-type", ""):
            assertion = saml_login.of_envelope(cloud, source, provider, protocol, request.raw)
            return token(request, mapped_login.enter(cloud, provider, protocol, assertion))
        if request.method == "GET" and PAOS in request.headers.get("accept", ""):
            envelope = saml_login.ask_client(cloud, source, provider, protocol)
            return Reply(200, envelope, media_type=PAOS)
        raise refused()
    assertion = mapped_login.by_bearer(cloud, provider, protocol, request.headers)
    return token(request, mapped_login.enter(cloud, provider, protocol, assertion))


def token(request: Request, proven: Proven) -> Reply:
    text, bearer = login.issue(request.cloud, proven, Attempt(identity={}, scope="unscoped"))
    return Reply(201, {"token": view(request, bearer)}, {"X-Subject-Token": text})


ROUTES = (
    Route("GET", _AUTH, enter, PUBLIC, slow=True),
    Route("POST", _AUTH, enter, PUBLIC, slow=True, raw=True),
    Route("GET", "/OS-FEDERATION/projects", auth.projects_of, "identity:get_auth_projects"),
    Route("GET", "/OS-FEDERATION/domains", auth.domains_of, "identity:get_auth_domains"),
)
