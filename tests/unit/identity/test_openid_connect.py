# SPDX-License-Identifier: Apache-2.0
"""Logging in by OpenID Connect, at a real provider (authlib): by browser, by access token; and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from federated_cloud import DASHBOARD, Federated

from cumulet.kernel import clock
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import federated_users, federation_sources, public_ids
from cumulet.services.identity.store import groups
from support.providers import program

RULES = [
    {
        "local": [
            {"user": {"name": "{0}", "email": "{1}"}},
            {"groups": "{2}", "domain": {"id": "default"}},
            {"projects": [{"name": "home of {0}", "roles": [{"name": "member"}]}]},
        ],
        "remote": [{"type": "HTTP_OIDC_SUB"}, {"type": "OIDC-email"}, {"type": "groups"}],
    }
]
AUTH = "/identity/v3/OS-FEDERATION/identity_providers/company/protocols/openid/auth"
WEBSSO = "/identity/v3/auth/OS-FEDERATION/identity_providers/company/protocols/openid/websso"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with program("openid_provider") as address:
        yield address


@pytest.fixture
def federated(tmp_path: Path, issuer: str) -> Iterator[Federated]:
    made = Federated(tmp_path)
    made.make("/groups", {"group": {"name": "staff", "domain_id": "default"}}, "POST")
    made.open("openid", client(issuer), RULES, issuer)
    yield made
    made.close()


def client(issuer: str, **more: Any) -> OpenIdConnect:
    return OpenIdConnect(issuer=issuer, client_id="cloud", client_secret="secret", **more)


def access_token(issuer: str, name: str = "bob", client_id: str = "cloud") -> str:
    form = {"grant_type": "password", "username": name, "password": "password", "scope": "openid email"}
    return httpx.post(f"{issuer}/token", data=form, auth=(client_id, "secret")).json()["access_token"]


def enter(federated: Federated, token: str) -> httpx.Response:
    return federated.ask("POST", AUTH, headers={"authorization": f"Bearer {token}"})


def begin(federated: Federated) -> tuple[str, str]:
    """What a browser is told: where to go, and the cookie."""
    answer = federated.ask("GET", WEBSSO, params={"origin": DASHBOARD})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"], answer.headers["set-cookie"].partition(";")[0]


def test_an_access_token_lets_in(federated: Federated, issuer: str) -> None:
    answer = enter(federated, access_token(issuer))
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    assert token["methods"] == ["openid"]
    assert token["user"]["name"] == "bob"
    staff = groups.find_by_name(federated.cloud.db, "staff", "default")
    assert staff is not None
    assert token["user"]["OS-FEDERATION"] == {
        "groups": [{"id": staff.id}],
        "identity_provider": {"id": "company"},
        "protocol": {"id": "openid"},
    }
    assert "project" not in token
    assert "password_expires_at" not in token["user"]


def test_a_federated_token_is_scoped(federated: Federated, issuer: str) -> None:
    """On the project that the mapping made, and on one where only the group has a role."""
    first = enter(federated, access_token(issuer))
    user = first.json()["token"]["user"]
    unscoped = first.headers["x-subject-token"]
    project = federated.make("/projects", {"project": {"name": "shared"}}, "POST")["project"]["id"]
    role = federated.ask("GET", "/identity/v3/roles?name=reader", federated.token).json()["roles"][0]["id"]
    staff = user["OS-FEDERATION"]["groups"][0]["id"]
    federated.ask("PUT", f"/identity/v3/projects/{project}/groups/{staff}/roles/{role}", federated.token)
    seen = federated.ask("GET", "/identity/v3/OS-FEDERATION/projects", unscoped).json()["projects"]
    assert {one["name"] for one in seen} == {"home of bob", "shared"}
    for name, domain, roles in (("home of bob", user["domain"]["id"], "member"), ("shared", "default", "reader")):
        answer = federated.scoped(unscoped, name, domain)
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        assert roles in {one["name"] for one in token["roles"]}
        assert token["user"]["OS-FEDERATION"]["protocol"] == {"id": "openid"}
        assert set(token["methods"]) == {"token", "openid"}


def test_somebody_stays_the_same_user(federated: Federated, issuer: str) -> None:
    users = {enter(federated, access_token(issuer)).json()["token"]["user"]["id"] for _ in range(2)}
    assert len(users) == 1
    (user_id,) = users
    user = federated.ask("GET", f"/identity/v3/users/{user_id}", federated.token).json()["user"]
    assert user["federated"] == [{"idp_id": "company", "protocols": [{"protocol_id": "openid", "unique_id": "bob"}]}]
    assert user["email"] == "bob@example.org"
    provider = federated.ask("GET", "/identity/v3/OS-FEDERATION/identity_providers/company", federated.token).json()
    assert user_id == public_ids.of(provider["identity_provider"]["domain_id"], "user", "bob")


def test_a_group_outlives_the_log_in_for_a_while(federated: Federated, issuer: str) -> None:
    path = "/OS-FEDERATION/identity_providers/company"
    federated.make(path, {"identity_provider": {"authorization_ttl": 5}}, "PATCH")
    user_id = enter(federated, access_token(issuer)).json()["token"]["user"]["id"]
    db = federated.cloud.db
    assert len(groups.ids_of_user(db, user_id)) == 1
    shown = federated.ask("GET", f"/identity/v3/users/{user_id}/groups", federated.token).json()["groups"]
    assert [(one["name"], one["membership_expires_at"] is None) for one in shown] == [("staff", False)]
    now = clock.now()
    clock.set_source(lambda: now + 301)
    try:
        assert groups.ids_of_user(db, user_id) == []
        assert federated_users.lapsed(db)
        db.write(federated_users.end_memberships)
        assert not federated_users.lapsed(db)
    finally:
        clock.set_source()


def test_a_provider_may_be_asked_about_tokens(federated: Federated, issuer: str) -> None:
    federation_sources.put(federated.cloud.vault, "company", "openid", client(issuer, introspect=True))
    assert enter(federated, access_token(issuer)).status_code == 201
    assert enter(federated, access_token(issuer, client_id="other")).status_code == 401
    assert enter(federated, "unknown").status_code == 401


def test_what_is_refused(federated: Federated, issuer: str) -> None:
    good = access_token(issuer)
    head, body, signature = good.split(".")
    forged = [
        access_token(issuer, client_id="other"),  # for somebody else
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"eyJhbGciOiJub25lIn0.{body}.",
        "x",
        "",
    ]
    assert [enter(federated, token).status_code for token in forged] == [401] * len(forged)
    now = clock.now()
    federation_sources.put(federated.cloud.vault, "company", "openid", client(f"{issuer}/other"))
    assert enter(federated, good).status_code == 503
    federation_sources.put(federated.cloud.vault, "company", "openid", client("http://127.0.0.1:9"))
    assert enter(federated, good).status_code == 503
    assert clock.now() - now < 30


def test_a_provider_goes_by_one_of_its_names(federated: Federated, issuer: str) -> None:
    path = "/OS-FEDERATION/identity_providers/company"
    federated.make(path, {"identity_provider": {"remote_ids": ["another"]}}, "PATCH")
    assert enter(federated, access_token(issuer)).status_code == 403


def test_a_token_ends_with_its_provider(federated: Federated, issuer: str) -> None:
    token = enter(federated, access_token(issuer)).headers["x-subject-token"]
    path = "/OS-FEDERATION/identity_providers/company"
    assert federated.ask("GET", "/identity/v3/auth/projects", token).status_code == 200
    federated.make(path, {"identity_provider": {"enabled": False}}, "PATCH")
    assert federated.ask("GET", "/identity/v3/auth/projects", token).status_code == 401
    federated.make(path, {"identity_provider": {"enabled": True}}, "PATCH")
    assert federated.ask("GET", "/identity/v3/auth/projects", token).status_code == 200
    assert federated.ask("DELETE", f"/identity/v3{path}", federated.token).status_code == 204
    assert federation_sources.find(federated.cloud, "company", "openid") is None
    assert federated.ask("GET", "/identity/v3/auth/projects", token).status_code == 401


def test_a_browser_logs_in(federated: Federated, issuer: str) -> None:
    location, cookie = begin(federated)
    assert location.startswith(f"{issuer}/authorize?")
    back = httpx.get(location).headers["location"]
    assert back.startswith(f"{federated.base}{WEBSSO}?")
    path = back.removeprefix(federated.base)
    answer = federated.ask("GET", path, headers={"cookie": cookie})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert f'action="{DASHBOARD}"' in answer.text
    found = re.search(r'name="token" id="token" value="([^"]+)"', answer.text)
    assert found is not None
    subject = {"x-subject-token": found[1]}
    token = federated.ask("GET", "/identity/v3/auth/tokens", found[1], headers=subject).json()["token"]
    assert token["user"]["name"] == "bob"
    again = federated.ask("GET", path, headers={"cookie": cookie})
    assert again.status_code == 401  # a code is good once


def test_a_browser_begins_by_protocol_alone(federated: Federated, issuer: str) -> None:
    path = "/identity/v3/auth/OS-FEDERATION/websso/openid"
    answer = federated.ask("GET", path, params={"origin": DASHBOARD})
    assert answer.status_code == 302
    other = "/OS-FEDERATION/identity_providers/other"
    federated.make(other, {"identity_provider": {"enabled": True}})
    federated.make(f"{other}/protocols/openid", {"protocol": {"mapping_id": "company"}})
    federation_sources.put(federated.cloud.vault, "other", "openid", client(issuer))
    answer = federated.ask("GET", path, params={"origin": DASHBOARD})
    assert answer.status_code == 200
    assert "/identity_providers/other/protocols/openid/websso" in answer.text


def test_a_log_in_belongs_to_the_browser_that_began_it(federated: Federated, issuer: str) -> None:
    location, cookie = begin(federated)
    _, other = begin(federated)
    path = httpx.get(location).headers["location"].removeprefix(federated.base)
    assert federated.ask("GET", path).status_code == 401
    assert federated.ask("GET", path, headers={"cookie": other}).status_code == 401
    state = parse_qs(urlsplit(location).query)["state"][0]
    refused = federated.ask("GET", f"{WEBSSO}?state={state}&error=access_denied", headers={"cookie": cookie})
    assert refused.status_code == 401
    now = clock.now()
    clock.set_source(lambda: now + 601)
    try:
        assert federated.ask("GET", path, headers={"cookie": cookie}).status_code == 401
    finally:
        clock.set_source()


def test_a_local_user_is_somebody_here(federated: Federated, issuer: str) -> None:
    words = {"user": {"name": "bob", "domain_id": "default", "password": "correct horse"}}
    user = federated.make("/users", words, "POST")["user"]
    local = [{"user": {"name": "{0}", "type": "local", "domain": {"id": "default"}}}]
    rules = [{"local": local, "remote": [{"type": "sub"}]}]
    federated.make("/OS-FEDERATION/mappings/company", {"mapping": {"rules": rules}}, "PATCH")
    token = enter(federated, access_token(issuer)).json()["token"]
    assert token["user"]["id"] == user["id"]
    assert "OS-FEDERATION" not in token["user"]
    assert enter(federated, access_token(issuer, "eve")).status_code == 401
