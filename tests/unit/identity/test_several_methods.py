# SPDX-License-Identifier: Apache-2.0
"""Passcodes, users who need several methods, and receipts for the methods passed so far."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from people import WORD, by_password, log_in, user, with_secret

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, NotFound, Unauthorized
from cumulet.services.identity.logic import keys, receipts, tokens, totp, users
from cumulet.services.identity.logic.proofs import Carried
from cumulet.services.identity.types import User

SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _still() -> Iterator[None]:
    clock.set_source(lambda: NOW)
    yield
    clock.set_source()


def passcode(who: User, back: int = 0) -> dict[str, object]:
    code = totp.passcode(base64.b32decode(SECRET), NOW - totp.PERIOD * back)
    return {"user": {"id": who.id, "passcode": code}}


@pytest.fixture
def careful(cloud: Cloud) -> User:
    """Somebody who needs a password and a passcode."""
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    made = user(cloud, "careful", options=rules)
    with_secret(cloud, made, SECRET)
    return made


def receipt_for(cloud: Cloud, who: User) -> receipts.Insufficient:
    with pytest.raises(receipts.Insufficient) as met:
        log_in(cloud, password=by_password(who))
    return met.value


def with_receipt(text: str) -> Carried:
    return Carried(headers={receipts.HEADER: text})


@pytest.mark.parametrize(
    ("moment", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_passcodes_are_those_of_rfc_6238(moment: int, code: str) -> None:
    assert totp.passcode(b"12345678901234567890", moment) == code


def test_a_passcode_proves_somebody(cloud: Cloud) -> None:
    who = user(cloud, "plain")
    with_secret(cloud, who, SECRET.rstrip("="))
    assert log_in(cloud, totp=passcode(who))[1].token.methods == ("totp",)


def test_the_passcode_before_is_taken_and_none_older_or_yet_to_come(cloud: Cloud) -> None:
    who = user(cloud, "plain")
    with_secret(cloud, who, SECRET)
    log_in(cloud, totp=passcode(who, 1))
    for back in (2, -1):
        with pytest.raises(Unauthorized):
            log_in(cloud, totp=passcode(who, back))


@pytest.mark.parametrize(
    "said", [{}, {"passcode": None}, {"passcode": ""}, {"passcode": 287082}, {"passcode": "é" * 6}]
)
def test_other_words_are_no_passcode(cloud: Cloud, said: dict[str, object]) -> None:
    who = user(cloud, "plain")
    with_secret(cloud, who, SECRET)
    with_secret(cloud, who, "no base32 at all!")
    with pytest.raises(Unauthorized):
        log_in(cloud, totp={"user": {"id": who.id, **said}})


def test_nobody_learns_who_has_a_secret(cloud: Cloud) -> None:
    who = user(cloud, "plain")
    answers = set()
    for name in (who.id, "nobody"):
        with pytest.raises(CumuletError) as met:
            log_in(cloud, totp={"user": {"id": name, "passcode": "000000"}})
        answers.add((met.value.status, met.value.message))
    assert len(answers) == 1


def test_a_disabled_user_has_no_use_of_a_passcode(cloud: Cloud) -> None:
    who = user(cloud, "plain", enabled=False)
    with_secret(cloud, who, SECRET)
    with pytest.raises(Unauthorized):
        log_in(cloud, totp=passcode(who))


def test_both_methods_at_once(cloud: Cloud, careful: User) -> None:
    _, bearer = log_in(cloud, password=by_password(careful), totp=passcode(careful))
    assert bearer.token.methods == ("password", "totp")


def test_one_method_gives_a_receipt_and_the_other_the_token(cloud: Cloud, careful: User) -> None:
    insufficient = receipt_for(cloud, careful)
    assert (insufficient.methods, insufficient.required) == (("password",), [["password", "totp"]])
    _, bearer = log_in(cloud, carried=with_receipt(insufficient.text), totp=passcode(careful))
    assert bearer.token.methods == ("password", "totp")


def test_a_token_of_both_methods_is_exchanged(cloud: Cloud, careful: User) -> None:
    text, _ = log_in(cloud, password=by_password(careful), totp=passcode(careful))
    assert log_in(cloud, token={"id": text})[1].token.methods == ("password", "token", "totp")


def test_a_wrong_word_gives_no_receipt(cloud: Cloud, careful: User) -> None:
    with pytest.raises(Unauthorized) as met:
        log_in(cloud, password=by_password(careful, "wrong"))
    assert not isinstance(met.value, receipts.Insufficient)


def test_a_receipt_is_its_users_alone(cloud: Cloud, careful: User) -> None:
    other = user(cloud, "other", options={"multi_factor_auth_rules": [["password", "totp"]]})
    with_secret(cloud, other, SECRET)
    text = receipt_for(cloud, careful).text
    with pytest.raises(Unauthorized, match="Could not find auth receipt"):
        log_in(cloud, carried=with_receipt(text), totp=passcode(other))


def test_a_receipt_ends(cloud: Cloud, careful: User) -> None:
    text = receipt_for(cloud, careful).text
    later = NOW + cloud.settings.identity.receipt_lifetime
    code = totp.passcode(base64.b32decode(SECRET), later)
    clock.set_source(lambda: later)
    with pytest.raises(Unauthorized, match="Could not find auth receipt"):
        log_in(cloud, carried=with_receipt(text), totp={"user": {"id": careful.id, "passcode": code}})


def test_a_new_password_voids_receipts_for_the_old_one(cloud: Cloud, careful: User) -> None:
    text = receipt_for(cloud, careful).text
    users.update(cloud, careful.id, {"password": "another word"})
    with pytest.raises(Unauthorized, match="Could not find auth receipt"):
        log_in(cloud, carried=with_receipt(text), totp=passcode(careful))


@pytest.mark.parametrize(
    "change", [lambda text: text[:-2], lambda text: "", lambda text: text[:40] + "AAAA" + text[44:]]
)
def test_a_changed_receipt_is_none(cloud: Cloud, careful: User, change: object) -> None:
    text = change(receipt_for(cloud, careful).text)  # type: ignore[operator]
    with pytest.raises(Unauthorized):
        log_in(cloud, carried=with_receipt(text), totp=passcode(careful))


def test_a_receipt_is_no_token_and_a_token_no_receipt(cloud: Cloud, careful: User) -> None:
    text = receipt_for(cloud, careful).text
    with pytest.raises(NotFound):
        tokens.validate(cloud, text)
    token, _ = log_in(cloud, password=by_password(careful), totp=passcode(careful))
    with pytest.raises(Unauthorized, match="Could not find auth receipt"):
        log_in(cloud, carried=with_receipt(token), totp=passcode(careful))


def test_a_receipt_outlives_a_rotation(cloud: Cloud, careful: User) -> None:
    text = receipt_for(cloud, careful).text
    for _ in range(4):
        keys.rotate(cloud.vault, keys.RECEIPTS, life=cloud.settings.identity.receipt_lifetime)
    log_in(cloud, carried=with_receipt(text), totp=passcode(careful))


@pytest.mark.parametrize(
    "options",
    [
        {"multi_factor_auth_enabled": False, "multi_factor_auth_rules": [["password", "totp"]]},
        {"multi_factor_auth_rules": [["password", "totp"], ["password"]]},
        {"multi_factor_auth_rules": [["password", "magic"]]},
        {"multi_factor_auth_rules": [["magic"]]},
        {"multi_factor_auth_rules": []},
        {},
    ],
)
def test_rules_that_a_password_meets(cloud: Cloud, options: dict[str, object]) -> None:
    log_in(cloud, password=by_password(user(cloud, "eve", options=options), WORD))
