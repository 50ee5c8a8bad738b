# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own client library logs in by real OpenID Connect and SAML providers, and from one cloud at another."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from keystoneauth1 import exceptions, loading, session
from keystoneauth1.identity import v3

from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import federation_sources, saml_login, saml_metadata, saml_xml
from cumulet.services.identity.logic.federation_sources import Source
from support.cloud import RunningCloud
from support.people import environment
from support.providers import program

GRANT = {"client_id": "cloud", "client_secret": "secret"}


class Door:
    """An identity provider by which people come in, each with a project of their own."""

    def __init__(self, cloud: RunningCloud, protocol: str) -> None:
        self.cloud, self.protocol = cloud, protocol
        self.words = environment(cloud)
        self.name = f"idp-{self.words['SUFFIX']}"
        self.base = f"{cloud.control_url}/identity/v3"
        self.headers = {"x-auth-token": self.words["ADMIN_TOKEN"]}
        self.project = f"home-{self.words['SUFFIX']}"
        self.where = f"{self.base}/OS-FEDERATION/identity_providers/{self.name}"
        self.door = f"{self.where}/protocols/{protocol}"
        self.domain = ""

    def open(self, source: Source, remote: str) -> None:
        project = {"name": self.project, "roles": [{"name": "member"}]}
        rules = [{"local": [{"user": {"name": "{0}"}}, {"projects": [project]}], "remote": [{"type": remote}]}]
        for url, body in (
            (self.where, {"identity_provider": {"enabled": True}}),
            (f"{self.base}/OS-FEDERATION/mappings/{self.name}", {"mapping": {"rules": rules}}),
            (self.door, {"protocol": {"mapping_id": self.name}}),
        ):
            assert httpx.put(url, json=body, headers=self.headers).status_code == 201
        federation_sources.put(self.cloud.control.cloud.vault, self.name, self.protocol, source)
        self.domain = httpx.get(self.where, headers=self.headers).json()["identity_provider"]["domain_id"]

    def close(self) -> None:
        httpx.delete(self.where, headers=self.headers)
        httpx.delete(f"{self.base}/OS-FEDERATION/mappings/{self.name}", headers=self.headers)
        url = f"{self.base}/domains/{self.domain}"
        httpx.patch(url, json={"domain": {"enabled": False}}, headers=self.headers)
        assert httpx.delete(url, headers=self.headers).status_code == 204

    def plugin(self, kind: str, **options: Any) -> Any:
        """A plug-in of the library by its name, for the project."""
        known = {"auth_url": self.base, "identity_provider": self.name, "protocol": self.protocol}
        scope = {"project_name": self.project, "project_domain_id": self.domain}
        return loading.get_plugin_loader(kind).load_from_options(**known, **scope, **options)

    def entered(self, plugin: Any, name: str = "bob") -> None:
        """Log in, on the project that the mapping made, and use the token."""
        connection = session.Session(auth=plugin)
        access = plugin.get_access(connection)
        assert (access.username, access.project_name) == (name, self.project)
        assert access.role_names
        assert connection.get(f"{self.base}/auth/projects").status_code == 200


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with program("openid_provider") as address:
        yield address


@pytest.fixture
def openid(cloud: RunningCloud, issuer: str) -> Iterator[Door]:
    made = Door(cloud, "openid")
    made.open(OpenIdConnect(issuer=issuer, **GRANT), "sub")
    yield made
    made.close()


def discovered(issuer: str) -> dict[str, str]:
    return {**GRANT, "discovery_endpoint": f"{issuer}/.well-known/openid-configuration"}


def test_by_password(openid: Door, issuer: str) -> None:
    openid.entered(openid.plugin("v3oidcpassword", username="bob", password="password", **discovered(issuer)))
    wrong = openid.plugin("v3oidcpassword", username="bob", password="wrong", **discovered(issuer))
    with pytest.raises(exceptions.ClientException):
        session.Session(auth=wrong).get_token()


def test_by_a_client_for_itself(openid: Door, issuer: str) -> None:
    openid.entered(openid.plugin("v3oidcclientcredentials", **discovered(issuer)), "cloud")


def test_by_a_code(openid: Door, issuer: str) -> None:
    """The person has a code from a browser; it is good once."""
    back = "http://127.0.0.1:9/"
    words = {"response_type": "code", "client_id": "cloud", "scope": "openid profile", "nonce": "n", "state": "s"}
    sent = httpx.get(f"{issuer}/authorize", params={**words, "redirect_uri": back}).headers["location"]
    code = httpx.URL(sent).params["code"]
    options = {"redirect_uri": back, "code": code, **discovered(issuer)}
    openid.entered(openid.plugin("v3oidcauthcode", **options))
    with pytest.raises(exceptions.ClientException):
        session.Session(auth=openid.plugin("v3oidcauthcode", **options)).get_token()


def test_by_an_access_token(openid: Door, issuer: str) -> None:
    form = {"grant_type": "password", "username": "bob", "password": "password", "scope": "openid"}
    token = httpx.post(f"{issuer}/token", data=form, auth=("cloud", "secret")).json()["access_token"]
    openid.entered(openid.plugin("v3oidcaccesstoken", access_token=token))
    other = httpx.post(f"{issuer}/token", data=form, auth=("another", "secret")).json()["access_token"]
    with pytest.raises(exceptions.Unauthorized):
        session.Session(auth=openid.plugin("v3oidcaccesstoken", access_token=other)).get_token()


def test_by_a_device(openid: Door, issuer: str) -> None:
    """The library asks again and again, until the person has opened the page that it names."""

    class Person(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found = re.search(r"please go to: (\S+)", record.getMessage())
            if found is not None:
                threading.Timer(0.1, httpx.get, [found[1]]).start()

    person, heard = Person(), logging.getLogger("keystoneauth")
    heard.addHandler(person)
    try:
        openid.entered(openid.plugin("v3oidcdeviceauthz", **discovered(issuer)))
    finally:
        heard.removeHandler(person)


def test_by_a_browser(openid: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library waits for the browser, which we send to a trusted place alone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    plugin = openid.plugin("v3websso", redirect_host="127.0.0.1", redirect_port=port, login_timeout=60)

    def browser(url: str, new: int = 0) -> bool:
        threading.Thread(target=_browse, args=(url,), daemon=True).start()
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    settings = openid.cloud.control.cloud.settings
    assert httpx.get(plugin.federated_token_url, params={"origin": plugin.redirect_uri}).status_code == 401
    identity = msgspec.structs.replace(settings.identity, trusted_dashboards=(plugin.redirect_uri,))
    monkeypatch.setattr(openid.cloud.control.cloud, "settings", msgspec.structs.replace(settings, identity=identity))
    openid.entered(plugin)


def _browse(url: str) -> None:
    """What a browser does: it follows, keeps cookies, and sends the form that a page sends by itself."""
    with httpx.Client(follow_redirects=True, timeout=30) as client:
        page = client.get(url).text
        action = re.search(r'action="([^"]+)"', page)
        token = re.search(r'name="token" id="token" value="([^"]+)"', page)
        assert action is not None
        assert token is not None
        client.post(action[1], data={"token": token[1]}, headers={
            "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site",
        })  # fmt: skip


@pytest.fixture
def saml(cloud: RunningCloud, tmp_path: Path) -> Iterator[tuple[Door, str]]:
    """The way in, and the provider's address."""
    made = Door(cloud, "saml2")
    known = tmp_path / "sp.xml"
    known.write_text(
        f'<md:EntityDescriptor xmlns:md="{saml_xml.METADATA}" entityID="{saml_login.entity_id(cloud.control.cloud)}">'
        f'<md:SPSSODescriptor protocolSupportEnumeration="{saml_xml.SAMLP}">'
        f'<md:AssertionConsumerService Binding="{saml_login.PAOS}" Location="{made.door}/auth" index="0"/>'
        "</md:SPSSODescriptor></md:EntityDescriptor>"
    )
    with program("saml_provider", str(known)) as provider:
        made.open(saml_metadata.read(httpx.get(f"{provider}/metadata").content), "REMOTE_USER")
        yield made, provider
    made.close()


def test_by_saml(saml: tuple[Door, str]) -> None:
    """The library carries envelopes between us and the provider (ECP)."""
    door, provider = saml
    options = {"identity_provider_url": f"{provider}/ecp", "username": "bob"}
    door.entered(door.plugin("v3samlpassword", password="password", **options))
    with pytest.raises(exceptions.ClientException):
        session.Session(auth=door.plugin("v3samlpassword", password="wrong", **options)).get_token()


def test_from_one_cloud_at_another(cloud: RunningCloud) -> None:
    """The library takes an assertion here and shows it there, which is the same cloud by another way in."""
    door = Door(cloud, "saml2")
    metadata = httpx.get(f"{door.base}/OS-FEDERATION/saml2/metadata").content
    door.open(saml_metadata.read(metadata, unsolicited=True), "openstack_user")
    there = f"{door.base}/OS-FEDERATION/service_providers/{door.name}"
    words = {"auth_url": f"{door.door}/auth", "sp_url": f"{door.door}/auth", "enabled": True}
    try:
        assert httpx.put(there, json={"service_provider": words}, headers=door.headers).status_code == 201
        here = v3.Password(
            auth_url=door.base, username="admin", user_domain_id="default", password=cloud.admin_password,
            project_name="admin", project_domain_id="default",
        )  # fmt: skip
        scope = {"project_name": door.project, "project_domain_id": door.domain}
        door.entered(v3.Keystone2Keystone(here, door.name, **scope), "admin")
        unscoped = v3.Password(
            auth_url=door.base, username="admin", user_domain_id="default", password=cloud.admin_password, unscoped=True
        )
        with pytest.raises(exceptions.ClientException):
            session.Session(auth=v3.Keystone2Keystone(unscoped, door.name, **scope)).get_token()
    finally:
        httpx.delete(there, headers=door.headers)
        door.close()
