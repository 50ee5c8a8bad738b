# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own client library logs in by what users have here, with each of its plug-ins for that."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from keystoneauth1 import exceptions, loading, session
from keystoneclient.v3 import client as keystone

from cumulet.services.identity.logic import totp
from cumulet.services.identity.store import users
from support.certificates import self_signed
from support.cloud import RunningCloud
from support.people import PASSWORD, environment
from support.tls_front import HEADER, Front, front

SECRET = os.urandom(20)


class Stage:
    """A member, and the plug-ins with their words."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.words = environment(cloud)
        self.base = f"{cloud.control_url}/identity/v3"
        self.user, self.project = self.words["USER_ID"], self.words["PROJECT_ID"]
        self.scope = {"project_id": self.project}
        admin = self.plugin("v3token", token=self.words["ADMIN_TOKEN"], project_id=self.words["ADMIN_PROJECT_ID"])
        self.admin = keystone.Client(session=session.Session(auth=admin), endpoint_override=self.base)
        self.name = self.admin.users.get(self.user).name

    def plugin(self, kind: str, **options: Any) -> Any:
        return loading.get_plugin_loader(kind).load_from_options(**{"auth_url": self.base, **options})

    def entered(self, plugin: Any, *methods: str, **connection: Any) -> Any:
        """Log in and use the token; what is known of it."""
        made = session.Session(auth=plugin, **connection)
        access = plugin.get_access(made)
        assert (access.user_id, access.project_id) == (self.user, self.project)
        assert set(access._data["token"]["methods"]) == set(methods)
        assert made.get(f"{self.base}/auth/projects").status_code == 200
        return access

    def refused(self, plugin: Any, **connection: Any) -> None:
        with pytest.raises(exceptions.ClientException):
            session.Session(auth=plugin, **connection).get_token()


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Stage:
    return Stage(cloud)


def test_by_password_and_by_token(stage: Stage) -> None:
    plugin = stage.plugin("v3password", user_id=stage.user, password=PASSWORD, **stage.scope)
    access = stage.entered(plugin, "password")
    stage.entered(stage.plugin("v3token", token=access.auth_token, **stage.scope), "password", "token")
    stage.refused(stage.plugin("v3password", user_id=stage.user, password="wrong", **stage.scope))
    stage.refused(stage.plugin("v3token", token="wrong", **stage.scope))


@pytest.fixture
def passcode(stage: Stage) -> Iterator[str]:
    """A passcode of the member as it is now."""
    seed = base64.b32encode(SECRET).decode()
    made = stage.admin.credentials.create(user=stage.user, type="totp", blob=seed)
    yield totp.passcode(SECRET, time.time())
    stage.admin.credentials.delete(made)


def test_by_passcode(stage: Stage, passcode: str) -> None:
    stage.entered(stage.plugin("v3totp", user_id=stage.user, passcode=passcode, **stage.scope), "totp")
    stage.refused(stage.plugin("v3totp", user_id=stage.user, passcode="000000x", **stage.scope))


def test_by_several(stage: Stage, passcode: str) -> None:
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    stage.admin.users.update(stage.user, options=rules)
    try:
        known = {"auth_methods": ["v3password", "v3totp"], "user_id": stage.user, "password": PASSWORD}
        stage.entered(stage.plugin("v3multifactor", passcode=passcode, **known, **stage.scope), "password", "totp")
        stage.refused(stage.plugin("v3multifactor", passcode="wrong", **known, **stage.scope))
        stage.refused(stage.plugin("v3password", user_id=stage.user, password=PASSWORD, **stage.scope))
    finally:
        stage.admin.users.update(stage.user, options={"multi_factor_auth_enabled": False})


def credential(stage: Stage, name: str) -> dict[str, str]:
    """An application credential of the member."""
    plugin = stage.plugin("v3password", user_id=stage.user, password=PASSWORD, **stage.scope)
    member = keystone.Client(session=session.Session(auth=plugin), endpoint_override=stage.base)
    made = member.application_credentials.create(name, user=stage.user)
    return {"id": made.id, "secret": made.secret}


def test_by_application_credential(stage: Stage) -> None:
    made = credential(stage, "by itself")
    words = {"application_credential_id": made["id"], "application_credential_secret": made["secret"]}
    stage.entered(stage.plugin("v3applicationcredential", **words), "application_credential")
    words = {"application_credential_name": "by itself", "application_credential_secret": made["secret"]}
    stage.entered(stage.plugin("v3applicationcredential", user_id=stage.user, **words), "application_credential")
    wrong = {**words, "application_credential_secret": "wrong"}
    stage.refused(stage.plugin("v3applicationcredential", user_id=stage.user, **wrong))


def test_by_oauth1(stage: Stage) -> None:
    """The library of a client asks, its user agrees, and the plug-in signs."""
    made = stage.admin.oauth1.consumers.create()
    key, secret = made.id, made.secret
    asked = stage.admin.oauth1.request_tokens.create(key, secret, stage.words["ADMIN_PROJECT_ID"])
    agreed = stage.admin.oauth1.request_tokens.authorize(asked.key, [stage.words["READER_ROLE_ID"]])
    lent = stage.admin.oauth1.access_tokens.create(key, secret, asked.key, asked.secret, agreed.oauth_verifier)
    words = {"consumer_key": key, "consumer_secret": secret, "access_key": lent.key}
    plugin = stage.plugin("v3oauth1", access_secret=lent.secret, **words)
    access = plugin.get_access(session.Session(auth=plugin))
    assert (access.username, access.project_id) == ("admin", stage.words["ADMIN_PROJECT_ID"])
    assert access.role_names == ["reader"]
    stage.refused(stage.plugin("v3oauth1", access_secret="wrong", **words))


def test_by_oauth2(stage: Stage) -> None:
    """The library shows two tokens then, as a bearer's and as usual."""
    made = credential(stage, "by oauth2")
    words = {"oauth2_endpoint": f"{stage.base}/OS-OAUTH2/token", "oauth2_client_id": made["id"]}
    plugin = stage.plugin("v3oauth2clientcredential", oauth2_client_secret=made["secret"], **words)
    stage.entered(plugin, "application_credential")
    assert plugin.get_headers(session.Session(auth=plugin))["Authorization"].startswith("Bearer ")
    stage.refused(stage.plugin("v3oauth2clientcredential", oauth2_client_secret="wrong", **words))


@pytest.fixture
def holder(stage: Stage, tmp_path: Path) -> tuple[Path, Path]:
    """A certificate in the member's name, and its key."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, stage.name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, stage.words["SUFFIX"]),
        ]
    )
    key, certificate = self_signed(name)
    (tmp_path / "holder.pem").write_bytes(certificate)
    (tmp_path / "holder-key.pem").write_bytes(key)
    return tmp_path / "holder.pem", tmp_path / "holder-key.pem"


@pytest.fixture
def tls(stage: Stage, holder: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """A front that the cloud believes, and a mapping that knows the holders of certificates."""
    before = stage.cloud.control.cloud.settings
    mapping = f"mapping-{stage.words['SUFFIX']}"
    own = msgspec.structs.replace(
        before.identity, oauth2_certificate_header=HEADER, oauth2_mapping=mapping, external_from=("127.0.0.1",)
    )
    monkeypatch.setattr(stage.cloud.control.cloud, "settings", msgspec.structs.replace(before, identity=own))
    local = {"user": {"name": "{0}", "domain": {"id": "default"}}}
    remote = [{"type": "SSL_CLIENT_SUBJECT_DN_CN"}]
    stage.admin.federation.mappings.create(mapping_id=mapping, rules=[{"local": [local], "remote": remote}])
    with front(stage.cloud.control_url, tmp_path, holder[0]) as made:
        yield made
    stage.admin.federation.mappings.delete(mapping)


def test_by_oauth2_with_a_certificate(stage: Stage, tls: Front, holder: tuple[Path, Path]) -> None:
    db, project = stage.cloud.control.cloud.db, stage.project
    db.write(lambda tx: users.change(tx, stage.user, {"default_project_id": project}))
    base = f"{tls.url}/identity/v3"
    words = {"auth_url": base, "oauth2_endpoint": f"{base}/OS-OAUTH2/token", "oauth2_client_id": stage.user}
    plugin = stage.plugin("v3oauth2mtlsclientcredential", **words)
    connection = {"verify": str(tls.authority), "cert": tuple(map(str, holder))}
    access = stage.entered(plugin, "oauth2_credential", **connection)
    assert access.oauth2_credential["x5t#S256"]
    stage.refused(stage.plugin("v3oauth2mtlsclientcredential", **words), verify=str(tls.authority))
    # Whoever says in the header that they have a certificate has none.
    shown = session.Session(verify=str(tls.authority)).post(
        words["oauth2_endpoint"], headers={HEADER: quote(holder[0].read_text())}, authenticated=False, raise_exc=False,
        data={"grant_type": "client_credentials", "client_id": stage.user},
    )  # fmt: skip
    assert shown.status_code == 401


def asks_without_a_token(tls: Front, stage: Stage, holder: tuple[Path, Path], **scope: str) -> tuple[Any, str]:
    """A session that shows the holder's certificate and no token, and the address that it asks at."""
    base = f"{tls.url}/identity/v3"
    plugin = stage.plugin("v3tokenlessauth", auth_url=base, **scope)
    return session.Session(auth=plugin, verify=str(tls.authority), cert=tuple(map(str, holder))), base


def test_without_a_token(stage: Stage, tls: Front, holder: tuple[Path, Path]) -> None:
    """Whoever only shows a certificate is refused, as by a Keystone that trusts no issuer, which is its default."""
    made, base = asks_without_a_token(tls, stage, holder, **stage.scope)
    subject = {"X-Subject-Token": stage.words["MEMBER_TOKEN"]}
    for path in ("auth/tokens", "auth/projects", "users"):
        with pytest.raises(exceptions.Unauthorized):
            made.get(f"{base}/{path}", headers=subject)


@pytest.fixture
def trusting(stage: Stage, tls: Front, holder: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cloud that trusts the issuer of the certificate: the issuer's mapping."""
    issuer = x509.load_pem_x509_certificate(holder[0].read_bytes()).issuer.rfc4514_string()
    idp_id = hashlib.sha256(issuer.encode()).hexdigest()
    before = stage.cloud.control.cloud.settings
    own = msgspec.structs.replace(before.identity, tokenless_issuers=(issuer,))
    monkeypatch.setattr(stage.cloud.control.cloud, "settings", msgspec.structs.replace(before, identity=own))
    federation = stage.admin.federation
    local = {"user": {"name": "{0}", "domain": {"id": "default"}, "type": "local"}}
    rules = [{"local": [local], "remote": [{"type": "SSL_CLIENT_S_DN_CN"}]}]
    federation.mappings.create(mapping_id=idp_id, rules=rules)
    federation.identity_providers.create(idp_id, domain_id="default", enabled=True)
    federation.protocols.create("x509", idp_id, idp_id)
    yield idp_id
    federation.identity_providers.delete(idp_id)
    federation.mappings.delete(idp_id)


def test_a_certificate_in_place_of_a_token(stage: Stage, tls: Front, holder: tuple[Path, Path], trusting: str) -> None:
    made, base = asks_without_a_token(tls, stage, holder, **stage.scope)
    subject = {"X-Subject-Token": stage.words["MEMBER_TOKEN"]}
    assert made.get(f"{base}/auth/tokens", headers=subject).json()["token"]["user"]["id"] == stage.user
    assert made.get(f"{base}/users/{stage.user}").json()["user"]["name"] == stage.name
    assert [one["id"] for one in made.get(f"{base}/auth/projects").json()["projects"]] == [stage.project]
    assert made.get(f"{base}/users/{stage.user}/application_credentials").status_code == 200
    with pytest.raises(exceptions.Forbidden):
        made.get(f"{base}/users")
    project = stage.admin.projects.get(stage.project).name
    for scope in ({"project_name": project, "project_domain_id": "default"},
                  {"project_name": project, "project_domain_name": "Default"}):  # fmt: skip
        made, base = asks_without_a_token(tls, stage, holder, **scope)
        assert made.get(f"{base}/auth/catalog").status_code == 200


def test_a_certificate_that_is_not_enough(stage: Stage, tls: Front, holder: tuple[Path, Path], trusting: str) -> None:
    where = f"{tls.url}/identity/v3/auth/projects"

    def status(scope: dict[str, str], shown: tuple[Path, Path] | None = holder, **headers: str) -> int:
        made = session.Session(verify=str(tls.authority), cert=tuple(map(str, shown)) if shown else None)
        answer = made.get(where, headers={**scope, **headers}, authenticated=False, raise_exc=False)
        return int(answer.status_code)

    mine = {"X-Project-Id": stage.project}
    assert status(mine) == 200
    assert status({}) == 400
    assert status({"X-Project-Name": "x"}) == 400
    assert status({"X-Project-Id": stage.words["OTHER_PROJECT_ID"]}) == 401
    assert status({"X-Project-Id": "nowhere"}) == 401
    assert status({"X-Domain-Id": "default"}) == 401
    assert status(mine, None) == 401
    # Whoever says in the header that they have a certificate has none.
    assert status(mine, None, **{HEADER: quote(holder[0].read_text())}) == 401
    stage.admin.users.update(stage.user, enabled=False)
    try:
        assert status(mine) == 401
    finally:
        stage.admin.users.update(stage.user, enabled=True)
    federation = stage.admin.federation
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "SSL_CLIENT_S_DN_CN"}]}]
    federation.mappings.update(trusting, rules=rules)  # somebody who is no user here
    assert status(mine) == 401
    federation.identity_providers.update(trusting, enabled=False)
    assert status(mine) == 401
