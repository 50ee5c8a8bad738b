# SPDX-License-Identifier: Apache-2.0
"""Logging in by SAML at a real identity provider (pysaml2), by browser and by envelope; vouching to other clouds."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from federated_cloud import DASHBOARD, Federated
from lxml import etree

from cumulet.kernel import clock
from cumulet.services.identity.logic import federation_sources, saml_login, saml_metadata, saml_xml
from cumulet.services.identity.logic.federation_sources import Saml
from support.providers import program

WEBSSO = "/identity/v3/auth/OS-FEDERATION/identity_providers/company/protocols/saml2/websso"
AUTH = "/identity/v3/OS-FEDERATION/identity_providers/company/protocols/saml2/auth"
PAOS = "application/vnd.paos+xml"
RULES = [
    {
        "local": [{"user": {"name": "{0}", "email": "{1}"}}, {"groups": "{2}", "domain": {"id": "default"}}],
        "remote": [{"type": "REMOTE_USER"}, {"type": "MELLON_mail"}, {"type": "memberOf"}],
    }
]


@pytest.fixture(scope="module")
def cloud_metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a provider knows of the cloud, whose address is the same in each test."""
    path = tmp_path_factory.mktemp("saml") / "sp.xml"
    base = "http://127.0.0.1:8700"
    path.write_text(
        f'<md:EntityDescriptor xmlns:md="{saml_xml.METADATA}" entityID="{base}/identity">'
        f'<md:SPSSODescriptor protocolSupportEnumeration="{saml_xml.SAMLP}">'
        f'<md:AssertionConsumerService Binding="{saml_login.POST}" Location="{base}{WEBSSO}" index="0"/>'
        f'<md:AssertionConsumerService Binding="{saml_login.PAOS}" Location="{base}{AUTH}" index="1"/>'
        "</md:SPSSODescriptor></md:EntityDescriptor>"
    )
    return path


@pytest.fixture(scope="module")
def provider(cloud_metadata: Path) -> Iterator[str]:
    with program("saml_provider", str(cloud_metadata)) as address:
        yield address


@pytest.fixture
def federated(tmp_path: Path, provider: str) -> Iterator[Federated]:
    made = Federated(tmp_path)
    made.make("/groups", {"group": {"name": "staff", "domain_id": "default"}}, "POST")
    source = saml_metadata.read(httpx.get(f"{provider}/metadata").content)
    made.open("saml2", source, RULES, source.entity_id)
    yield made
    made.close()


def begin(federated: Federated) -> tuple[dict[str, str], str]:
    """What a browser brings back from the provider, and its cookie."""
    answer = federated.ask("GET", WEBSSO, params={"origin": DASHBOARD})
    assert answer.status_code == 302, answer.text
    page = httpx.get(answer.headers["location"]).text
    form = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)"\s+value="([^"]*)"', page)}
    assert {"SAMLResponse", "RelayState"} <= form.keys(), page
    return form, answer.headers["set-cookie"].partition(";")[0]


def post(federated: Federated, form: dict[str, str], cookie: str) -> httpx.Response:
    return federated.ask("POST", WEBSSO, data=form, headers={"cookie": cookie})


def test_a_browser_logs_in_once(federated: Federated) -> None:
    form, cookie = begin(federated)
    answer = post(federated, form, cookie)
    assert answer.status_code == 200, answer.text
    assert f'action="{DASHBOARD}"' in answer.text
    found = re.search(r'name="token" id="token" value="([^"]+)"', answer.text)
    assert found is not None
    token = federated.ask("GET", "/identity/v3/auth/tokens", found[1], headers={"x-subject-token": found[1]}).json()
    assert token["token"]["user"]["name"] == "bob"
    assert token["token"]["methods"] == ["saml2"]
    assert len(token["token"]["user"]["OS-FEDERATION"]["groups"]) == 1
    assert post(federated, form, cookie).status_code == 401


def test_a_log_in_belongs_to_the_browser_that_began_it(federated: Federated) -> None:
    form, _ = begin(federated)
    _, cookie = begin(federated)
    assert post(federated, form, cookie).status_code == 401
    assert post(federated, form, "cumulet_websso=x").status_code == 401


def test_what_was_changed_is_refused(federated: Federated) -> None:
    form, cookie = begin(federated)

    def edited(change: Any) -> int:
        root = etree.fromstring(base64.b64decode(form["SAMLResponse"]))
        change(root)
        text = base64.b64encode(etree.tostring(root)).decode()
        return post(federated, {**form, "SAMLResponse": text}, cookie).status_code

    spaces = saml_xml.SPACES

    def other_name(root: Any) -> None:
        root.find(".//saml:NameID", spaces).text = "root"

    def unsigned(root: Any) -> None:
        for signature in root.findall(".//ds:Signature", spaces):
            signature.getparent().remove(signature)

    def wrapped(root: Any) -> None:
        """The signed assertion hidden in an extension, a forged one in its place."""
        signed = root.find("saml:Assertion", spaces)
        forged = etree.fromstring(etree.tostring(signed))
        forged.find(".//saml:NameID", spaces).text = "root"
        forged.set("ID", "_forged")
        place = etree.SubElement(root, saml_xml.qualified("samlp:Extensions"))
        root.replace(signed, forged)
        place.append(signed)

    def twice(root: Any) -> None:
        root.append(etree.fromstring(etree.tostring(root.find("saml:Assertion", spaces))))

    def elsewhere(root: Any) -> None:
        root.set("Destination", "http://elsewhere/")

    def failed(root: Any) -> None:
        root.find(".//samlp:StatusCode", spaces).set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")

    changes = (other_name, unsigned, wrapped, twice, elsewhere, failed)
    assert {change.__name__: edited(change) for change in changes} == {change.__name__: 401 for change in changes}
    assert edited(lambda root: None) == 200


def test_what_is_no_response_is_refused(federated: Federated) -> None:
    form, cookie = begin(federated)
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    for text in (b"", b"<x/>", b"\x00", bomb, b"<" * 100, b"<a>" * 10_000):
        forged = {**form, "SAMLResponse": base64.b64encode(text).decode()}
        assert post(federated, forged, cookie).status_code in (400, 401), text[:20]
    assert post(federated, {**form, "SAMLResponse": "ä"}, cookie).status_code in (400, 401)


def test_an_assertion_has_its_time_and_its_place(federated: Federated) -> None:
    form, cookie = begin(federated)
    source = federation_sources.find(federated.cloud, "company", "saml2")
    assert isinstance(source, Saml)
    response = form["SAMLResponse"]
    back = f"{federated.base}{WEBSSO}"
    now = clock.now()
    state = saml_login.new_id()
    with pytest.raises(Exception, match="confirm"):
        saml_login.of_form(federated.cloud, source, response, back, state)  # asked for by somebody else
    with pytest.raises(Exception, match="somebody else"):
        saml_login.of_form(federated.cloud, source, response, f"{back}/other", state)
    clock.set_source(lambda: now + 590)
    try:
        assert post(federated, form, cookie).status_code == 401
    finally:
        clock.set_source()


def test_another_key_is_refused(federated: Federated) -> None:
    from cumulet.services.identity.logic.saml_keys import key_pair

    form, cookie = begin(federated)
    source = federation_sources.find(federated.cloud, "company", "saml2")
    assert isinstance(source, Saml)
    other = Saml(
        entity_id=source.entity_id, sso_url=source.sso_url, certificates=(key_pair(federated.cloud).certificate,)
    )
    federation_sources.put(federated.cloud.vault, "company", "saml2", other)
    assert post(federated, form, cookie).status_code == 401


def test_a_command_line_logs_in(federated: Federated, provider: str) -> None:
    """As keystoneauth's `v3samlpassword` does: an envelope from us to the provider, and one back."""
    asked = federated.ask("GET", AUTH, headers={"accept": PAOS, "paos": "x"})
    assert asked.status_code == 200
    assert asked.headers["content-type"] == PAOS
    envelope = etree.fromstring(asked.content)
    header = envelope.find("S:Header", saml_xml.SPACES)
    state = header.find("ecp:RelayState", saml_xml.SPACES)
    back = header.find("paos:Request", saml_xml.SPACES).get("responseConsumerURL")
    assert back == f"{federated.base}{AUTH}"
    envelope.remove(header)
    said = httpx.post(
        f"{provider}/ecp",
        content=etree.tostring(envelope),
        headers={"content-type": "text/xml"},
        auth=("bob", "password"),
    )
    answer = etree.fromstring(said.content)
    answer.find("S:Header", saml_xml.SPACES).insert(0, state)
    token = federated.ask("POST", AUTH, content=etree.tostring(answer), headers={"content-type": PAOS})
    assert token.status_code == 201, token.text
    assert token.json()["token"]["user"]["name"] == "bob"
    again = federated.ask("POST", AUTH, content=etree.tostring(answer), headers={"content-type": PAOS})
    assert again.status_code == 401
    assert federated.ask("GET", AUTH).status_code == 401
    assert federated.ask("POST", AUTH, content=b"<x/>", headers={"content-type": PAOS}).status_code == 401


def test_one_cloud_vouches_to_another(federated: Federated, tmp_path: Path) -> None:
    """Keystone to Keystone, both sides."""
    there = Federated(tmp_path / "there", port=8800)
    try:
        rules = [
            {
                "local": [{"user": {"name": "{0}"}}, {"groups": "{1}"}],
                "remote": [{"type": "openstack_user"}, {"type": "openstack_groups"}],
            },
            {"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "openstack_user"}]},
        ]
        metadata = federated.ask("GET", "/identity/v3/OS-FEDERATION/saml2/metadata").content
        there.open("saml2", saml_metadata.read(metadata, unsolicited=True), rules, f"{federated.base}/identity")
        door = f"{there.base}{AUTH}"
        words = {"service_provider": {"auth_url": door, "sp_url": door, "enabled": True}}
        federated.make("/OS-FEDERATION/service_providers/there", words)
        auth = {
            "identity": {"methods": ["token"], "token": {"id": federated.token}},
            "scope": {"service_provider": {"id": "there"}},
        }
        envelope = federated.ask("POST", "/identity/v3/auth/OS-FEDERATION/saml2/ecp", json={"auth": auth})
        assert envelope.headers["x-sp-url"] == door
        token = there.ask("POST", AUTH, content=envelope.content, headers={"content-type": PAOS})
        assert token.status_code == 201, token.text
        assert token.json()["token"]["user"]["name"] == "admin"
        assert there.ask("POST", AUTH, content=envelope.content, headers={"content-type": PAOS}).status_code == 401
        # An assertion for one cloud is of no use at another.
        federated.make("/OS-FEDERATION/service_providers/there", {"service_provider": {"sp_url": "http://x/"}}, "PATCH")
        other = federated.ask("POST", "/identity/v3/auth/OS-FEDERATION/saml2/ecp", json={"auth": auth}).content
        assert there.ask("POST", AUTH, content=other, headers={"content-type": PAOS}).status_code == 401
    finally:
        there.close()
