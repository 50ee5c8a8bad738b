# SPDX-License-Identifier: Apache-2.0
"""Requests without a token, by a client's certificate (X.509), as Keystone's `[tokenless_auth]` has them.

Off until the settings name the issuers that are trusted for it. The identity provider is called by the SHA-256 of the
issuer's name; the mapping of its protocol says whom a certificate is for, who must be a user of this cloud. The scope
stands in headers: `X-Project-Id`, `X-Project-Name` with `X-Project-Domain-Id` or `-Name`, `X-Domain-Id` or `-Name`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography import x509

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.identity.logic import login, mapped_login, mapping_rules, mappings, oauth2
from cumulet.services.identity.logic.proofs import Attempt, Carried, Proven
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.types import User

METHOD = "x509"
ISSUER, SUBJECT = "SSL_CLIENT_I_DN", "SSL_CLIENT_S_DN"


def token(cloud: Cloud, carried: Carried) -> str | None:
    """A token for this one request; None without a certificate of a trusted issuer, Unauthorized for one of nobody."""
    trusted = cloud.settings.identity.tokenless_issuers
    shown = oauth2.certificate_of(cloud, carried) if trusted else None
    said = _said(shown) if shown is not None else {}
    if said.get(ISSUER) not in trusted:
        return None
    proven = Proven(user=_user(cloud, said), methods=(METHOD,))
    return login.issue(cloud, proven, Attempt(identity={}, scope=_scope(carried.headers)))[0]


def _said(certificate: str) -> dict[str, str]:
    """What the certificate (PEM) says, under the names of Apache's mod_ssl; of several values the first counts."""
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
        said = {ISSUER: read.issuer.rfc4514_string(), SUBJECT: read.subject.rfc4514_string()}
        for whose, name in (("I", read.issuer), ("S", read.subject)):
            for attribute, value in oauth2.attributes(whose, name):
                said.setdefault(attribute, value)
    except ValueError:
        raise refused() from None
    return said


def _user(cloud: Cloud, said: Mapping[str, str]) -> User:
    """Whom the mapping of the issuer makes of the certificate."""
    idp_id = hashlib.sha256(said[ISSUER].encode()).hexdigest()
    try:
        _, protocol = mapped_login.door(cloud, idp_id, cloud.settings.identity.tokenless_protocol)
        mapping = mappings.get(cloud.db, protocol.mapping_id)
        mapped = mapping_rules.evaluate(mapping.rules, said, mapping.schema_version)
    except (Forbidden, NotFound, mapping_rules.NoMatch):
        raise refused() from None
    if mapped.kind != mapping_rules.LOCAL:
        raise refused()
    return mapped_login.local(cloud, mapped)


def _scope(headers: Mapping[str, str]) -> dict[str, Any]:
    """The scope that the headers name; Invalid without one."""
    for kind in ("project", "domain"):
        if headers.get(f"x-{kind}-id"):
            return {kind: {"id": headers[f"x-{kind}-id"]}}
        if headers.get(f"x-{kind}-name"):
            words: dict[str, Any] = {"name": headers[f"x-{kind}-name"]}
            if kind == "project":
                words["domain"] = _domain(headers)
            return {kind: words}
    raise lacks("project or domain", "scope")


def _domain(headers: Mapping[str, str]) -> dict[str, str]:
    for name in ("id", "name"):
        if headers.get(f"x-project-domain-{name}"):
            return {name: headers[f"x-project-domain-{name}"]}
    raise lacks("domain", "project")
