# SPDX-License-Identifier: Apache-2.0
"""What an identity provider says of somebody, under the names that mappings written for Keystone know.

With Keystone a module of the web server puts claims and attributes into its environment. The spellings of the usual
ones are all there: of mod_auth_openidc (`OIDC-email`, `HTTP_OIDC_EMAIL`, `OIDC_CLAIM_email`), of mod_auth_mellon
(`MELLON_mail`, `MELLON_IDP`) and of Shibboleth (`mail`, `Shib-Identity-Provider`). `;` stands between several values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import orjson

Assertion: TypeAlias = dict[str, str]

ISSUER = "CUMULET_ISSUER"  # who speaks, whatever the protocol
REMOTE_USER = "REMOTE_USER"


def of_claims(claims: Mapping[str, Any]) -> Assertion:
    """What OpenID Connect claims say."""
    found: Assertion = {}
    for name, value in claims.items():
        text = _text(value)
        folded = name.upper().replace("-", "_")
        for spelling in (
            name,
            f"OIDC-{name}",
            f"OIDC_CLAIM_{name}",
            f"HTTP_OIDC_{folded}",
            f"HTTP_OIDC_CLAIM_{folded}",
        ):
            found[spelling] = text
    issuer = _text(claims.get("iss", ""))
    return {**found, ISSUER: issuer, REMOTE_USER: _text(claims.get("sub", ""))}


def of_attributes(issuer: str, name_id: str, attributes: Mapping[str, Iterable[str]]) -> Assertion:
    """What SAML attributes say, each under its name and its friendly name."""
    found: Assertion = {}
    for name, values in attributes.items():
        text = ";".join(values)
        found[name] = found[f"MELLON_{name}"] = text
    own = {"MELLON_IDP": issuer, "Shib-Identity-Provider": issuer, "MELLON_NAME_ID": name_id, "NAMEID": name_id}
    return {**found, **own, ISSUER: issuer, REMOTE_USER: name_id}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ";".join(_text(item) for item in value)
    return orjson.dumps(value).decode() if value is not None else ""
