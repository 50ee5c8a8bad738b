# SPDX-License-Identifier: Apache-2.0
"""Tokens for OAuth 2.0 clients: by the secret of an application credential, or by a certificate (RFC 8705).

A client with a certificate is a user, whose id it names. A mapping (`identity.oauth2_mapping`) says from the
certificate's names who that user must be; the token is for the user's default project and tells the certificate's
thumbprint, so that a service can hold the client to it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, Unauthorized
from cumulet.services.identity.logic import accounts, login, mapping_rules
from cumulet.services.identity.logic.proofs import Attempt, Carried, Proven
from cumulet.services.identity.store import mappings, projects, users
from cumulet.services.identity.types import Bearer, Project, User

LOG = logging.getLogger(__name__)

METHOD = "oauth2_credential"
LONGEST = 65_536  # characters of a certificate


def by_secret(cloud: Cloud, client_id: str, secret: str, carried: Carried) -> tuple[str, Bearer]:
    """A token for whoever has the secret of the application credential `client_id`."""
    words = {"methods": ["application_credential"], "application_credential": {"id": client_id, "secret": secret}}
    return login.login(cloud, {"identity": words}, carried)


def by_certificate(cloud: Cloud, client_id: str, certificate: str) -> tuple[str, Bearer]:
    """A token for the user `client_id`, whom the certificate (PEM) must name by the mapping; Unauthorized otherwise."""
    said = _names(certificate)
    user = users.find(cloud.db, client_id)
    if user is None or user.default_project_id is None or not accounts.is_enabled(cloud, user):
        raise _refused("no user with a default project has the id %s", client_id)
    domain = projects.find(cloud.db, user.domain_id)
    if domain is None:
        raise _refused("the domain of the user %s is gone", client_id)
    _check_mapped(cloud, said, user, domain)
    digest = hashlib.sha256(certificate.encode()).digest()
    proven = Proven(
        user=user,
        methods=(METHOD,),
        project_id=user.default_project_id,
        thumbprint=base64.urlsafe_b64encode(digest).decode("ascii"),
    )
    return login.issue(cloud, proven, Attempt(identity={}))


def certificate_of(cloud: Cloud, carried: Carried) -> str | None:
    """The client's certificate (PEM), where a trusted front has put it into the header that the settings name.

    Fronts escape it as part of an URL, for a header has one line.
    """
    settings = cloud.settings.identity
    if not settings.oauth2_certificate_header or carried.client not in settings.external_from:
        return None
    said = carried.headers.get(settings.oauth2_certificate_header.lower(), "")
    return unquote(said) or None if len(said) <= LONGEST else None


def basic(header: str) -> tuple[str, str] | None:
    """The id and the secret of a header `Authorization: Basic ...`."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, secret) if colon else None


def _names(certificate: str) -> dict[str, str]:
    """The attributes of the certificate's subject and issuer, as mappings know them: `SSL_CLIENT_SUBJECT_DN_CN`."""
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
        return {**dict(attributes("SUBJECT", read.subject)), **dict(attributes("ISSUER", read.issuer))}
    except ValueError:
        raise _refused("the client's certificate cannot be read") from None


def attributes(whose: str, name: x509.Name) -> Iterator[tuple[str, str]]:
    """The parts of a name in a certificate as mappings know them."""
    for attribute in name:
        kind = "emailAddress" if attribute.oid == NameOID.EMAIL_ADDRESS else attribute.rfc4514_attribute_name
        yield f"SSL_CLIENT_{whose}_DN_{kind.upper()}", str(attribute.value)


def _check_mapped(cloud: Cloud, said: Mapping[str, str], user: User, domain: Project) -> None:
    """Unauthorized unless the mapping makes of the certificate this user, by name, id or e-mail address."""
    mapping = mappings.find(cloud.db, cloud.settings.identity.oauth2_mapping)
    if mapping is None:
        raise _refused("there is no mapping %s", cloud.settings.identity.oauth2_mapping)
    try:
        mapped = mapping_rules.evaluate(mapping.rules, said, mapping.schema_version).user
    except mapping_rules.NoMatch as error:
        raise _refused("the mapping %s: %s", mapping.id, error) from None
    home: Mapping[str, Any] = mapped.get("domain") or {}
    pairs = (
        *((mapped.get(name), value) for name, value in _of(user).items()),
        (home.get("id"), domain.id),
        (home.get("name"), domain.name),
    )
    if not any(mapped.get(name) for name in _of(user)) or any(wanted and wanted != have for wanted, have in pairs):
        raise _refused("the certificate is not that of the user %s", user.id)


def _of(user: User) -> dict[str, str | None]:
    """By what a mapping may name a user."""
    return {"name": user.name, "id": user.id, "email": user.extra.get("email")}


def _refused(reason: str, *named: object) -> CumuletError:
    """The one answer to every wrong client; the reason is for the operator."""
    LOG.info("no token for a client with a certificate: " + reason, *named)
    return Unauthorized("Client authentication failed.", code="OAuth2InvalidClient")
