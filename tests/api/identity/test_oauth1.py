# SPDX-License-Identifier: Apache-2.0
"""A consumer asks, a user agrees, and the consumer acts with what it was lent: signed by oauthlib."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from oauthlib import oauth1

from cumulet.services.identity.logic.refusals import UNPROVEN
from support.cloud import RunningCloud
from support.people import environment

OAUTH = "/OS-OAUTH1"


class Place:
    """An administrator, who may lend, and a consumer."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.words = environment(cloud)
        self.base = f"{cloud.control_url}/identity/v3"
        self.http = httpx.Client(timeout=30)
        self.project = self.words["ADMIN_PROJECT_ID"]
        self.user = self.shown(self.words["ADMIN_TOKEN"])["user"]["id"]
        self.consumer = self.made_consumer()

    def ask(self, method: str, path: str, body: Any = None, who: str = "ADMIN", **headers: str) -> httpx.Response:
        sent = {"X-Auth-Token": self.words.get(f"{who}_TOKEN", who), **headers}
        return self.http.request(method, self.base + path, json=body, headers=sent)

    def made_consumer(self) -> dict[str, str]:
        found: dict[str, str] = self.ask("POST", f"{OAUTH}/consumers", {"consumer": {}}).json()["consumer"]
        return found

    def shown(self, token: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/auth/tokens", None, "ADMIN", **{"X-Subject-Token": token}).json()
        return found["token"]  # type: ignore[no-any-return]

    def signed(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, **named: Any
    ) -> httpx.Response:
        """The answer to a POST that the consumer signs; `named` is for oauthlib's client."""
        words = {"client_secret": self.consumer["secret"], **named}
        client = oauth1.Client(words.pop("client_key", self.consumer["id"]), **words)
        url, sent, _ = client.sign(self.base + path, http_method="POST", headers=headers or {})
        return self.http.post(url, headers=sent, json=body)

    def request_token(self) -> dict[str, str]:
        answer = self.signed(
            f"{OAUTH}/request_token", headers={"Requested-Project-Id": self.project}, callback_uri="oob"
        )
        assert answer.status_code == 201, answer.text
        assert answer.headers["Content-Type"] == "application/x-www-form-urlencoded"
        return dict(parse_qsl(answer.text))

    def verifier(self, token: dict[str, str], *roles: dict[str, str]) -> str:
        answer = self.ask("PUT", f"{OAUTH}/authorize/{token['oauth_token']}", {"roles": list(roles)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"]["oauth_verifier"])

    def exchanged(self, token: dict[str, str], verifier: str, **named: Any) -> httpx.Response:
        return self.signed(
            f"{OAUTH}/access_token",
            resource_owner_key=token["oauth_token"],
            resource_owner_secret=token["oauth_token_secret"],
            verifier=verifier,
            **named,
        )

    def access_token(self, *roles: dict[str, str]) -> dict[str, str]:
        token = self.request_token()
        answer = self.exchanged(token, self.verifier(token, *(roles or ({"name": "reader"},))))
        assert answer.status_code == 201, answer.text
        return dict(parse_qsl(answer.text))

    def login(self, token: dict[str, str], **named: Any) -> httpx.Response:
        body = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}
        words = {"resource_owner_key": token["oauth_token"], "resource_owner_secret": token["oauth_token_secret"]}
        return self.signed("/auth/tokens", body, **{**words, **named})


@pytest.fixture(scope="module")
def place(cloud: RunningCloud) -> Iterator[Place]:
    made = Place(cloud)
    yield made
    made.http.close()


def test_a_consumer_acts_with_what_it_was_lent(place: Place) -> None:
    lent = place.access_token({"name": "reader"}, {"id": place.words["MEMBER_ROLE_ID"]})
    assert lent["oauth_expires_at"].endswith("Z")
    answer = place.login(lent)
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    assert token["methods"] == ["oauth1"]
    assert token["user"]["id"] == place.user
    assert token["project"]["id"] == place.project
    assert {role["name"] for role in token["roles"]} == {"reader", "member"}
    assert token["OS-OAUTH1"] == {"access_token_id": lent["oauth_token"], "consumer_id": place.consumer["id"]}
    text = answer.headers["X-Subject-Token"]
    assert place.shown(text)["OS-OAUTH1"] == token["OS-OAUTH1"]
    assert place.ask("GET", "/auth/projects", who=text).status_code == 200


def test_what_was_lent_is_listed(place: Place) -> None:
    lent = place.access_token()
    path = f"/users/{place.user}{OAUTH}/access_tokens"
    listed = place.ask("GET", path).json()["access_tokens"]
    assert lent["oauth_token"] in [one["id"] for one in listed]
    shown = place.ask("GET", f"{path}/{lent['oauth_token']}").json()["access_token"]
    assert shown["consumer_id"] == place.consumer["id"]
    assert shown["authorizing_user_id"] == place.user
    assert shown["expires_at"] == lent["oauth_expires_at"]
    assert lent["oauth_token_secret"] not in str(listed)
    roles = place.ask("GET", f"{path}/{lent['oauth_token']}/roles").json()["roles"]
    assert [role["name"] for role in roles] == ["reader"]
    one = f"{path}/{lent['oauth_token']}/roles/{place.words['READER_ROLE_ID']}"
    assert place.ask("GET", one).json()["role"]["name"] == "reader"
    assert place.ask("GET", one + "x").status_code == 404
    other = f"/users/{place.words['USER_ID']}{OAUTH}/access_tokens/{lent['oauth_token']}"
    assert place.ask("GET", other).status_code == 404
    assert place.ask("GET", f"{other}/roles/x").status_code == 401
    assert place.ask("DELETE", other).status_code == 401


def test_what_is_taken_back_is_gone_at_once(place: Place) -> None:
    lent = place.access_token()
    text = place.login(lent).headers["X-Subject-Token"]
    assert place.ask("GET", "/auth/projects", who=text).status_code == 200
    path = f"/users/{place.user}{OAUTH}/access_tokens/{lent['oauth_token']}"
    assert place.ask("DELETE", path).status_code == 204
    assert place.ask("GET", "/auth/projects", who=text).status_code == 401
    assert place.login(lent).status_code == 404
    assert place.ask("DELETE", path).status_code == 404


def test_a_consumer_that_goes_takes_everything_with_it(place: Place) -> None:
    before, place.consumer = place.consumer, place.made_consumer()
    lent = place.access_token()
    text = place.login(lent).headers["X-Subject-Token"]
    assert place.ask("DELETE", f"{OAUTH}/consumers/{place.consumer['id']}").status_code == 204
    assert place.ask("GET", "/auth/projects", who=text).status_code == 401
    assert place.login(lent).status_code == 404
    place.consumer = before


def test_a_request_is_used_up(place: Place) -> None:
    token = place.request_token()
    verifier = place.verifier(token, {"name": "reader"})
    assert place.exchanged(token, verifier).status_code == 201
    assert place.exchanged(token, verifier).status_code == 404


@pytest.mark.parametrize(
    ("named", "status", "message"),
    [
        ({"client_secret": "0" * 32}, 401, UNPROVEN),
        ({"verifier": "wrongone"}, 400, "Invalid verifier format."),
        ({"verifier": "wrnnnnne"}, 401, UNPROVEN),
        ({"client_key": "0" * 32}, 401, UNPROVEN),
    ],
)
def test_a_wrong_exchange_is_refused(place: Place, named: dict[str, str], status: int, message: str) -> None:
    token = place.request_token()
    words = {"verifier": place.verifier(token, {"name": "reader"}), **named}
    answer = place.exchanged(token, words.pop("verifier"), **words)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_another_consumers_request_is_not_for_this_one(place: Place) -> None:
    token = place.request_token()
    verifier, other = place.verifier(token, {"name": "reader"}), place.made_consumer()
    answer = place.exchanged(token, verifier, client_key=other["id"], client_secret=other["secret"])
    assert answer.json()["error"]["message"] == UNPROVEN


def test_nobody_has_agreed(place: Place) -> None:
    assert place.exchanged(place.request_token(), "abcdefgh").status_code == 401


def test_nobody_lends_what_is_not_theirs(place: Place) -> None:
    token = place.request_token()
    path = f"{OAUTH}/authorize/{token['oauth_token']}"
    assert place.ask("PUT", path, {"roles": [{"name": "service"}]}).status_code == 401
    assert place.ask("PUT", path, {"roles": [{"name": "no such role"}]}).status_code == 404
    assert place.ask("PUT", path, {"roles": [{"id": "x", "name": "y"}]}).status_code == 400
    assert place.ask("PUT", path, {"roles": [{"name": "reader"}]}, "MEMBER").status_code == 403


def test_a_lent_token_lends_nothing_on(place: Place) -> None:
    lent = place.login(place.access_token({"name": "admin"})).headers["X-Subject-Token"]
    token = place.request_token()
    body = {"roles": [{"name": "reader"}]}
    assert place.ask("PUT", f"{OAUTH}/authorize/{token['oauth_token']}", body, lent).status_code == 403
    assert place.ask("GET", f"/users/{place.user}{OAUTH}/access_tokens", who=lent).status_code == 403
    assert place.ask("GET", "/credentials", who=lent).json()["credentials"] == []
    identity = {"methods": ["token"], "token": {"id": lent}}
    assert place.ask("POST", "/auth/tokens", {"auth": {"identity": identity}}).status_code == 403


@pytest.mark.parametrize(
    "named",
    [
        {"client_secret": "0" * 32},
        {"resource_owner_secret": "0" * 32},
        {"client_key": "0" * 32},
        {"timestamp": "1000000000"},
        {"signature_method": oauth1.SIGNATURE_PLAINTEXT},
    ],
)
def test_a_wrong_signature_is_no_login(place: Place, named: dict[str, str]) -> None:
    answer = place.login(place.access_token(), **named)
    assert answer.status_code == 401


def test_a_key_for_ec2_has_what_was_lent(place: Place) -> None:
    """Two consumers of the same user: a key names the access token by which it was made."""
    from keystoneclient.contrib.ec2.utils import Ec2Signer

    lent = place.access_token()
    blob = f'{{"access": "of-{lent["oauth_token"]}", "secret": "s", "access_token_id": "{lent["oauth_token"]}"}}'
    words = {"type": "ec2", "user_id": place.user, "project_id": place.project, "blob": blob}
    assert place.ask("POST", "/credentials", {"credential": words}).status_code == 201
    signed = {"access": f"of-{lent['oauth_token']}", "host": "h", "verb": "GET", "path": "/"}
    signed["params"] = {"SignatureVersion": "1"}
    signed["signature"] = Ec2Signer("s").generate(signed)
    token = place.ask("POST", "/ec2tokens", {"credentials": signed}, "SERVICE").json()["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["OS-OAUTH1"]["access_token_id"] == lent["oauth_token"]
