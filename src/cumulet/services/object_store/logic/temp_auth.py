# SPDX-License-Identifier: Apache-2.0
"""Who may do what by a token of Swift's TempAuth: users of the settings, their groups, lists of accounts.

A user's groups are the account's name, `ACCOUNT:USER`, those of the settings and, instead of `.admin`, the accounts
that the user has all rights in, by all of their prefixes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from cumulet.kernel.errors import Forbidden, Invalid, Unauthorized
from cumulet.services.object_store.logic import acls
from cumulet.services.object_store.logic.access import READS, Deed
from cumulet.services.object_store.logic.acls import AccountAcl

ADMIN, RESELLER_ADMIN, RESELLER_READER = ".admin", ".reseller_admin", ".reseller_reader"
ANONYMOUS = ("",)  # the groups of somebody without a token, as lists of accounts may name them


class TempRules(msgspec.Struct, frozen=True, kw_only=True):
    """Prefixes of accounts (with their `_`), the first that of tokens too; and the groups that some need besides."""

    prefixes: tuple[str, ...] = ("AUTH_",)
    required: Mapping[str, str] = MappingProxyType({})

    def prefix_of(self, account: str) -> str | None:
        """The first that fits; an empty one takes what no other does."""
        return next((each for each in self.prefixes if each and account.startswith(each)), self._empty)

    @property
    def _empty(self) -> str | None:
        return "" if "" in self.prefixes else None


class TempUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the settings. `url` may hold `$HOST`; its last part is the account's name."""

    account: str
    user: str
    key: str
    groups: tuple[str, ...]
    url: str

    @property
    def name(self) -> str:
        return f"{self.account}:{self.user}"

    def __repr__(self) -> str:
        return f"TempUser({self.name!r}, {self.groups!r})"


def users(lines: Iterable[str], rules: TempRules) -> dict[str, TempUser]:
    """The users of lines `user_ACCOUNT_USER = KEY [GROUP ...] [STORAGE_URL]`, by their names. Invalid for others."""
    found = [_user(line, rules) for line in lines]
    return {each.name: each for each in found}


def groups_of(user: TempUser, rules: TempRules) -> tuple[str, ...]:
    """The groups of a user, the account's and the user's own names first."""
    groups = [user.account, user.name, *user.groups]
    if ADMIN in groups:
        groups.remove(ADMIN)
        groups += [f"{prefix}{user.account}" for prefix in rules.prefixes if prefix]
        own = user.url.rsplit("/", 1)[-1]
        if own not in groups:
            groups.append(own)
    return tuple(groups)


def judge(rules: TempRules, groups: tuple[str, ...] | None, deed: Deed, account_acl: str = "") -> bool:
    """Whether the caller owns the account, and so sees what is its owner's alone.

    Forbidden, or Unauthorized without a caller (None), for what is not allowed. `account_acl` is the account's own
    list as it is kept; one that cannot be read lets nobody in.
    """
    owns = _judge(rules, groups or ANONYMOUS, deed, account_acl)
    if owns is None:
        if groups:
            raise Forbidden("")
        raise Unauthorized("")
    return owns


def _judge(rules: TempRules, groups: tuple[str, ...], deed: Deed, account_acl: str) -> bool | None:
    """None for what is not allowed."""
    prefix = rules.prefix_of(deed.account)
    if prefix is None:
        return None
    owns = _by_position(rules, prefix, groups, deed)
    if owns is not None:
        return owns
    if deed.method == "OPTIONS" or _by_container(groups, deed):
        return False
    return _by_account(groups, deed, account_acl)


def _by_position(rules: TempRules, prefix: str, groups: tuple[str, ...], deed: Deed) -> bool | None:
    """What somebody is in the whole store, or in the account."""
    if deed.account not in rules.prefixes and deed.account[len(prefix) : len(prefix) + 1] != ".":
        if RESELLER_ADMIN in groups:
            return True
        if RESELLER_READER in groups and deed.method in READS:
            return False
    if deed.account in groups and (deed.container or deed.method not in ("DELETE", "PUT")):
        required = rules.required.get(prefix, "")
        if not required or required in groups:
            return True
    return None


def _by_container(groups: tuple[str, ...], deed: Deed) -> bool:
    listed = deed.acl.groups
    if acls.admits(deed.referrer, deed.acl.referrers) and (deed.object or acls.LISTINGS in listed):
        return True
    return any(group in listed for group in groups)


def _by_account(groups: tuple[str, ...], deed: Deed, account_acl: str) -> bool | None:
    try:
        acl = acls.parse_account(account_acl)
    except Invalid:
        acl = AccountAcl()
    if not set(groups).isdisjoint(acl.admin):
        return True
    reads = deed.method in READS
    if (deed.container or reads) and not set(groups).isdisjoint(acl.read_write):
        return False
    if reads and not set(groups).isdisjoint(acl.read_only):
        return False
    return None


def _user(line: str, rules: TempRules) -> TempUser:
    title, _, said = (part.strip() for part in line.partition("="))
    kind, _, names = title.partition("_")
    words = names.split("_")
    if kind not in ("user", "user64") or len(words) != 2:
        raise Invalid(f"{title!r} in object_store.temp_auth.users is not of the form user_ACCOUNT_USER.")
    if kind == "user64":
        words = [_decoded(each, title) for each in words]
    values = said.split()
    if not values:
        raise Invalid(f"{title} in object_store.temp_auth.users has no key.")
    key, *groups = values
    account, user = words
    url = f"$HOST/v1/{rules.prefixes[0]}{quote(account)}"
    if groups and ("://" in groups[-1] or "$HOST" in groups[-1]):
        url = groups.pop()
    return TempUser(account=account, user=user, key=key, groups=tuple(groups), url=url)


def _decoded(word: str, title: str) -> str:
    """Names in Base64 stand there without the signs that fill them up."""
    try:
        return base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Invalid(f"{title} in object_store.temp_auth.users is not in Base64.") from error
