# SPDX-License-Identifier: Apache-2.0
"""How the identity providers of this cloud are reached and trusted: kept in the vault, for secrets are in it."""

from __future__ import annotations

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.vault import Vault
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect

PREFIX = "identity.federation"


class Saml(msgspec.Struct, frozen=True, kw_only=True, tag="saml"):
    """A SAML 2.0 identity provider.

    `certificates` (PEM) are those that it signs with; `sso_url` takes requests by redirection. `unsolicited` takes
    assertions that nobody here has asked for, and without an audience, as other clouds send them; `sha1` takes
    signatures with SHA-1, which Keystone makes.
    """

    entity_id: str
    sso_url: str
    certificates: tuple[str, ...]
    unsolicited: bool = False
    sha1: bool = False


Source = OpenIdConnect | Saml


def find(cloud: Cloud, idp_id: str, protocol_id: str) -> Source | None:
    """How a protocol of a provider is spoken; None where nobody has said."""
    return read(cloud.vault, idp_id, protocol_id)


def read(vault: Vault, idp_id: str, protocol_id: str) -> Source | None:
    packed = vault.get(_name(idp_id, protocol_id))
    return None if packed is None else msgspec.json.decode(packed, type=Source)


def put(vault: Vault, idp_id: str, protocol_id: str, source: Source) -> None:
    packed = msgspec.json.encode(source)
    vault.change(_name(idp_id, protocol_id), lambda old: packed)


def remove(vault: Vault, idp_id: str, protocol_id: str) -> None:
    vault.remove(_name(idp_id, protocol_id))


def describe(source: Source | None) -> list[str]:
    """What was said of a way in, a line each, without secrets."""
    if source is None:
        return ["nothing is said of it"]
    words = msgspec.to_builtins(source)
    words.pop("client_secret", None)
    if isinstance(source, Saml):
        words["certificates"] = len(source.certificates)
    return [f"{name}: {value}" for name, value in words.items()]


def _name(idp_id: str, protocol_id: str) -> str:
    return f"{PREFIX}.{idp_id}/{protocol_id}"
