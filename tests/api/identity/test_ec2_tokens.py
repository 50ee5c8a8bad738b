# SPDX-License-Identifier: Apache-2.0
"""Tokens for signatures: made by a client's own signer, with rights of one's own and with lent ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import httpx
import pytest
from keystoneclient.contrib.ec2.utils import Ec2Signer

from cumulet.kernel import clock
from cumulet.services.identity.logic.refusals import UNPROVEN
from support.cloud import RunningCloud
from support.people import environment

NOW, LATE = "%Y-%m-%dT%H:%M:%SZ", "2020-01-01T00:00:00Z"


class Place:
    """One member with an access key, and a service that asks on behalf of whoever signs."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.words = environment(cloud)
        self.http = httpx.Client(base_url=f"{cloud.control_url}/identity/v3", timeout=30)
        self.key = self.ask(
            "POST", f"/users/{self.words['USER_ID']}/credentials/OS-EC2", {"tenant_id": self.words["PROJECT_ID"]}
        ).json()["credential"]

    def ask(self, method: str, path: str, body: Any = None, who: str = "MEMBER", **headers: str) -> httpx.Response:
        token = self.words.get(f"{who}_TOKEN", who)
        return self.http.request(method, path, json=body, headers={"X-Auth-Token": token, **headers})

    def token_for(self, signed: dict[str, Any], api: str = "ec2tokens") -> httpx.Response:
        return self.ask("POST", f"/{api}", {"credentials": signed}, "SERVICE")

    @cached_property
    def admin_id(self) -> str:
        shown = self.ask("GET", "/auth/tokens", who="ADMIN", **{"X-Subject-Token": self.words["ADMIN_TOKEN"]})
        return str(shown.json()["token"]["user"]["id"])

    def made_key(self, who: str = "MEMBER", user_id: str = "", **lent: str) -> dict[str, str]:
        """An access key whose blob says by whom its rights were lent."""
        blob = {"access": f"key-of-{who}-{next(iter(lent.values()))}", "secret": "s"}
        words = {"type": "ec2", "user_id": user_id or self.words["USER_ID"], "project_id": self.words["PROJECT_ID"]}
        body = {"credential": {**words, "blob": json.dumps({**blob, **lent})}}
        assert self.ask("POST", "/credentials", body, who).status_code == 201
        return blob


@pytest.fixture(scope="module")
def place(cloud: RunningCloud) -> Iterator[Place]:
    made = Place(cloud)
    yield made
    made.http.close()


def signed(key: dict[str, str], version: str, host: str = "ec2.test:8773", when: str = "") -> dict[str, Any]:
    params = {
        "SignatureVersion": version, "AWSAccessKeyId": key["access"], "Action": "DescribeInstances",
        "Timestamp": when or clock.utcnow().strftime(NOW), "Odd name": "a b/ü~",
    }  # fmt: skip
    words = {"access": key["access"], "host": host, "verb": "GET", "path": "/services/Cloud", "params": params}
    return {**words, "signature": Ec2Signer(key["secret"]).generate({**words, "params": dict(params)})}


def signed_v4(key: dict[str, str], *, in_query: bool = False, day: str = "", when: str = "") -> dict[str, Any]:
    moment = when or clock.utcnow().strftime("%Y%m%dT%H%M%SZ")
    scope = f"{key['access']}/{day or moment[:8]}/RegionOne/ec2/aws4_request"
    names = "content-type;host;x-amz-date"
    headers = {"Host": "ec2.test", "Content-Type": "text/plain", "X-Amz-Date": moment, "User-Agent": "Boto/2.9.1"}
    params: dict[str, str] = {"Action": "DescribeInstances"}
    if in_query:
        params |= {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": scope, "X-Amz-SignedHeaders": names}
    else:
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={names},Signature=x"
    words = {
        "access": key["access"], "host": "ec2.test", "verb": "GET", "path": "/", "params": params, "headers": headers,
        "body_hash": hashlib.sha256(b"").hexdigest(),
    }  # fmt: skip
    return {**words, "signature": Ec2Signer(key["secret"]).generate({**words, "params": dict(params)})}


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_an_old_signature(place: Place, version: str) -> None:
    answer = place.token_for(signed(place.key, version))
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert token["methods"] == ["ec2credential"]
    assert token["user"]["id"] == place.words["USER_ID"]
    assert token["project"]["id"] == place.words["PROJECT_ID"]
    assert "member" in [role["name"] for role in token["roles"]]
    assert token["catalog"]
    text = answer.headers["X-Subject-Token"]
    assert place.ask("GET", "/auth/tokens", who="ADMIN", **{"X-Subject-Token": text}).json()["token"] == token


def test_what_a_signature_gave_is_for_other_services(place: Place) -> None:
    text = place.token_for(signed(place.key, "2")).headers["X-Subject-Token"]
    for path in ("/auth/projects", "/auth/tokens", f"/users/{place.words['USER_ID']}"):
        answer = place.ask("GET", path, who=text, **{"X-Subject-Token": text})
        assert answer.status_code == 403
        assert answer.json()["error"]["message"] == "EC2 credential tokens cannot be used for authorization."


def test_the_port_of_the_host_may_be_left_out(place: Place) -> None:
    words = signed(place.key, "2", host="ec2.test")
    assert place.token_for({**words, "host": "ec2.test:8773"}).status_code == 200


@pytest.mark.parametrize("in_query", [False, True])
def test_a_signature_of_version_4(place: Place, in_query: bool) -> None:
    answer = place.token_for(signed_v4(place.key, in_query=in_query))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ["signature", "path", "verb", "host"])
def test_what_was_changed_on_the_way_is_refused(place: Place, name: str) -> None:
    answer = place.token_for({**signed(place.key, "2"), name: "other"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, UNPROVEN)


def test_a_day_that_was_not_signed_is_refused(place: Place) -> None:
    words = signed_v4(place.key)
    words["headers"]["Authorization"] = words["headers"]["Authorization"].replace("/20", "/19", 1)
    assert place.token_for(words).status_code == 401


def test_an_old_one_is_refused(place: Place) -> None:
    answer = place.token_for(signed(place.key, "2", when=LATE))
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, UNPROVEN)
    assert place.token_for(signed(place.key, "2", when="yesterday")).status_code == 401


def test_s3(place: Place) -> None:
    text = b"GET\n\n\n\n/bucket"
    made = base64.b64encode(hmac.digest(place.key["secret"].encode(), text, "sha1")).decode()
    words = {"access": place.key["access"], "token": base64.urlsafe_b64encode(text).decode(), "signature": made}
    answer = place.token_for(words, "s3tokens")
    assert answer.status_code == 200, answer.text
    assert answer.json()["token"]["user"]["id"] == place.words["USER_ID"]
    assert "X-Subject-Token" not in answer.headers


@pytest.mark.parametrize(("service", "status"), [("s3", 200), ("iam", 200), ("ec2", 401)])
def test_s3_of_version_4(place: Place, service: str, status: int) -> None:
    scope = ["20260101", "here", service, "aws4_request"]
    text = "\n".join(("AWS4-HMAC-SHA256", "20260101T000000Z", "/".join(scope), "0" * 64)).encode()
    key = f"AWS4{place.key['secret']}".encode()
    for word in scope:
        key = hmac.digest(key, word.encode(), "sha256")
    words = {"token": base64.urlsafe_b64encode(text).decode(), "signature": hmac.new(key, text, "sha256").hexdigest()}
    assert place.token_for({"access": place.key["access"], **words}, "s3tokens").status_code == status


def test_a_token_by_a_key_makes_nothing_that_stays(place: Place) -> None:
    lent = place.token_for(signed(place.key, "2")).headers["X-Subject-Token"]
    user, project = place.words["USER_ID"], place.words["PROJECT_ID"]
    for path in ("/credentials", f"/users/{user}/credentials/OS-EC2"):
        body = {"tenant_id": project, "credential": {"type": "cert", "blob": "x", "user_id": user}}
        assert place.ask("POST", path, body, lent).status_code == 403
    identity = {"methods": ["token"], "token": {"id": lent}}
    assert place.ask("POST", "/auth/tokens", {"auth": {"identity": identity}}).status_code == 403


def test_the_method_alone_proves_nothing(place: Place) -> None:
    identity = {"methods": ["ec2credential"], "ec2credential": {"access": place.key["access"]}}
    assert place.ask("POST", "/auth/tokens", {"auth": {"identity": identity}}).status_code == 401


def test_a_key_of_an_application_credential(place: Place) -> None:
    path = f"/users/{place.words['USER_ID']}/application_credentials"
    words = {"application_credential": {"name": "robot", "roles": [{"name": "reader"}]}}
    made = place.ask("POST", path, words).json()["application_credential"]
    key = place.made_key(app_cred_id=made["id"])
    answer = place.token_for(signed(key, "2"))
    assert answer.status_code == 200, answer.text
    assert [role["name"] for role in answer.json()["token"]["roles"]] == ["reader"]
    assert answer.json()["token"]["application_credential"]["id"] == made["id"]
    assert place.ask("DELETE", f"{path}/{made['id']}").status_code == 204
    assert place.token_for(signed(key, "2")).status_code == 404


def test_another_users_application_credential_is_not_to_be_had(place: Place) -> None:
    other = place.words["OTHER_USER_ID"]
    words = {"application_credential": {"name": "robot of another"}}
    made = place.ask("POST", f"/users/{other}/application_credentials", words, "OTHER").json()
    key = place.made_key(app_cred_id=made["application_credential"]["id"])
    assert place.token_for(signed(key, "2")).status_code == 404


def test_a_key_of_a_user_without_a_role_is_none(place: Place) -> None:
    user, project = place.words["USER_ID"], place.words["OTHER_PROJECT_ID"]
    key = place.ask("POST", f"/users/{user}/credentials/OS-EC2", {"tenant_id": project}).json()["credential"]
    assert place.token_for(signed(key, "2")).status_code == 401


@pytest.mark.parametrize("impersonation", [True, False])
def test_a_key_of_a_trust(place: Place, impersonation: bool) -> None:
    """The trustee's key by the trust; and one that somebody makes who has no part in it."""
    user, other, project = (place.words[name] for name in ("USER_ID", "OTHER_USER_ID", "PROJECT_ID"))
    words = {"trustor_user_id": user, "trustee_user_id": other, "impersonation": impersonation, "project_id": project}
    body = {"trust": {**words, "roles": [{"name": "reader"}]}}
    trust = place.ask("POST", "/OS-TRUST/trusts", body).json()["trust"]["id"]
    key = {"access": f"key-{trust}", "secret": "s"}
    said = {"type": "ec2", "user_id": other, "project_id": project, "blob": json.dumps({**key, "trust_id": trust})}
    assert place.ask("POST", "/credentials", {"credential": said}, "OTHER").status_code == 201
    token = place.token_for(signed(key, "2")).json()["token"]
    assert token["user"]["id"] == (user if impersonation else other)
    assert token["OS-TRUST:trust"]["id"] == trust
    assert [role["name"] for role in token["roles"]] == ["reader"]
    stranger = place.made_key("ADMIN", place.admin_id, trust_id=trust)
    assert place.token_for(signed(stranger, "2")).status_code == 404
    elsewhere = {**said, "project_id": place.words["OTHER_PROJECT_ID"]}
    elsewhere["blob"] = json.dumps({"access": f"else-{trust}", "secret": "s", "trust_id": trust})
    assert place.ask("POST", "/credentials", {"credential": elsewhere}, "OTHER").status_code == 201
    assert place.token_for(signed({"access": f"else-{trust}", "secret": "s"}, "2")).status_code == 401
    assert place.ask("DELETE", f"/OS-TRUST/trusts/{trust}").status_code == 204
    assert place.token_for(signed(key, "2")).status_code == 404
