# SPDX-License-Identifier: Apache-2.0
"""The rules of passwords and accounts, each alone, under a clock that the test sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import CumuletError, Invalid, Unauthorized
from cumulet.services.identity.logic import accounts, passwords, users
from cumulet.services.identity.store import users as store
from cumulet.services.identity.types import User
from cumulet.settings.identity import Identity, SecurityCompliance

CTX = Context(system_scope="all")
FIRST = "first password 1"
DAY = 86_400.0


class Time:
    def __init__(self) -> None:
        self.now = time.time()

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def moment() -> Iterator[Time]:
    held = Time()
    clock.set_source(lambda: held.now)
    yield held
    clock.set_source()


@pytest.fixture
def rules(cloud: Cloud) -> Callable[..., None]:
    def set_rules(**values: Any) -> None:
        cloud.settings = msgspec.structs.replace(cloud.settings, security_compliance=SecurityCompliance(**values))

    return set_rules


def made(cloud: Cloud, **words: Any) -> User:
    return users.create(cloud, CTX, {"name": "eve", "password": FIRST, **words})


def log_in(cloud: Cloud, user: User | None, secret: Any = FIRST) -> User:
    found = store.find(cloud.db, user.id) if user is not None else None
    return accounts.prove(cloud, found, secret)


def refusal(act: Callable[[], Any]) -> CumuletError:
    with pytest.raises(CumuletError) as caught:
        act()
    return caught.value


def test_no_rule_is_in_force_by_default(cloud: Cloud, moment: Time) -> None:
    user = made(cloud)
    for _ in range(9):
        refusal(lambda: log_in(cloud, user, "wrong"))
    moment.pass_by(4000 * DAY)
    assert log_in(cloud, user).id == user.id
    users.change_password(cloud, user.id, FIRST, FIRST)


def test_failures_lock_an_account_for_a_time(cloud: Cloud, rules: Callable[..., None], moment: Time) -> None:
    rules(lockout_failure_attempts=3, lockout_duration=60)
    user = made(cloud)
    for _ in range(3):
        refusal(lambda: log_in(cloud, user, "wrong"))
    locked = refusal(lambda: log_in(cloud, user))
    assert locked.message == refusal(lambda: log_in(cloud, None)).message
    moment.pass_by(59)
    refusal(lambda: log_in(cloud, user))
    moment.pass_by(2)
    refusal(lambda: log_in(cloud, user, "wrong"))
    log_in(cloud, user)


def test_enabling_takes_a_lock_away(cloud: Cloud, rules: Callable[..., None], moment: Time) -> None:
    rules(lockout_failure_attempts=1, lockout_duration=None)
    user = made(cloud)
    refusal(lambda: log_in(cloud, user, "wrong"))
    moment.pass_by(400 * DAY)
    refusal(lambda: log_in(cloud, user))
    users.update(cloud, user.id, {"enabled": True})
    log_in(cloud, user)


def test_a_success_forgets_the_failures(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(lockout_failure_attempts=2)
    user = made(cloud)
    for _ in range(3):
        refusal(lambda: log_in(cloud, user, "wrong"))
        users.update(cloud, user.id, {"enabled": True})
        log_in(cloud, user)


def test_whom_failures_do_not_lock(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(lockout_failure_attempts=1)
    user = made(cloud, options={"ignore_lockout_failure_attempts": True})
    refusal(lambda: log_in(cloud, user, "wrong"))
    log_in(cloud, user)


def test_changing_a_password_counts_failures_too(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(lockout_failure_attempts=1)
    user = made(cloud)
    refusal(lambda: users.change_password(cloud, user.id, "wrong", "second"))
    assert isinstance(refusal(lambda: users.change_password(cloud, user.id, FIRST, "second")), Unauthorized)


def test_a_password_ends(cloud: Cloud, rules: Callable[..., None], moment: Time) -> None:
    rules(password_expires_days=10)
    user = made(cloud)
    exempt = users.create(cloud, CTX, {"name": "robot", "password": FIRST, "options": {"ignore_password_expiry": True}})
    log_in(cloud, user)
    moment.pass_by(11 * DAY)
    assert user.id in refusal(lambda: log_in(cloud, user)).message
    assert user.id not in refusal(lambda: log_in(cloud, user, "wrong")).message
    log_in(cloud, exempt)
    users.change_password(cloud, user.id, FIRST, "second")
    log_in(cloud, user, "second")


def test_a_password_is_changed_upon_first_use(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(change_password_upon_first_use=True)
    user = made(cloud)
    option = {"ignore_change_password_upon_first_use": True}
    exempt = users.create(cloud, CTX, {"name": "robot", "password": FIRST, "options": option})
    assert refusal(lambda: log_in(cloud, user)).code == "PasswordExpired"
    log_in(cloud, exempt)
    users.change_password(cloud, user.id, FIRST, "second")
    log_in(cloud, user, "second")
    users.update(cloud, user.id, {"password": "third"})
    assert refusal(lambda: log_in(cloud, user, "third")).code == "PasswordExpired"


def test_former_passwords_are_not_chosen_again(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(unique_last_password_count=3)
    user = made(cloud)
    users.change_password(cloud, user.id, FIRST, "second")
    users.change_password(cloud, user.id, "second", "third")
    for used in (FIRST, "second", "third"):
        assert isinstance(refusal(lambda used=used: users.change_password(cloud, user.id, "third", used)), Invalid)
    users.change_password(cloud, user.id, "third", "fourth")
    users.change_password(cloud, user.id, "fourth", FIRST)
    users.update(cloud, user.id, {"password": FIRST})


def test_a_password_of_ones_own_stays_a_while(cloud: Cloud, rules: Callable[..., None], moment: Time) -> None:
    rules(minimum_password_age=2)
    user = made(cloud)
    users.change_password(cloud, user.id, FIRST, "second")
    moment.pass_by(1)
    assert "1 day(s)" in refusal(lambda: users.change_password(cloud, user.id, "second", "third")).message
    users.update(cloud, user.id, {"password": "reset"})
    users.change_password(cloud, user.id, "reset", "third")
    moment.pass_by(2 * DAY + 1)
    users.change_password(cloud, user.id, "third", "fourth")


def test_a_password_matches_the_expression(cloud: Cloud, rules: Callable[..., None]) -> None:
    rules(password_regex=r"^(?=.*\d).{7,}$", password_regex_description="seven, and a digit")
    user = made(cloud)
    words = "The password does not match the requirements: seven, and a digit."
    assert refusal(lambda: made(cloud, name="adam", password="short")).message == words
    assert refusal(lambda: users.update(cloud, user.id, {"password": "digitless"})).message == words
    assert refusal(lambda: users.change_password(cloud, user.id, FIRST, "digitless")).message == words
    assert isinstance(refusal(lambda: made(cloud, name="adam", password=None)), Invalid)
    users.create(cloud, CTX, {"name": "without"})


def test_an_expression_is_one() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        SecurityCompliance(password_regex="(")


def test_an_idle_account_is_disabled(cloud: Cloud, rules: Callable[..., None], moment: Time) -> None:
    rules(disable_user_account_days_inactive=30)
    user = made(cloud)
    exempt = users.create(cloud, CTX, {"name": "robot", "password": FIRST, "options": {"ignore_user_inactivity": True}})
    moment.pass_by(20 * DAY)
    log_in(cloud, user)
    moment.pass_by(20 * DAY)
    log_in(cloud, user)
    moment.pass_by(31 * DAY)
    refusal(lambda: log_in(cloud, user))
    assert not accounts.is_enabled(cloud, user)
    log_in(cloud, exempt)
    users.update(cloud, user.id, {"enabled": True})
    log_in(cloud, user)


def test_a_locked_password_is_the_administrators(cloud: Cloud) -> None:
    user = made(cloud, options={"lock_password": True})
    assert isinstance(refusal(lambda: users.change_password(cloud, user.id, FIRST, "second")), Invalid)
    users.update(cloud, user.id, {"password": "second"})
    log_in(cloud, user, "second")


@pytest.mark.parametrize("algorithm", ["bcrypt", "scrypt", "pbkdf2_sha512"])
def test_a_hash_is_made_anew_at_the_next_log_in(cloud: Cloud, algorithm: str) -> None:
    user = made(cloud)
    how = Identity(password_hash_algorithm=algorithm, bcrypt_rounds=5, scrypt_rounds=4, pbkdf2_sha512_rounds=1000)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=how)
    before = store.password_of(cloud.db, user.id)
    refusal(lambda: log_in(cloud, user, "wrong"))
    assert store.password_of(cloud.db, user.id) == before
    log_in(cloud, user)
    after = store.password_of(cloud.db, user.id)
    assert before is not None
    assert after is not None
    assert passwords.is_current(after.hash, how)
    assert after == msgspec.structs.replace(before, hash=after.hash)
    log_in(cloud, user)
    refusal(lambda: log_in(cloud, user, "wrong"))
    assert store.password_of(cloud.db, user.id) == after


def test_every_refusal_costs_one_comparison(
    cloud: Cloud, rules: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(lockout_failure_attempts=2)
    user, disabled = made(cloud), users.create(cloud, CTX, {"name": "gone", "password": FIRST, "enabled": False})
    bare = users.create(cloud, CTX, {"name": "bare"})
    passwords.waste("", cloud.settings.identity)
    compared, written = [], []
    check, write = passwords._check, cloud.db.write
    monkeypatch.setattr(passwords, "_check", lambda *words: compared.append(1) or check(*words))
    monkeypatch.setattr(cloud.db, "write", lambda fn: written.append(1) or write(fn))
    for who in (user, user, user, None, bare):
        refusal(lambda who=who: log_in(cloud, who, "wrong"))
        assert (len(compared), len(written)) == (1, 1)
        compared.clear(), written.clear()
    assert refusal(lambda: log_in(cloud, disabled)).message == refusal(lambda: log_in(cloud, None)).message
