# SPDX-License-Identifier: Apache-2.0
"""Whether somebody may log in to an account: the password, failures before, idleness, and the password's end.

An unknown user, a locked account and a wrong password answer with the same words after the same time. That a password
has expired is told to those who know it, because only they can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import passwords
from cumulet.services.identity.logic.refusals import UNPROVEN, refused
from cumulet.services.identity.store import accounts as store
from cumulet.services.identity.store import passwords as password_store
from cumulet.services.identity.store import users
from cumulet.services.identity.types import Account, Password, User

NOBODY = ""  # the account on which failures of unknown users are counted


class Locked(Unauthorized):
    """The account is locked: known to the audit alone, the caller is told what everybody is told."""


class Expired(Unauthorized):
    """The password was right and has ended; `user` may change it, and do nothing else with it."""

    def __init__(self, user: User) -> None:
        words = f"The password is expired and needs to be changed for user: {user.id}."
        super().__init__(words, code="PasswordExpired")
        self.user = user


def prove(cloud: Cloud, user: User | None, secret: Any) -> User:
    """The user, whose password `secret` is and who may log in; Unauthorized for all else."""
    kept = users.password_of(cloud.db, user.id) if user is not None else None
    acceptable = isinstance(secret, str) and len(secret) <= passwords.LONGEST
    locked = user is not None and _is_locked(cloud, user)
    if user is None or kept is None or not acceptable or locked:
        passwords.waste("", cloud.settings.identity)
        note_failure(cloud, None)
        raise Locked(UNPROVEN) if locked else refused()
    if not passwords.matches(secret, kept.hash):
        note_failure(cloud, user)
        raise refused()
    if not is_enabled(cloud, user):
        raise refused()
    if _has_expired(kept, user):
        raise Expired(user)
    note_success(cloud, user)
    _make_hash_current(cloud, kept, secret)
    return user


def is_enabled(cloud: Cloud, user: User) -> bool:
    """Whether the account is enabled, and was used lately where the rules ask for that."""
    return enabled(cloud, [user])[user.id]


def enabled(cloud: Cloud, several: Iterable[User]) -> Mapping[str, bool]:
    """The same for many users, by their ids."""
    listed = list(several)
    days = cloud.settings.security_compliance.disable_user_account_days_inactive
    if days is None:
        return {user.id: user.enabled for user in listed}
    known = store.find_these(cloud.db, (user.id for user in listed))
    return {user.id: user.enabled and not _is_idle(user, known.get(user.id), days) for user in listed}


def reset(tx: Tx, user_id: str) -> None:
    """Forget failures and begin the time of idleness anew: an administrator has enabled the account."""
    store.save(tx, Account(user_id, 0, None, clock.utcnow()))


def note_failure(cloud: Cloud, user: User | None) -> None:
    """Count a failed log-in; one of an unknown user costs the same."""
    rules = cloud.settings.security_compliance
    if rules.lockout_failure_attempts is None:
        return
    user_id = user.id if user is not None else NOBODY

    def write(tx: Tx) -> None:
        tx.lock(f"identity:account:{user_id}")
        before = store.find(tx, user_id)
        failures = 0 if _is_over(before, rules.lockout_duration) else before.failures
        store.save(tx, msgspec.structs.replace(before, failures=failures + 1, failed_at=clock.utcnow()))

    cloud.db.write(write)


def note_success(cloud: Cloud, user: User) -> None:
    """Forget the failures before, and note the use of the account where the rules look at it."""
    rules = cloud.settings.security_compliance
    if rules.lockout_failure_attempts is None and rules.disable_user_account_days_inactive is None:
        return
    before = store.find(cloud.db, user.id)
    now = clock.utcnow()
    noted = rules.disable_user_account_days_inactive is None or _same_day(before, now)
    if before.failures or not noted:
        cloud.db.write(lambda tx: store.save(tx, Account(user.id, 0, None, now)))


def _is_locked(cloud: Cloud, user: User) -> bool:
    rules = cloud.settings.security_compliance
    if rules.lockout_failure_attempts is None or user.options.get("ignore_lockout_failure_attempts"):
        return False
    account = store.find(cloud.db, user.id)
    return account.failures >= rules.lockout_failure_attempts and not _is_over(account, rules.lockout_duration)


def _is_over(account: Account, duration: int | None) -> bool:
    """Whether the last failure is so long ago that a lock has ended."""
    if account.failed_at is None or duration is None:
        return False
    return account.failed_at + timedelta(seconds=duration) <= clock.utcnow()


def _is_idle(user: User, account: Account | None, days: int) -> bool:
    if user.options.get("ignore_user_inactivity"):
        return False
    last = account.last_active_at if account is not None and account.last_active_at is not None else user.created_at
    return (clock.utcnow().date() - last.date()).days >= days


def _same_day(account: Account, now: Any) -> bool:
    return account.last_active_at is not None and account.last_active_at.date() == now.date()


def _has_expired(kept: Password, user: User) -> bool:
    if kept.expires_at is None or user.options.get("ignore_password_expiry"):
        return False
    return kept.expires_at <= clock.utcnow()


def _make_hash_current(cloud: Cloud, kept: Password, secret: str) -> None:
    """Replace a hash that was made in another way than the settings now say."""
    how = cloud.settings.identity
    if not passwords.is_current(kept.hash, how):
        again = passwords.make_hash(secret, how)
        cloud.db.write(lambda tx: password_store.replace_hash(tx, kept.user_id, kept.hash, again))
