# SPDX-License-Identifier: Apache-2.0
"""Tokens for OAuth 2.0 clients by HTTP Basic and by certificate."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cumulet.services.identity.store import users
from support.certificates import self_signed
from support.cloud import RunningCloud
from support.people import environment

HEADER = "X-Client-Certificate"
GRANT = {"grant_type": "client_credentials"}


def certificate(common_name: str, organization: str = "Cumulet, Inc.") -> str:
    """A certificate that has signed itself, as text."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a=b@cloud.test"),
        ]
    )
    return self_signed(name)[1].decode()


class Place:
    """A member with a default project; and a mapping that knows users by the name in their certificates."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.words = environment(cloud)
        self.http = httpx.Client(base_url=f"{cloud.control_url}/identity/v3", timeout=30)
        user, project = self.words["USER_ID"], self.words["PROJECT_ID"]
        self.db = cloud.control.cloud.db
        self.db.write(lambda tx: users.change(tx, user, {"default_project_id": project}))
        self.mapping = f"mapping-{self.words['SUFFIX']}"
        remote = [
            {"type": "SSL_CLIENT_SUBJECT_DN_CN"},
            {"type": "SSL_CLIENT_ISSUER_DN_O", "any_one_of": ["Cumulet, Inc."]},
            {"type": "SSL_CLIENT_SUBJECT_DN_EMAILADDRESS"},
        ]
        local = {"user": {"name": "{0}", "domain": {"id": "default"}}}
        body = {"mapping": {"rules": [{"local": [local], "remote": remote}]}}
        answer = self.ask("PUT", f"/OS-FEDERATION/mappings/{self.mapping}", body)
        assert answer.status_code == 201, answer.text
        self.name = self.ask("GET", f"/users/{user}").json()["user"]["name"]

    def ask(self, method: str, path: str, body: Any = None, who: str = "ADMIN", **headers: str) -> httpx.Response:
        token = self.words.get(f"{who}_TOKEN", who)
        return self.http.request(method, path, json=body, headers={"X-Auth-Token": token, **headers})

    def token(self, client_id: str, shown: str = "", **words: str) -> httpx.Response:
        headers = {HEADER: quote(shown)} if shown else {}
        return self.http.post("/OS-OAUTH2/token", data={**GRANT, "client_id": client_id, **words}, headers=headers)


@pytest.fixture(scope="module")
def place(cloud: RunningCloud) -> Iterator[Place]:
    made = Place(cloud)
    yield made
    made.http.close()


@pytest.fixture
def trusting(cloud: RunningCloud, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cloud behind a front that hands on certificates."""
    before = cloud.control.cloud.settings
    own = msgspec.structs.replace(
        before.identity, oauth2_certificate_header=HEADER, oauth2_mapping=place.mapping, external_from=("127.0.0.1",)
    )
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(before, identity=own))


def test_the_secret_may_stand_in_the_header(place: Place) -> None:
    path = f"/users/{place.words['USER_ID']}/application_credentials"
    made = place.ask("POST", path, {"application_credential": {"name": "basic", "secret": "a:b"}}, "MEMBER").json()
    said = base64.b64encode(f"{made['application_credential']['id']}:a:b".encode()).decode()
    answer = place.http.post("/OS-OAUTH2/token", data=GRANT, headers={"Authorization": f"Basic {said}"})
    assert answer.status_code == 200, answer.text
    assert place.ask("GET", "/auth/projects", who=answer.json()["access_token"]).status_code == 200


@pytest.mark.usefixtures("trusting")
def test_a_certificate(place: Place) -> None:
    shown = certificate(place.name)
    answer = place.token(place.words["USER_ID"], shown)
    assert answer.status_code == 200, answer.text
    text = answer.json()["access_token"]
    token = place.ask("GET", "/auth/tokens", None, "ADMIN", **{"X-Subject-Token": text}).json()["token"]
    assert token["methods"] == ["oauth2_credential"]
    assert token["user"]["id"] == place.words["USER_ID"]
    assert token["project"]["id"] == place.words["PROJECT_ID"]
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(shown.encode()).digest()).decode()
    assert token["oauth2_credential"] == {"x5t#S256": thumbprint}
    identity = {"methods": ["token"], "token": {"id": text}}
    assert place.ask("POST", "/auth/tokens", {"auth": {"identity": identity}}).status_code == 403


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    "shown", [certificate("somebody else"), certificate("x", "Another, Inc."), "no certificate", "\0", "x" * 70_000]
)
def test_another_certificate(place: Place, shown: str) -> None:
    answer = place.token(place.words["USER_ID"], shown)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.usefixtures("trusting")
def test_a_certificate_of_the_right_name_from_another_place(place: Place) -> None:
    assert place.token(place.words["USER_ID"], certificate(place.name, "Another, Inc.")).status_code == 401


@pytest.mark.usefixtures("trusting")
def test_a_client_that_is_no_user_or_has_no_project(place: Place) -> None:
    assert place.token("nobody", certificate(place.name)).status_code == 401
    assert place.token(place.words["OTHER_USER_ID"], certificate(place.name)).status_code == 401


def test_nobody_is_trusted_unasked(place: Place) -> None:
    assert place.token(place.words["USER_ID"], certificate(place.name)).status_code == 401


@pytest.mark.usefixtures("trusting")
def test_a_user_without_a_role_there_gets_none(place: Place) -> None:
    project, user = place.words["OTHER_PROJECT_ID"], place.words["USER_ID"]
    place.db.write(lambda tx: users.change(tx, user, {"default_project_id": project}))
    assert place.token(user, certificate(place.name)).status_code == 401
