# SPDX-License-Identifier: Apache-2.0
"""Each writing route tells what Keystone tells of it, in both forms, and no secret is told."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
import yaml
from federated_cloud import Federated
from heard import Ear, listening
from oauthlib import oauth1

from cumulet.kernel.db.outbox import Event
from cumulet.kernel.ids import is_uuid
from cumulet.kernel.secrets import Secrets
from cumulet.services.identity.api import API
from cumulet.services.identity.logic import services, users
from cumulet.services.identity.store.filters import Filter

ACCOUNT = "service/security/account/user"
WORDS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("audited.yaml").read_text())
STORY: list[dict[str, Any]] = WORDS["story"]
WRITING = ("POST", "PUT", "PATCH", "DELETE")
REQUEST = "req-" + str(uuid.UUID(int=7))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Federated]:
    made = Federated(tmp_path)
    yield made
    made.close()


class Told:
    """A story as it is told: its words are filled in with the ids of what was made."""

    def __init__(self, place: Federated) -> None:
        self.place = place
        admin = users.find_all(place.cloud.db, [Filter("name", "admin")])[0]
        shown = place.ask("GET", "/identity/v3/auth/tokens", place.token, headers={"x-subject-token": place.token})
        self.known = {"admin": admin.id, "home": shown.json()["token"]["project"]["id"], "0": "{0}"}
        self.known["password"] = Secrets(place.cloud.settings.state).get_or_make("admin_password")
        self.secrets = {"hush hush", "first words", "other words", self.known["password"], place.token}

    def fill(self, words: Any) -> Any:
        if isinstance(words, str):
            return words.format_map(self.known) if "{" in words and words != "{0}" else words
        if isinstance(words, dict):
            return {name: self.fill(value) for name, value in words.items()}
        return [self.fill(value) for value in words] if isinstance(words, list) else words

    def do(self, step: dict[str, Any]) -> None:
        (line, body), *_ = step.items()
        method, path = line.split()
        headers = {"x-openstack-request-id": REQUEST, "user-agent": "a program", "x-subject-token": self.place.token}
        more = {} if body is None else {"json": self.fill(body)}
        answer = self.place.ask(method, f"/identity/v3{self.fill(path)}", self.place.token, headers=headers, **more)
        failing = step.get("grant", {}).get("outcome") == "failure" or path.endswith("nowhere")
        assert answer.is_success is not failing, (line, answer.text)
        if "as" in step:
            self._keep(step["as"], next(value for name, value in answer.json().items() if name != "links"))

    def _keep(self, name: str, made: Any) -> None:
        made = made[0] if isinstance(made, list) else made
        self.known[name] = made["domain_id"] if name == "provider_domain" else made.get("id", made.get("access"))
        if "access" in made:
            self.known["key_id"] = hashlib.sha256(made["access"].encode()).hexdigest()
        if made.get("access_rules"):
            self.known["rule"] = made["access_rules"][0]["id"]
        self.secrets |= {made[secret] for secret in ("secret",) if secret in made}


@pytest.mark.parametrize("form", ["cadf", "basic"])
def test_every_writing_route_tells_what_keystone_tells(place: Federated, form: str) -> None:
    ear, story = listening(place.cloud, notification_format=form), Told(place)
    for step in STORY:
        story.do(step)
        events = ear.hear()
        told = [f"{topic(event)} {event.payload.get('resource_info', '')}".strip() for event in events]
        assert told == story.fill(step["told"]), next(iter(step))
        for event in events:
            assert event.request_id == REQUEST
            check(event, form, step, story)


def test_no_writing_route_is_left_out() -> None:
    written = {f"{route.method} {route.path}" for route in API.routes if route.method in WRITING}
    reached = set()
    for step in STORY:
        method, path = next(iter(step)).split()
        node, _ = next(API.tree.find(f"/v3{path}"))
        reached |= {f"{method} {route.path}" for route in node.routes[method]}
    assert written == reached | set(WORDS["elsewhere"])


def check(event: Event, form: str, step: dict[str, Any], story: Told) -> None:
    text = msgspec.json.encode(event.payload).decode()
    assert not [secret for secret in story.secrets if secret in text], event.topic
    always_whole = event.topic.startswith(("identity.authenticate", "identity.role_assignment"))
    if form == "basic" and not always_whole:
        check_basic(event, step, story)
    else:
        check_whole(event, step, story)


def check_basic(event: Event, step: dict[str, Any], story: Told) -> None:
    expected = {
        "resource_info": event.payload["resource_info"], "request_id": REQUEST, "global_request_id": REQUEST
    }  # fmt: skip
    if "member" in step:
        expected |= {"actor_id": story.known["user"], "actor_type": "user", "actor_operation": step["member"]}
    assert event.payload == expected


def check_whole(event: Event, step: dict[str, Any], story: Told) -> None:
    payload = dict(event.payload)
    assert payload.pop("typeURI") == "http://schemas.dmtf.org/cloud/audit/1.0/event"
    assert payload.pop("eventType") == "activity"
    assert is_uuid(payload.pop("id"))
    assert datetime.strptime(payload.pop("eventTime"), "%Y-%m-%dT%H:%M:%S.%f%z").utcoffset() is not None
    catalogued = services.find_all(story.place.cloud.db, [Filter("type", "identity")])[0]
    assert payload.pop("observer") == {"id": catalogued.id, "typeURI": "service/security"}
    check_initiator(payload.pop("initiator"), story, known="/password" not in next(iter(step)))
    _, kind, *rest = event.topic.split(".")
    target = payload.pop("target")
    if kind == "authenticate":
        assert payload == {"action": "authenticate", "outcome": "success"}
    elif kind == "role_assignment":
        assert payload == {"action": f"{rest[0]}.{kind}", "outcome": "success", **story.fill(step["grant"])}
    else:
        assert target["id"] == payload.pop("resource_info")
        assert payload == {"action": f"{rest[0]}.{kind}", "outcome": "success"}
        return
    assert is_uuid(target.pop("id"))
    assert target == {"typeURI": ACCOUNT}


def check_initiator(who: dict[str, Any], story: Told, *, known: bool) -> None:
    """Who did it, and from where; whoever logs in or changes a password has no token that says more."""
    expected = {
        "typeURI": ACCOUNT,
        "host": {"address": "127.0.0.1", "agent": "a program"},
        "request_id": REQUEST,
        "global_request_id": REQUEST,
    }
    if known:
        admin = story.known["admin"]
        expected |= {"id": admin, "user_id": admin, "name": "admin", "username": "admin"}
    assert {name: who.get(name) for name in expected} == expected
    assert who.keys() - expected.keys() <= {"id", "user_id", "name", "username", "project_id"}
    assert who.get("project_id", story.known["home"]) == story.known["home"]


def topic(event: Event) -> str:
    name = event.topic.removeprefix("identity.")
    return f"{name}.{event.payload['outcome']}" if name == "authenticate" else name


def test_what_a_consumer_does_is_told(place: Federated) -> None:
    ear, story = listening(place.cloud), Told(place)
    base = f"{place.base}/identity/v3"
    consumer = place.make("/OS-OAUTH1/consumers", {"consumer": {}}, "POST")["consumer"]

    def signed(path: str, headers: dict[str, str], **named: Any) -> dict[str, str]:
        client = oauth1.Client(consumer["id"], client_secret=consumer["secret"], **named)
        url, sent, _ = client.sign(base + path, http_method="POST", headers=headers)
        answer: httpx.Response = place.ask("POST", url, headers=dict(sent))
        return dict(parse_qsl(answer.text))

    asked = signed("/OS-OAUTH1/request_token", {"Requested-Project-Id": story.known["home"]}, callback_uri="oob")
    key, secret = asked["oauth_token"], asked["oauth_token_secret"]
    agreed = place.make(f"/OS-OAUTH1/authorize/{key}", {"roles": [{"name": "admin"}]})
    verifier = agreed["token"]["oauth_verifier"]
    lent = signed(
        "/OS-OAUTH1/access_token", {}, resource_owner_key=key, resource_owner_secret=secret, verifier=verifier
    )
    place.ask(
        "DELETE",
        f"{base}/users/{story.known['admin']}/OS-OAUTH1/access_tokens/{lent['oauth_token']}",
        place.token,
    )
    events = ear.hear()
    assert [f"{topic(event)} {event.payload['resource_info']}" for event in events] == [
        f"OS-OAUTH1:consumer.created {consumer['id']}",
        f"OS-OAUTH1:request_token.created {key}",
        f"OS-OAUTH1:access_token.created {lent['oauth_token']}",
        f"OS-OAUTH1:access_token.deleted {lent['oauth_token']}",
    ]
    text = msgspec.json.encode([event.payload for event in events]).decode()
    assert not [one for one in (consumer["secret"], secret, verifier, lent["oauth_token_secret"]) if one in text]


def test_a_user_goes_with_what_is_the_users(place: Federated) -> None:
    cloud = place.cloud
    made = place.make("/users", {"user": {"name": "u", "password": "p"}}, "POST")["user"]
    role = next(
        one for one in place.ask("GET", "/identity/v3/roles", place.token).json()["roles"] if one["name"] == "member"
    )
    project = place.make("/projects", {"project": {"name": "p"}}, "POST")["project"]
    place.ask("PUT", f"/identity/v3/projects/{project['id']}/users/{made['id']}/roles/{role['id']}", place.token)
    identity = {"methods": ["password"], "password": {"user": {"id": made["id"], "password": "p"}}}
    scope = {"project": {"id": project["id"]}}
    token = place.ask("POST", "/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
    rules = [{"service": "identity", "path": "/v3/users", "method": "GET"}]
    words = {"application_credential": {"name": "a", "access_rules": rules}}
    path = f"/identity/v3/users/{made['id']}/application_credentials"
    credential = place.ask("POST", path, token.headers["x-subject-token"], json=words).json()["application_credential"]
    ear: Ear = listening(cloud)
    place.ask("DELETE", f"/identity/v3/users/{made['id']}", place.token)
    assert [f"{topic(event)} {event.payload['resource_info']}" for event in ear.hear()] == [
        f"application_credential.deleted {credential['id']}",
        f"access_rule.deleted {credential['access_rules'][0]['id']}",
        f"user.deleted {made['id']}",
    ]
