# SPDX-License-Identifier: Apache-2.0
"""SAML responses that a provider never meant for us, or never made: each is refused, and what differs is one thing."""

from __future__ import annotations

import base64
import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from identity_cloud import made_and_filled
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid, Unauthorized
from cumulet.services.identity.logic import saml_keys, saml_login, saml_metadata, saml_xml, sealed_states
from cumulet.services.identity.logic.assertions import Assertion
from cumulet.services.identity.logic.federation_sources import Saml
from cumulet.services.identity.logic.saml_keys import KeyPair
from cumulet.services.identity.logic.saml_xml import SPACES, Element, element, qualified
from cumulet.services.identity.logic.websso import LogIn
from cumulet.services.identity.types import IdentityProvider, Protocol

BACK = "http://127.0.0.1:8700/identity/v3/back"
ISSUER, REQUEST = "https://idp.example.org", "_a-request"
NOW = float(int(time.time()))


class Provider:
    """An identity provider that says whatever a test wants, under a key that the cloud trusts."""

    def __init__(self, cloud: Cloud, pair: KeyPair) -> None:
        self.cloud, self.pair = cloud, pair
        self.source = Saml(entity_id=ISSUER, sso_url="", certificates=(self.pair.certificate,))

    def assertion(self, **words: Any) -> Element:
        """Unsigned; `words` are what differs from a good one: None leaves it out."""
        said = {
            "issuer": ISSUER,
            "audience": saml_login.entity_id(self.cloud),
            "recipient": BACK,
            "request": REQUEST,
            "begins": -10,
            "ends": 300,
            "confirmed_until": 300,
            "method": saml_login.BEARER,
            "name": "bob",
            **words,
        }
        made = element("saml:Assertion", ID=saml_login.new_id(), Version="2.0", IssueInstant=saml_xml.moment(NOW))
        element("saml:Issuer", said["issuer"], made)
        subject = element("saml:Subject", parent=made)
        element("saml:NameID", said["name"], subject)
        confirmation = element("saml:SubjectConfirmation", parent=subject, Method=said["method"])
        named = {"Recipient": said["recipient"], "InResponseTo": said["request"]}
        if said["confirmed_until"] is not None:
            named["NotOnOrAfter"] = saml_xml.moment(NOW + said["confirmed_until"])
        known = {name: value for name, value in named.items() if value is not None}
        element("saml:SubjectConfirmationData", parent=confirmation, **known)
        times = {
            "NotBefore": saml_xml.moment(NOW + said["begins"]),
            "NotOnOrAfter": saml_xml.moment(NOW + said["ends"]),
        }
        conditions = element("saml:Conditions", parent=made, **times)
        for audience in [said["audience"]] if isinstance(said["audience"], str) else said["audience"] or ():
            element("saml:Audience", audience, element("saml:AudienceRestriction", parent=conditions))
        return made

    def response(self, assertion: Element, **words: str) -> Element:
        said = {"ID": saml_login.new_id(), "Version": "2.0", "Destination": BACK, **words}
        made = element("samlp:Response", **said)
        element("saml:Issuer", ISSUER, made)
        element("samlp:StatusCode", parent=element("samlp:Status", parent=made), Value=saml_login.SUCCESS)
        made.append(assertion)
        return made

    def good(self, **words: Any) -> Element:
        return self.response(saml_xml.sign(self.assertion(**words), self.pair))

    def judged(self, root: Element | bytes, source: Saml | None = None, request: str = REQUEST) -> Assertion:
        text = root if isinstance(root, bytes) else etree.tostring(root)
        form = base64.b64encode(text).decode()
        return saml_login.of_form(self.cloud, source or self.source, form, BACK, request)

    def is_refused(self, root: Element | bytes, source: Saml | None = None) -> bool:
        try:
            self.judged(root, source)
        except (Unauthorized, Invalid):
            return True
        return False


@pytest.fixture(scope="module")
def pairs() -> tuple[KeyPair, KeyPair]:
    """The provider's, and a stranger's."""
    return tuple(msgspec.json.decode(saml_keys._make(), type=KeyPair) for _ in range(2))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def provider(pairs: tuple[KeyPair, KeyPair], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    cloud = made_and_filled(tmp_path_factory.mktemp("cloud"))
    clock.set_source(lambda: NOW)
    yield Provider(cloud, pairs[0])
    clock.set_source()
    cloud.db.close()


def test_the_good_one_is_taken_once(provider: Provider) -> None:
    root = provider.good()
    assert provider.judged(root)["REMOTE_USER"] == "bob"
    with pytest.raises(Unauthorized, match="used before"):
        provider.judged(root)


@pytest.mark.parametrize(
    "words",
    [
        {"audience": "https://another.example.org"},
        {"audience": None},
        {"audience": ["http://127.0.0.1:8700/identity", "https://another.example.org"]},
        {"audience": "http://127.0.0.1:8700/identity/"},
        {"issuer": "https://another.example.org"},
        {"recipient": "https://another.example.org"},
        {"recipient": None},
        {"request": "_another"},
        {"request": None},
        {"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"},
        {"confirmed_until": None},
        {"confirmed_until": -61},
        {"ends": -61},
        {"begins": 62},
    ],
    ids=str,
)
def test_what_the_provider_says_to_others_or_at_another_time(provider: Provider, words: dict[str, Any]) -> None:
    assert provider.is_refused(provider.good(**words))


@pytest.mark.parametrize("words", [{"ends": -58, "confirmed_until": -58}, {"begins": 58}], ids=str)
def test_a_clock_may_be_off_a_little(provider: Provider, words: dict[str, Any]) -> None:
    assert not provider.is_refused(provider.good(**words))


def test_a_response_is_for_one_place(provider: Provider) -> None:
    signed = saml_xml.sign(provider.assertion(), provider.pair)
    assert provider.is_refused(provider.response(signed, Destination=f"{BACK}/other"))


def test_an_answer_that_nobody_asked_for(provider: Provider) -> None:
    """Only where the operator wants it (`unsolicited`), and then no answer to somebody else's request."""
    unasked = msgspec.structs.replace(provider.source, unsolicited=True)
    assert provider.is_refused(provider.good(request=None))
    with pytest.raises(Unauthorized):
        provider.judged(provider.good(), unasked, "")
    assert provider.judged(provider.good(request=None, audience=None), unasked, "")["REMOTE_USER"] == "bob"


def test_an_envelope_belongs_to_the_way_in_that_asked_for_it(provider: Provider) -> None:
    """A relay state of another way in, of another time, of another kind or of nobody is none."""
    cloud = provider.cloud
    company = IdentityProvider("company", "default", True, "", None)
    protocol = Protocol("saml2", "company", "company", None)
    back = saml_login.consumer(cloud, "company", "saml2")

    def outcome(state: str | None) -> str:
        envelope = element("S:Envelope")
        header, body = element("S:Header", parent=envelope), element("S:Body", parent=envelope)
        if state is not None:
            element("ecp:RelayState", state, header)
        assertion = saml_xml.sign(provider.assertion(recipient=back), provider.pair)
        body.append(provider.response(assertion, Destination=back))
        try:
            saml_login.of_envelope(cloud, provider.source, company, protocol, etree.tostring(envelope))
        except Unauthorized:
            return "refused"
        return "taken"

    def asked(*words: str) -> str:
        return sealed_states.seal(cloud, saml_login.Asked(*words))

    good = asked("company", "saml2", REQUEST)
    clock.set_source(lambda: NOW - sealed_states.LIFE - 1)
    late = asked("company", "saml2", REQUEST)
    clock.set_source(lambda: NOW)
    other_kind = sealed_states.seal(cloud, LogIn("company", "saml2", "o", "s", "n", REQUEST))
    wrong = [
        None, "", "x", "ä", late, other_kind, good[:-4], asked("other", "saml2", REQUEST),
        asked("company", "other", REQUEST), asked("company", "saml2", "_another"),
    ]  # fmt: skip
    assert [outcome(state) for state in wrong] == ["refused"] * len(wrong)
    assert outcome(good) == "taken"


def forged(signed: Element) -> Element:
    """The assertion again, of somebody else."""
    made = copy.deepcopy(signed)
    made.find(".//saml:NameID", SPACES).text = "root"
    made.set("ID", "_forged")
    return made


def in_the_signature(root: Element, signed: Element) -> None:
    """The forged one in its place, the signed one within the signature of the forged one."""
    fake = forged(signed)
    root.replace(signed, fake)
    etree.SubElement(fake.find("ds:Signature", SPACES), qualified("ds:Object")).append(signed)


def before_it(root: Element, signed: Element) -> None:
    signed.addprevious(forged(signed))


def around_it(root: Element, signed: Element) -> None:
    fake = forged(signed)
    fake.remove(fake.find("ds:Signature", SPACES))
    root.replace(signed, fake)
    fake.append(signed)


def within_it(root: Element, signed: Element) -> None:
    etree.SubElement(signed, qualified("saml:Advice")).append(forged(signed))


def under_another_name(root: Element, signed: Element) -> None:
    """The forged one has the id of the signed one, which hides under another element's name."""
    fake = forged(signed)
    fake.set("ID", signed.get("ID"))
    place = etree.SubElement(root, qualified("samlp:Extensions"))
    hidden = etree.SubElement(place, qualified("saml:Evidence"), ID=signed.get("ID"))
    hidden.extend(copy.deepcopy(signed))
    root.replace(signed, fake)


def an_attribute_more(root: Element, signed: Element) -> None:
    statement = etree.SubElement(signed, qualified("saml:AttributeStatement"))
    attribute = etree.SubElement(statement, qualified("saml:Attribute"), Name="memberOf")
    etree.SubElement(attribute, qualified("saml:AttributeValue")).text = "wheel"


def no_signature(root: Element, signed: Element) -> None:
    signed.remove(signed.find("ds:Signature", SPACES))


def an_empty_signature(root: Element, signed: Element) -> None:
    signed.find("ds:Signature/ds:SignatureValue", SPACES).text = ""


def nothing_referred_to(root: Element, signed: Element) -> None:
    info = signed.find("ds:Signature/ds:SignedInfo", SPACES)
    info.remove(info.find("ds:Reference", SPACES))


def everything_referred_to(root: Element, signed: Element) -> None:
    signed.find("ds:Signature/ds:SignedInfo/ds:Reference", SPACES).set("URI", "")


WRAPPED = (
    in_the_signature, before_it, around_it, within_it, under_another_name, an_attribute_more, no_signature,
    an_empty_signature, nothing_referred_to, everything_referred_to,
)  # fmt: skip


@pytest.mark.parametrize("change", WRAPPED, ids=lambda change: change.__name__)
def test_what_is_signed_is_what_counts(provider: Provider, change: Callable[[Element, Element], None]) -> None:
    root = provider.good()
    change(root, root.find("saml:Assertion", SPACES))
    assert provider.is_refused(root)


def test_no_part_of_a_signature_may_be_missing(provider: Provider) -> None:
    text = etree.tostring(provider.good())
    count = len(list(etree.fromstring(text).find(".//ds:SignedInfo", SPACES).iter()))
    for number in range(count):
        root = etree.fromstring(text)
        part = list(root.find(".//ds:SignedInfo", SPACES).iter())[number]
        part.getparent().remove(part)
        assert provider.is_refused(root), part.tag


def test_a_signed_response_cannot_be_put_into_another(provider: Provider) -> None:
    signed = saml_xml.sign(provider.response(provider.assertion()), provider.pair)
    assert provider.judged(copy.deepcopy(signed))["REMOTE_USER"] == "bob"
    fake = provider.response(forged(signed.find("saml:Assertion", SPACES)))
    etree.SubElement(fake, qualified("samlp:Extensions")).append(signed)
    assert provider.is_refused(fake)


def test_a_comment_does_not_cut_a_name(provider: Provider) -> None:
    """What is signed knows no comments; the name is read with all that stands around them."""
    text = etree.tostring(provider.good(name="bob.evil"))
    for inside in (b"<!-- -->", b"<?x y?>"):
        changed = text.replace(b"bob.evil", b"bob" + inside + b".evil")
        try:
            assert provider.judged(changed)["REMOTE_USER"] == "bob.evil"
        except Unauthorized:
            continue


def signed_by(assertion: Element, pair: KeyPair, **words: Any) -> Element:
    class Anything(XMLSigner):
        def check_deprecated_methods(self) -> None:
            """Sign with what nobody should sign with any more."""

    assertion.find("saml:Issuer", SPACES).addnext(element("ds:Signature", Id="placeholder"))
    exclusive = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
    key = words.pop("key", pair.private)
    cert = words.pop("cert", pair.certificate)
    return Anything(c14n_algorithm=exclusive, **words).sign(
        assertion, key=key, cert=cert, reference_uri=assertion.get("ID")
    )


def test_another_key_with_its_own_certificate(provider: Provider, pairs: tuple[KeyPair, KeyPair]) -> None:
    """Who vouches for themselves by a certificate in the message is nobody."""
    stranger = pairs[1]
    assert provider.is_refused(provider.response(signed_by(provider.assertion(), stranger)))
    mixed = signed_by(provider.assertion(), stranger)
    found = mixed.find(".//ds:X509Certificate", SPACES)
    found.text = "".join(provider.pair.certificate.splitlines()[1:-1])
    assert provider.is_refused(provider.response(mixed))


def test_the_certificate_is_no_secret_to_sign_with(provider: Provider) -> None:
    for key in (provider.pair.certificate.encode(), b""):
        made = signed_by(
            provider.assertion(), provider.pair, key=key or b"x", cert=None,
            signature_algorithm=SignatureMethod.HMAC_SHA256,
        )  # fmt: skip
        assert provider.is_refused(provider.response(made))


def test_sha1_only_where_the_operator_wants_it(provider: Provider) -> None:
    def made() -> Element:
        words = {"signature_algorithm": SignatureMethod.RSA_SHA1, "digest_algorithm": "sha1"}
        return provider.response(signed_by(provider.assertion(), provider.pair, **words))

    assert provider.is_refused(made())
    assert not provider.is_refused(made(), msgspec.structs.replace(provider.source, sha1=True))


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]>',
        '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">',
        "<!DOCTYPE r [" + "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(20)) + '<!ENTITY a0 "lol">]>',
    ],
    ids=["file", "parameter", "outside", "bomb"],
)
def test_no_document_types(provider: Provider, doctype: str) -> None:
    """In no message and in no metadata; in whatever encoding."""
    text = etree.tostring(provider.good()).decode().replace("bob", "&x;&a20;")
    for one in (
        (doctype + text).encode(),
        ('<?xml version="1.0" encoding="UTF-16"?>' + doctype + text).encode("utf-16"),
    ):
        assert provider.is_refused(one)
        with pytest.raises(Unauthorized):
            saml_metadata.read(one)
        with pytest.raises(Unauthorized):
            saml_xml.parse(one)
