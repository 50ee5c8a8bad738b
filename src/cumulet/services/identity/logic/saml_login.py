# SPDX-License-Identifier: Apache-2.0
"""This cloud as a SAML 2.0 service provider: requests for log-ins, and the judgement of assertions.

Bindings: HTTP redirection for requests, HTTP POST and PAOS (ECP) for responses. A request by redirection is signed; a
response must be.
"""

from __future__ import annotations

import base64
import secrets
import zlib
from urllib.parse import quote, urlencode

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid, Unauthorized
from cumulet.services.identity.logic import assertions, saml_xml, sealed_states
from cumulet.services.identity.logic.assertions import Assertion
from cumulet.services.identity.logic.federation_sources import Saml
from cumulet.services.identity.logic.saml_keys import key_pair
from cumulet.services.identity.logic.saml_xml import Element, element, every, first, text_of
from cumulet.services.identity.store import federated_users as store
from cumulet.services.identity.types import IdentityProvider, Protocol, SpentAssertion

SKEW = 60  # seconds that a provider's clock may be off
LONGEST = 86_400  # seconds that a spent assertion is kept in mind at most
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
PAOS = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_NEXT = "http://schemas.xmlsoap.org/soap/actor/next"


class Asked(msgspec.Struct, frozen=True):
    """A request that a client carries to the identity provider (ECP)."""

    idp_id: str
    protocol_id: str
    request_id: str


def entity_id(cloud: Cloud) -> str:
    """By which name this cloud goes among SAML parties."""
    return cloud.settings.identity.saml_entity_id or f"{cloud.settings.control_url}/identity"


def consumer(cloud: Cloud, idp_id: str, protocol_id: str) -> str:
    """Where clients that are no browsers bring assertions to."""
    place = f"identity_providers/{quote(idp_id, safe='')}/protocols/{quote(protocol_id, safe='')}/auth"
    return f"{cloud.settings.control_url}/identity/v3/OS-FEDERATION/{place}"


def new_id() -> str:
    return f"_{secrets.token_hex(20)}"


def redirection(cloud: Cloud, source: Saml, back: str, request_id: str, relay_state: str) -> str:
    """Where a browser is sent to with a request, signed as the redirect binding has it."""
    request = _request(cloud, source.sso_url, back, POST, request_id)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(saml_xml.write(request)) + packer.flush()
    words = urlencode(
        {
            "SAMLRequest": base64.b64encode(packed).decode("ascii"),
            "RelayState": relay_state,
            "SigAlg": _RSA_SHA256,
        }
    )
    signature = key_pair(cloud).private.sign(words.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
    signed = urlencode({"Signature": base64.b64encode(signature).decode("ascii")})
    return f"{source.sso_url}{'&' if '?' in source.sso_url else '?'}{words}&{signed}"


def ask_client(cloud: Cloud, source: Saml, provider: IdentityProvider, protocol: Protocol) -> bytes:
    """The envelope that a client carries to the provider (ECP)."""
    back, request_id = consumer(cloud, provider.id, protocol.id), new_id()
    state = sealed_states.seal(cloud, Asked(provider.id, protocol.id, request_id))
    envelope = element("S:Envelope")
    header, body = element("S:Header", parent=envelope), element("S:Body", parent=envelope)
    asked = element("paos:Request", parent=header, responseConsumerURL=back, service=saml_xml.ECP)
    about = element("ecp:Request", parent=header, IsPassive="0")
    element("saml:Issuer", entity_id(cloud), about)
    relayed = element("ecp:RelayState", state, header)
    for one in (asked, about, relayed):
        one.set(saml_xml.qualified("S:mustUnderstand"), "1")
        one.set(saml_xml.qualified("S:actor"), _NEXT)
    body.append(_request(cloud, "", back, PAOS, request_id))
    return saml_xml.write(envelope)


def of_form(cloud: Cloud, source: Saml, response: str, back: str, request_id: str) -> Assertion:
    """What the provider says of whoever a browser has brought a response for (HTTP POST)."""
    try:
        text = base64.b64decode(response.encode("ascii"), validate=False)
    except ValueError:
        raise Invalid("The SAML response is no base64.") from None
    return _judge(cloud, source, saml_xml.parse(text), back, request_id)


def of_envelope(cloud: Cloud, source: Saml, provider: IdentityProvider, protocol: Protocol, text: bytes) -> Assertion:
    """What the provider says of the client that has brought an envelope (PAOS)."""
    root = saml_xml.parse(text)
    response = first(root, "S:Body/samlp:Response")
    if response is None:
        raise Unauthorized("The envelope holds no SAML response.")
    back, request_id = consumer(cloud, provider.id, protocol.id), ""
    if not source.unsolicited:
        asked = sealed_states.unseal(cloud, text_of(root, "S:Header/ecp:RelayState"), Asked)
        if (asked.idp_id, asked.protocol_id) != (provider.id, protocol.id):
            raise Unauthorized("The log-in was begun elsewhere.")
        request_id = asked.request_id
    # What is signed is judged as a document of its own, as it was signed.
    return _judge(cloud, source, saml_xml.parse(saml_xml.write(response)), back, request_id)


def _request(cloud: Cloud, where: str, back: str, binding: str, request_id: str) -> Element:
    request = element(
        "samlp:AuthnRequest",
        ID=request_id,
        Version="2.0",
        IssueInstant=saml_xml.moment(clock.now()),
        AssertionConsumerServiceURL=back,
        ProtocolBinding=binding,
    )
    if where:
        request.set("Destination", where)
    element("saml:Issuer", entity_id(cloud), request)
    element("samlp:NameIDPolicy", parent=request, AllowCreate="true")
    return request


def _judge(cloud: Cloud, source: Saml, root: Element, back: str, request_id: str) -> Assertion:
    """The assertion of a response that is signed, meant for us, asked for by us, alive and not spent."""
    code = first(root, "samlp:Status/samlp:StatusCode")
    if code is None or code.get("Value") != SUCCESS:
        raise Unauthorized("The identity provider has not logged anybody in.")
    if root.get("Destination", back) != back:
        raise Unauthorized("The SAML response is for somebody else.")
    assertion = saml_xml.signed_assertion(root, source.certificates, sha1=source.sha1)
    if text_of(assertion, "saml:Issuer") != source.entity_id:
        raise Unauthorized("The assertion is another issuer's.")
    _check_conditions(cloud, source, assertion)
    until = _check_subject(assertion, back, request_id)
    _spend(cloud, source, assertion, until)
    attributes: dict[str, list[str]] = {}
    for one in every(assertion, "saml:AttributeStatement/saml:Attribute"):
        values = [(value.text or "").strip() for value in every(one, "saml:AttributeValue")]
        for name in {one.get("Name"), one.get("FriendlyName")} - {None}:
            attributes.setdefault(str(name), []).extend(values)
    return assertions.of_attributes(source.entity_id, text_of(assertion, "saml:Subject/saml:NameID"), attributes)


def _check_conditions(cloud: Cloud, source: Saml, assertion: Element) -> None:
    now = clock.now()
    conditions = first(assertion, "saml:Conditions")
    audiences = every(assertion, "saml:Conditions/saml:AudienceRestriction")
    if conditions is not None:
        begins, ends = conditions.get("NotBefore"), conditions.get("NotOnOrAfter")
        if begins is not None and saml_xml.seconds(begins) > now + SKEW:
            raise Unauthorized("The assertion is not valid yet.")
        if ends is not None and saml_xml.seconds(ends) <= now - SKEW:
            raise Unauthorized("The assertion has expired.")
    if not audiences and not source.unsolicited:
        raise Unauthorized("The assertion does not say whom it is for.")
    for restriction in audiences:
        if entity_id(cloud) not in [(one.text or "").strip() for one in every(restriction, "saml:Audience")]:
            raise Unauthorized("The assertion is for somebody else.")


def _check_subject(assertion: Element, back: str, request_id: str) -> float:
    """When the assertion ends; Unauthorized unless one of its confirmations is for us, now and for this request."""
    now = clock.now()
    for confirmation in every(assertion, "saml:Subject/saml:SubjectConfirmation"):
        data = first(confirmation, "saml:SubjectConfirmationData")
        if confirmation.get("Method") != BEARER or data is None or data.get("Recipient") != back:
            continue
        ends = saml_xml.seconds(data.get("NotOnOrAfter", ""))
        if ends > now - SKEW and data.get("InResponseTo", "") == request_id:
            return ends
    raise Unauthorized("The assertion does not confirm its subject to us.")


def _spend(cloud: Cloud, source: Saml, assertion: Element, until: float) -> None:
    """An assertion logs in once."""
    name = f"{source.entity_id} {assertion.get('ID', '')}"[-255:]
    ends = clock.from_seconds(min(until, clock.now() + LONGEST) + SKEW)
    if not cloud.db.write(lambda tx: store.spend(tx, SpentAssertion(name, ends), clock.utcnow())):
        raise Unauthorized("The assertion was used before.")
