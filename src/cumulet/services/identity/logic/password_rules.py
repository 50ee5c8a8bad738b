# SPDX-License-Identifier: Apache-2.0
"""What a new password has to be like, how long it lasts, and how it takes the place of the one before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError, Forbidden, Invalid
from cumulet.services.identity.logic import passwords
from cumulet.services.identity.store import passwords as store
from cumulet.services.identity.store import users
from cumulet.services.identity.types import FormerPassword, Password, User


def hash_new(cloud: Cloud, secret: Any) -> str | None:
    """The hash of a new password that the rules allow; None for none."""
    check(cloud, secret)
    if secret is None:
        return None
    if len(secret) > passwords.LONGEST:
        raise Forbidden(
            f"The password length must be less than or equal to {passwords.LONGEST}. The server could not comply with "
            "the request because the password is invalid."
        )
    return passwords.make_hash(secret, cloud.settings.identity)


def check(cloud: Cloud, secret: Any) -> None:
    """Invalid unless the password matches the operator's expression."""
    rules = cloud.settings.security_compliance
    if not rules.password_regex:
        return
    if not isinstance(secret, str):
        raise _invalid("Password must be a string type")
    if not re.match(rules.password_regex, secret):
        raise Invalid(f"The password does not match the requirements: {rules.password_regex_description}.")


def check_change(cloud: Cloud, user: User, kept: Password, secret: str) -> None:
    """Invalid where a user may not choose this password for themselves now."""
    rules = cloud.settings.security_compliance
    check(cloud, secret)
    if user.options.get("lock_password"):
        raise Invalid(
            "You cannot change your password at this time due to password policy disallowing password changes. "
            "Please contact your administrator to reset your password."
        )
    if kept.self_service:
        _check_age(kept, rules.minimum_password_age)
    _check_history(cloud, kept, secret)


def replace(tx: Tx, cloud: Cloud, user_id: str, hashed: str, options: Mapping[str, Any], *, self_service: bool) -> None:
    """Make this the user's password; the one before is remembered as long as the rules look at it."""
    now = clock.utcnow()
    old = users.password_of(tx, user_id)
    if old is not None:
        keep = cloud.settings.security_compliance.unique_last_password_count
        store.add_former(tx, FormerPassword(ids.new_hex(), user_id, old.hash, old.created_at), keep)
    ends = _end(cloud, options, now, self_service=self_service)
    users.set_password(tx, Password(user_id, hashed, now, ends, self_service))


def _end(cloud: Cloud, options: Mapping[str, Any], now: datetime, *, self_service: bool) -> datetime | None:
    rules = cloud.settings.security_compliance
    first_use = rules.change_password_upon_first_use and not self_service
    if first_use and not options.get("ignore_change_password_upon_first_use"):
        return now
    if rules.password_expires_days is None or options.get("ignore_password_expiry"):
        return None
    return (now + timedelta(days=rules.password_expires_days)).replace(microsecond=0)


def _check_age(kept: Password, days: int) -> None:
    left = kept.created_at + timedelta(days=days) - clock.utcnow()
    if left > timedelta(0):
        raise Invalid(
            "You cannot change your password at this time due to the minimum password age. Once you change your "
            f"password, it must be used for {days} day(s) before it can be changed. Please try again in {left.days} "
            "day(s) or contact your administrator to reset your password."
        )


def _check_history(cloud: Cloud, kept: Password, secret: str) -> None:
    count = cloud.settings.security_compliance.unique_last_password_count
    if not count:
        return
    before = [one.hash for one in store.former(cloud.db, kept.user_id, count - 1)]
    if any(passwords.matches(secret, hashed) for hashed in (kept.hash, *before)):
        raise Invalid(
            "The new password cannot be identical to a previous password. The total number which includes the new "
            f"password must be unique is {count}."
        )


def _invalid(detail: str) -> CumuletError:
    return Invalid(f"Password validation error: {detail}.")
