# SPDX-License-Identifier: Apache-2.0
"""This cloud as a SAML 2.0 identity provider, for other clouds (Keystone to Keystone).

The attributes are Keystone's: `openstack_user`, `openstack_user_domain`, `openstack_roles`, `openstack_project`,
`openstack_project_domain` and `openstack_groups`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import orjson

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.identity.logic import saml_login, saml_xml, service_providers, tokens
from cumulet.services.identity.logic.bearers import REFUSED
from cumulet.services.identity.logic.saml_keys import key_pair
from cumulet.services.identity.logic.saml_xml import Element, element
from cumulet.services.identity.store import groups, projects
from cumulet.services.identity.types import Bearer, ServiceProvider

ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"  # noqa: S105  a class of log-ins
URI = "urn:oasis:names:tc:SAML:2.0:bindings:URI"
NEXT = "http://schemas.xmlsoap.org/soap/actor/next"
UNSPECIFIED = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"


def respond(cloud: Cloud, provider_id: str, token: str) -> tuple[bytes, ServiceProvider]:
    """A response with a signed assertion about a token's holder, for a service provider."""
    response, provider = _respond(cloud, provider_id, token)
    return saml_xml.write(response), provider


def envelop(cloud: Cloud, provider_id: str, token: str) -> tuple[bytes, ServiceProvider]:
    """The same in the envelope that a client hands on (ECP)."""
    response, provider = _respond(cloud, provider_id, token)
    envelope = element("S:Envelope")
    header, body = element("S:Header", parent=envelope), element("S:Body", parent=envelope)
    state = element("ecp:RelayState", f"{provider.relay_state_prefix}{uuid.uuid4().hex}", header)
    state.set(saml_xml.qualified("S:mustUnderstand"), "1")
    state.set(saml_xml.qualified("S:actor"), NEXT)
    body.append(response)
    return saml_xml.write(envelope), provider


def metadata(cloud: Cloud) -> bytes:
    """What other clouds have to know of this one to trust its assertions."""
    about = element("md:EntityDescriptor", entityID=saml_login.entity_id(cloud))
    own = element("md:IDPSSODescriptor", parent=about, protocolSupportEnumeration=saml_xml.SAMLP)
    described = element("md:KeyDescriptor", parent=own, use="signing")
    data = element("ds:X509Data", parent=element("ds:KeyInfo", parent=described))
    lines = key_pair(cloud).certificate.strip().splitlines()[1:-1]
    element("ds:X509Certificate", "".join(lines), data)
    element("md:NameIDFormat", TRANSIENT, own)
    where = f"{cloud.settings.control_url}/identity/v3/auth/OS-FEDERATION/saml2"
    element("md:SingleSignOnService", parent=own, Binding=URI, Location=where)
    return saml_xml.write(about)


def _respond(cloud: Cloud, provider_id: str, token: str) -> tuple[Element, ServiceProvider]:
    provider = service_providers.get(cloud.db, provider_id)
    if not provider.enabled:
        raise Forbidden(REFUSED)
    bearer = tokens.validate(cloud, token)
    if bearer.access_rules is not None:
        # Where the assertion is shown nobody would look at the rules.
        raise NotFound("Failed to validate token", code="TokenNotFound")
    if bearer.project is None or bearer.project_domain is None:
        raise Forbidden(
            "You are not authorized to perform the requested action: "
            "Use a project scoped token when attempting to create a SAML assertion."
        )
    now = saml_xml.moment(clock.now())
    response = element(
        "samlp:Response", ID=uuid.uuid4().hex, Version="2.0", IssueInstant=now, Destination=provider.sp_url
    )
    element("saml:Issuer", saml_login.entity_id(cloud), response, Format=ENTITY)
    status = element("samlp:Status", parent=response)
    element("samlp:StatusCode", parent=status, Value=saml_login.SUCCESS)
    response.append(saml_xml.sign(_assertion(cloud, provider, bearer, _attributes(cloud, bearer)), key_pair(cloud)))
    return response, provider


def _assertion(cloud: Cloud, provider: ServiceProvider, bearer: Bearer, attributes: dict[str, list[str]]) -> Element:
    now = clock.now()
    until = saml_xml.moment(now + cloud.settings.identity.saml_assertion_lifetime)
    issuer = saml_login.entity_id(cloud)
    made = element("saml:Assertion", ID=f"_{uuid.uuid4().hex}", Version="2.0", IssueInstant=saml_xml.moment(now))
    element("saml:Issuer", issuer, made, Format=ENTITY)
    subject = element("saml:Subject", parent=made)
    element("saml:NameID", bearer.user.name, subject)
    confirmation = element("saml:SubjectConfirmation", parent=subject, Method=saml_login.BEARER)
    element("saml:SubjectConfirmationData", parent=confirmation, NotOnOrAfter=until, Recipient=provider.sp_url)
    element("saml:Conditions", parent=made, NotOnOrAfter=until)
    session = {"SessionIndex": uuid.uuid4().hex, "SessionNotOnOrAfter": until}
    said = element("saml:AuthnStatement", parent=made, AuthnInstant=saml_xml.moment(now), **session)
    context = element("saml:AuthnContext", parent=said)
    element("saml:AuthnContextClassRef", PASSWORD, context)
    element("saml:AuthenticatingAuthority", issuer, context)
    statement = element("saml:AttributeStatement", parent=made)
    for name, values in attributes.items():
        attribute = element("saml:Attribute", parent=statement, Name=name, NameFormat=UNSPECIFIED)
        for value in values:
            element("saml:AttributeValue", value, attribute)
    return made


def _attributes(cloud: Cloud, bearer: Bearer) -> dict[str, list[str]]:
    assert bearer.project is not None
    assert bearer.project_domain is not None
    found = {
        "openstack_user": [bearer.user.name],
        "openstack_roles": [role.name for role in bearer.roles],
        "openstack_project": [bearer.project.name],
        "openstack_project_domain": [bearer.project_domain.name],
        "openstack_user_domain": [bearer.user_domain.name],
    }
    member_of = list(_groups(cloud, bearer))
    return {**found, "openstack_groups": member_of} if member_of else found


def _groups(cloud: Cloud, bearer: Bearer) -> Iterable[str]:
    for group in groups.of_user(cloud.db, bearer.user.id):
        domain = projects.find(cloud.db, group.domain_id)
        words: dict[str, Any] = {"name": group.name, "domain": {"name": domain.name if domain is not None else ""}}
        yield f"JSON:{orjson.dumps(words).decode()}"
