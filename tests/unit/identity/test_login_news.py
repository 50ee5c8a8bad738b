# SPDX-License-Identifier: Apache-2.0
"""Log-ins are told of, the refused ones with Keystone's reasons, without secrets and without an end to how many."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from federated_cloud import Federated
from heard import listening

from cumulet.kernel import clock
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.ids import is_uuid
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import (
    assertions,
    identity_providers,
    login_news,
    mapped_login,
    protocols,
    wrong_passwords,
)
from cumulet.settings.identity import SecurityCompliance

PASSWORD = "correct horse"
ISSUER = "https://company"
RULES = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "sub"}]}]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Federated]:
    made = Federated(tmp_path)
    yield made
    made.close()


@pytest.fixture
def eve(place: Federated) -> dict[str, Any]:
    made: dict[str, Any] = place.make("/users", {"user": {"name": "eve", "password": PASSWORD}}, "POST")["user"]
    return made


def log_in(place: Federated, method: str = "password", **words: Any) -> int:
    body = {"auth": {"identity": {"methods": [method], method: words}}}
    return place.ask("POST", "/identity/v3/auth/tokens", json=body, headers={"user-agent": "x" * 999}).status_code


def comply(place: Federated, **rules: Any) -> None:
    compliance = SecurityCompliance(**rules)
    place.cloud.settings = msgspec.structs.replace(place.cloud.settings, security_compliance=compliance)


def only(events: list[Event]) -> dict[str, Any]:
    """The one event's payload, of which the parts that all have are taken away."""
    assert [event.topic for event in events] == ["identity.authenticate"]
    payload: dict[str, Any] = dict(events[0].payload)
    assert payload.pop("action") == "authenticate"
    assert payload["initiator"].pop("host") == {"address": "127.0.0.1", "agent": "x" * 255}
    assert payload["initiator"].pop("request_id") == events[0].request_id
    assert "global_request_id" not in payload["initiator"]
    return {name: payload[name] for name in ("initiator", "outcome", "reason") if name in payload}


def known(user: dict[str, Any]) -> dict[str, Any]:
    who = {"id": user["id"], "user_id": user["id"], "name": user["name"], "username": user["name"]}
    return {"typeURI": "service/security/account/user", **who}


def test_a_right_and_a_wrong_password(place: Federated, eve: dict[str, Any]) -> None:
    ear = listening(place.cloud)
    assert log_in(place, user={"id": eve["id"], "password": PASSWORD}) == 201
    assert only(ear.hear()) == {"initiator": known(eve), "outcome": "success"}
    assert log_in(place, user={"id": eve["id"], "password": "hush hush"}) == 401
    told = ear.hear()
    assert only(told) == {"initiator": known(eve), "outcome": "failure"}
    assert "hush" not in str(told)


def test_wrong_passwords_are_marked_where_that_is_wanted(place: Federated, eve: dict[str, Any]) -> None:
    comply(place, report_invalid_password_hash=("event",), invalid_password_hash_max_chars=5)
    ear = listening(place.cloud)
    for word in ("old", "old", "new", PASSWORD):
        log_in(place, user={"id": eve["id"], "password": word})
    log_in(place, user={"id": "nobody", "password": "old"})
    log_in(place, "totp", user={"id": eve["id"], "passcode": "123456"})
    place.make(f"/users/{eve['id']}", {"user": {"enabled": False}}, "PATCH")
    log_in(place, user={"id": eve["id"], "password": PASSWORD})
    told = [event for event in ear.hear() if event.topic == "identity.authenticate"]
    marks = [event.payload.get("attachments", [None])[0] for event in told]
    assert marks[3:] == [None, None, None, None]
    assert marks[0] == marks[1]
    assert {name: marks[0][name] for name in ("typeURI", "name")} == {
        "typeURI": "mime:text/plain",
        "name": "partial_password_hash",
    }
    assert len({mark["content"] for mark in marks[:3]}) == 2
    assert {len(mark["content"]) for mark in marks[:3]} == {5}
    comply(place, report_invalid_password_hash=("event",))
    assert len(wrong_passwords.mark(place.cloud, "old")) == 43
    assert wrong_passwords.mark(place.cloud, "old").startswith(marks[0]["content"])


def test_nobody_there(place: Federated) -> None:
    ear = listening(place.cloud)
    domain = {"id": "default", "name": "Default"}
    for said in ({"id": "default"}, {"name": "Default"}):
        assert log_in(place, user={"name": "n" * 999, "domain": said, "password": "p"}) == 401
        told = only(ear.hear())
        assert is_uuid(told["initiator"].pop("id"))
        assert told == {
            "initiator": {
                "typeURI": "service/security/account/user",
                "user_name": "n" * 255,
                "domain_id": domain["id"],
                "domain_name": domain["name"],
            },
            "outcome": "failure",
            "reason": {"reasonType": f"Could not find user: {'n' * 255}.", "reasonCode": "404"},
        }
    assert log_in(place, user={"id": "nobody", "password": "p"}) == 401
    told = only(ear.hear())
    assert told["initiator"]["user_id"] == "nobody"
    assert told["reason"] == {"reasonType": "Could not find user: nobody.", "reasonCode": "404"}
    assert log_in(place, user={"name": "a", "domain": {"id": "nowhere"}, "password": "p"}) == 401
    assert only(ear.hear()).keys() == {"initiator", "outcome"}


def test_a_locked_account(place: Federated, eve: dict[str, Any]) -> None:
    comply(place, lockout_failure_attempts=2)
    ear = listening(place.cloud)
    locked = {"reasonType": f"The account is locked for user: {eve['id']}.", "reasonCode": "401"}
    for reason in (None, None, locked):
        assert log_in(place, user={"id": eve["id"], "password": "wrong"}) == 401
        assert only(ear.hear()).get("reason") == reason
    assert log_in(place, user={"id": eve["id"], "password": PASSWORD}) == 401
    assert only(ear.hear())["reason"] == locked


def test_a_password_that_has_ended(place: Federated) -> None:
    comply(place, password_expires_days=1)
    user = place.make("/users", {"user": {"name": "eve", "password": PASSWORD}}, "POST")["user"]
    ear = listening(place.cloud)
    later = clock.now() + 2 * 86_400
    clock.set_source(lambda: later)
    try:
        expired = {
            "reasonType": f"The password is expired and needs to be changed for user: {user['id']}.",
            "reasonCode": "401",
        }
        assert log_in(place, user={"id": user["id"], "password": PASSWORD}) == 401
        assert only(ear.hear())["reason"] == expired
        body = {"user": {"original_password": PASSWORD, "password": "another one"}}
        assert place.ask("POST", f"/identity/v3/users/{user['id']}/password", json=body).status_code == 204
    finally:
        clock.set_source()
    first, second = ear.hear()
    assert first.payload["reason"] == expired
    assert second.topic == "identity.user.updated"


def test_a_password_that_may_not_be_chosen(place: Federated, eve: dict[str, Any]) -> None:
    comply(place, unique_last_password_count=2)
    ear = listening(place.cloud)
    body = {"user": {"original_password": PASSWORD, "password": PASSWORD}}
    answer = place.ask("POST", f"/identity/v3/users/{eve['id']}/password", json=body)
    assert answer.status_code == 400
    _, told = ear.hear()
    assert told.topic == "identity.user.updated"
    assert told.payload["outcome"] == "success"  # so says Keystone; the reason tells that nothing was changed
    assert told.payload["reason"] == {"reasonType": answer.json()["error"]["message"], "reasonCode": "400"}
    assert PASSWORD not in str(told)


@pytest.mark.parametrize("method", ["totp", "application_credential"])
def test_other_methods(place: Federated, eve: dict[str, Any], method: str) -> None:
    ear = listening(place.cloud)
    words = {"user": {"id": eve["id"], "passcode": "123456"}, "name": "a", "secret": "hush hush"}
    assert log_in(place, method, **words) == 401
    told = ear.hear()
    assert only(told) == {"initiator": known(eve), "outcome": "failure"}
    assert "hush" not in str(told)
    assert "123456" not in str(told)
    assert log_in(place, method, **{**words, "user": {"name": "nobody", "domain": {"id": "default"}}}) == 401
    assert only(ear.hear())["reason"]["reasonCode"] == "404"


def test_somebody_from_elsewhere(place: Federated) -> None:
    place.open("openid", OpenIdConnect(issuer=ISSUER, client_id="cloud"), RULES, ISSUER)
    cloud = place.cloud
    provider = identity_providers.get(cloud.db, "company")
    protocol = protocols.get(cloud.db, "company", "openid")
    ear = listening(cloud)
    proven = mapped_login.enter(cloud, provider, protocol, assertions.of_claims({"iss": ISSUER, "sub": "zoe"}))
    told = [event for event in ear.hear() if event.topic == "identity.authenticate"]
    credential = {
        "type": "http://docs.oasis-open.org/security/saml/v2.0",
        "token": "u xxxxxxxx n",
        "identity_provider": "company",
        "user": proven.user.id,
        "groups": [],
    }
    assert [(event.payload["outcome"], event.payload["initiator"]["credential"]) for event in told] == [
        ("success", credential)
    ]
    with pytest.raises(Exception, match="authoriz"):
        mapped_login.enter(cloud, provider, protocol, assertions.of_claims({"iss": "https://other"}))
    (event,) = ear.hear()
    assert event.payload["outcome"] == "failure"
    assert event.payload["initiator"]["credential"] == {**credential, "user": "unknown"}


def test_what_nobody_wants_to_know_is_not_written(place: Federated, eve: dict[str, Any]) -> None:
    usual = ("identity.authenticate.success", "identity.authenticate.pending")
    assert usual == type(place.cloud.settings.identity)().notification_opt_out
    for opt_out, told in ((usual, 1), ((*usual, "identity.authenticate.failure"), 0)):
        ear = listening(place.cloud, notification_opt_out=opt_out)
        log_in(place, user={"id": eve["id"], "password": PASSWORD})
        log_in(place, user={"id": eve["id"], "password": "wrong"})
        assert len(ear.hear()) == told
    ear = listening(place.cloud, notification_opt_out=("identity.group.created",))
    place.make("/groups", {"group": {"name": "g"}}, "POST")
    assert ear.hear() == []


def test_a_flood_is_held_off(
    place: Federated, eve: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    second = [100.0]
    monkeypatch.setattr(login_news.time, "monotonic", lambda: second[0])
    monkeypatch.setattr(login_news, "MOST", 3)
    ear = listening(place.cloud)
    for _ in range(5):
        log_in(place, user={"id": eve["id"], "password": "wrong"})
    assert len(ear.hear()) == 3
    second[0] += 1
    with caplog.at_level(logging.WARNING):
        log_in(place, user={"id": eve["id"], "password": "wrong"})
    assert len(ear.hear()) == 1
    assert "2 refused log-ins were not told of" in caplog.text


def test_half_a_word_is_no_trouble(place: Federated) -> None:
    listening(place.cloud)
    for words in ({}, {"id": "a"}, {"name": "a"}, {"user": {}}, {"user": {"domain": {}}}):
        for method in sorted(login_news.METHODS):
            body = {"auth": {"identity": {"methods": [method], method: words}, "scope": "unscoped"}}
            assert place.ask("POST", "/identity/v3/auth/tokens", json=body).status_code in (400, 401)
