# SPDX-License-Identifier: Apache-2.0
"""Who may do what by a token of the identity service, as Swift's `keystoneauth` judges it.

An account belongs to the project whose id stands behind its prefix. Members of other projects come in by lists of the
container alone: by `project:user` pairs, by roles where the account is their own, by their referrer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from cumulet.kernel.allowance import Allowance, allows
from cumulet.kernel.errors import Forbidden, Unauthorized
from cumulet.services.object_store.logic import acls
from cumulet.services.object_store.logic.acls import Acl

READS = ("GET", "HEAD")
SERVICE_TYPE = "object-store"
UNKNOWN = "_unknown"  # the domain of an account that somebody of another project made


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """What roles may do with accounts of one prefix; names in lower case.

    Where there are `service` roles an operator needs the token of such a service as well.
    """

    operator: tuple[str, ...] = ("admin", "swiftoperator", "member")
    reader: tuple[str, ...] = ("reader",)
    service: tuple[str, ...] = ()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`prefixes` of accounts, with the roles that count there."""

    prefixes: Mapping[str, Roles] = MappingProxyType({"AUTH_": Roles()})
    reseller_admin: str = "reselleradmin"
    system_readers: tuple[str, ...] = ()
    default_domain: str = "default"
    names_in_acls: bool = True

    def prefix_of(self, account: str) -> str | None:
        """The longest that fits, so that an empty one takes what no other does."""
        return max((each for each in self.prefixes if account.startswith(each)), key=len, default=None)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for. Roles are in lower case. `allowances` are the only requests it is for, None for all."""

    user_id: str
    user_name: str
    project_id: str
    project_name: str
    user_domain: str = ""
    project_domain: str = ""
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    allowances: tuple[Allowance, ...] | None = None

    def may_ask(self, method: str, path: str) -> bool:
        """Whether the token is good for this request at all; a path is as the client wrote it, unquoted."""
        return self.allowances is None or allows(self.allowances, (SERVICE_TYPE,), method, (path,))


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. `acl` is that of the container for this method, `referrer` a header."""

    method: str
    account: str
    container: str = ""
    object: str = ""
    acl: Acl = Acl()
    referrer: str = ""


def judge(rules: Rules, caller: Caller | None, deed: Deed, domain: Callable[[], str | None]) -> bool:
    """Whether the caller owns the account, and so sees what is its owner's alone.

    Forbidden, or Unauthorized without a caller, for what is not allowed. `domain` finds the domain that the account's
    project is known to be in: "" where none was noted, None where there is no such account.
    """
    if deed.method == "OPTIONS":
        return False
    if caller is None:
        if rules.prefix_of(deed.account) is None or not _admitted(deed):
            raise Unauthorized("This server could not verify that you are authorized to access the document requested.")
        return False
    owns = _judge(rules, caller, deed, domain)
    if owns is None:
        raise Forbidden("Access was denied to this resource.")
    return owns


def _judge(rules: Rules, caller: Caller, deed: Deed, domain: Callable[[], str | None]) -> bool | None:
    """None for what is not allowed."""
    if rules.reseller_admin in caller.roles:
        return True
    if deed.method in READS and not caller.roles.isdisjoint(rules.system_readers):
        return False
    if deed.method == "DELETE" and not deed.container:
        return None
    if _is_listed(rules, caller, deed, domain):
        return False
    admitted = _admitted(deed)
    if admitted:
        return False
    return _of_its_own(rules, caller, deed, admitted)


def _of_its_own(rules: Rules, caller: Caller, deed: Deed, admitted: bool | None) -> bool | None:
    """By the caller's roles in the project whose account this is."""
    if not _is_own(rules, caller, deed.account):
        return None
    roles = rules.prefixes[rules.prefix_of(deed.account) or ""]
    if not caller.roles.isdisjoint(roles.operator) and (
        not roles.service or not caller.service_roles.isdisjoint(roles.service)
    ):
        return True
    if deed.method in READS and not caller.roles.isdisjoint(roles.reader):
        return False
    if admitted is None and any(each.lower() in caller.roles for each in deed.acl.groups):
        return False
    return None


def _is_own(rules: Rules, caller: Caller, account: str) -> bool:
    return bool(caller.project_id) and any(account == f"{prefix}{caller.project_id}" for prefix in rules.prefixes)


def _is_listed(rules: Rules, caller: Caller, deed: Deed, domain: Callable[[], str | None]) -> bool:
    if not deed.acl.groups:
        return False
    projects, users = {caller.project_id, "*"}, {caller.user_id, "*"}
    if _names_count(rules, caller, deed, domain):
        projects.add(caller.project_name)
        users.add(caller.user_name)
    return any(f"{project}:{user}" in deed.acl.groups for project in projects for user in users)


def _names_count(rules: Rules, caller: Caller, deed: Deed, domain: Callable[[], str | None]) -> bool:
    """Names are unique in a domain only: they count where all that are concerned are in the default one."""
    if not rules.names_in_acls:
        return False
    if {caller.user_domain, caller.project_domain} - {"", rules.default_domain}:
        return False
    return _is_own(rules, caller, deed.account) or domain() in ("", rules.default_domain)


def _admitted(deed: Deed) -> bool | None:
    """By the referrer: None where that says nothing, False for a listing that is not for it."""
    if not acls.admits(deed.referrer, deed.acl.referrers):
        return None
    return bool(deed.object) or acls.LISTINGS in deed.acl.groups
