# SPDX-License-Identifier: Apache-2.0
"""The metadata of SAML identity providers: who they are, where they take requests, what they sign with."""

from __future__ import annotations

import textwrap

from cumulet.kernel.errors import Invalid
from cumulet.services.identity.logic import saml_xml
from cumulet.services.identity.logic.federation_sources import Saml
from cumulet.services.identity.logic.saml_login import REDIRECT
from cumulet.services.identity.logic.saml_xml import every, first, qualified


def read(text: bytes, *, unsolicited: bool = False, sha1: bool = False) -> Saml:
    """How the one identity provider in a metadata document is reached and trusted; Invalid for any other document."""
    root = saml_xml.parse(text)
    entity = root if root.tag == qualified("md:EntityDescriptor") else first(root, "md:EntityDescriptor")
    about = first(entity, "md:IDPSSODescriptor") if entity is not None else None
    if entity is None or about is None or not entity.get("entityID"):
        raise Invalid("The metadata describe no identity provider.")
    certificates = [
        _pem(one.text or "")
        for key in every(about, "md:KeyDescriptor")
        if key.get("use", "signing") == "signing"
        for one in every(key, "ds:KeyInfo/ds:X509Data/ds:X509Certificate")
    ]
    if not certificates:
        raise Invalid("The metadata name no certificate for signatures.")
    doors = {one.get("Binding"): one.get("Location", "") for one in every(about, "md:SingleSignOnService")}
    return Saml(
        entity_id=entity.get("entityID"),
        sso_url=doors.get(REDIRECT, ""),
        certificates=tuple(dict.fromkeys(certificates)),
        unsolicited=unsolicited,
        sha1=sha1,
    )


def _pem(text: str) -> str:
    body = "\n".join(textwrap.wrap("".join(text.split()), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
