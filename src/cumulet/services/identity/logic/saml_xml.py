# SPDX-License-Identifier: Apache-2.0
"""XML of SAML messages: read without trust, signed, and of what is signed the part that a signature covers.

lxml and signxml are imported when the first message comes, so that nobody else pays for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic.saml_keys import KeyPair

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PAOS = "urn:liberty:paos:2003-08"
ECP = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
SPACES = {"saml": SAML, "samlp": SAMLP, "md": METADATA, "ds": SIGNATURE, "S": SOAP, "paos": PAOS, "ecp": ECP}
LARGEST = 512 * 1024  # bytes of a message

Element = Any  # of lxml, which has no types of its own


def parse(text: bytes) -> Element:
    """The root of a document without a DTD; Unauthorized for one that cannot be read."""
    from lxml import etree

    if len(text) > LARGEST:
        raise Unauthorized("The SAML message is too large.")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unauthorized("The SAML message cannot be read.") from None
    if root.getroottree().docinfo.doctype:
        raise Unauthorized("The SAML message has a document type.")
    return root


def element(name: str, text: str | None = None, parent: Element = None, **attributes: str) -> Element:
    """A new element `prefix:Name`, below `parent` where one is given."""
    from lxml import etree

    tag = qualified(name)
    spaces = {prefix: SPACES[prefix] for prefix in SPACES if prefix == name.partition(":")[0]}
    made = etree.Element(tag, nsmap=spaces) if parent is None else etree.SubElement(parent, tag, nsmap=spaces)
    for attribute, value in attributes.items():
        made.set(attribute, value)
    made.text = text
    return made


def qualified(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{SPACES[prefix]}}}{local}"


def write(root: Element) -> bytes:
    from lxml import etree

    return bytes(etree.tostring(root))


def first(root: Element, path: str) -> Element | None:
    """The first element at a path of prefixed names."""
    return root.find(path, SPACES)


def every(root: Element, path: str) -> list[Element]:
    return list(root.findall(path, SPACES))


def text_of(root: Element, path: str) -> str:
    found = first(root, path)
    return (found.text or "").strip() if found is not None else ""


def sign(root: Element, pair: KeyPair) -> Element:
    """`root` again, with a signature (RSA, SHA-256) after its issuer, as the schema of SAML has it."""
    from signxml.algorithms import CanonicalizationMethod
    from signxml.signer import XMLSigner

    place = element("ds:Signature", Id="placeholder")
    issuer = first(root, "saml:Issuer")
    assert issuer is not None
    issuer.addnext(place)
    signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    return signer.sign(root, key=pair.private, cert=pair.certificate, reference_uri=root.get("ID"))


def signed_assertion(root: Element, certificates: Iterable[str], *, sha1: bool) -> Element:
    """The one assertion of a response, out of what a signature by one of `certificates` (PEM) covers.

    Either the response is signed or the assertion in it; what else is in the document is not looked at. Unauthorized
    for any other document.
    """
    if root.tag != qualified("samlp:Response") or every(root, ".//saml:EncryptedAssertion"):
        raise Unauthorized("The SAML message is no response with a readable assertion.")
    if len(every(root, ".//saml:Assertion")) != 1 or len(every(root, "saml:Assertion")) != 1:
        raise Unauthorized("The SAML response must hold one assertion.")
    for path in ("./", f"./{qualified('saml:Assertion')}/"):
        if root.find(f"{path}{qualified('ds:Signature')}") is not None:
            covered = _verified(root, path, certificates, sha1)
            assertion = covered if covered.tag == qualified("saml:Assertion") else first(covered, "saml:Assertion")
            if assertion is not None and covered.tag in (qualified("saml:Assertion"), qualified("samlp:Response")):
                return assertion
    raise Unauthorized("The SAML response is not signed.")


def _verified(root: Element, path: str, certificates: Iterable[str], sha1: bool) -> Element:
    """What the signature below `path` covers, as it was signed."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from lxml.etree import LxmlError
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    config = SignatureConfiguration(
        location=path,
        expect_references=1,
        signature_methods=frozenset(one for one in SignatureMethod if _taken(one.name, sha1=sha1)),
        digest_algorithms=frozenset(one for one in DigestAlgorithm if _taken(one.name, sha1=sha1)),
    )
    wrong = (SignXMLException, InvalidSignature, UnsupportedAlgorithm, LxmlError)
    for certificate in certificates:
        try:
            found = XMLVerifier().verify(
                root, x509_cert=certificate, id_attribute="ID", expect_config=config, validate_schema=True
            )
        except (*wrong, ValueError, TypeError, KeyError, AssertionError):
            continue
        covered = found[0].signed_xml if isinstance(found, list) else found.signed_xml
        if covered is not None:
            return covered
    raise Unauthorized("The SAML response is not signed by the identity provider.")


def _taken(name: str, *, sha1: bool) -> bool:
    return "HMAC" not in name and (sha1 or "SHA1" not in name)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """A moment of a message in seconds since the epoch; Unauthorized for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unauthorized("A time in the SAML message cannot be read.") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
