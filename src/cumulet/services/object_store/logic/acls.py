# SPDX-License-Identifier: Apache-2.0
"""Access control lists of containers (lists of words) and of accounts (JSON), in Swift's notation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from cumulet.kernel.errors import Invalid

LISTINGS = ".rlistings"  # who may read by its referrer may list too

_ACCOUNT_KEYS = ("admin", "read-write", "read-only")
_REFERRERS = (".r", ".ref", ".referer", ".referrer")


class Acl(msgspec.Struct, frozen=True):
    """`referrers` are hosts, in the order in which they count; `groups` are roles and `project:user` pairs."""

    referrers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def clean(kind: Literal["read", "write"], text: str) -> str:
    """The list as it is kept. Invalid for one that is none."""
    return ",".join(_cleaned(kind, each.strip()) for each in text.split(",") if each.strip())


def parse(text: str) -> Acl:
    """A list that was cleaned."""
    words = text.split(",") if text else []
    referrers = tuple(each.removeprefix(".r:") for each in words if each.startswith(".r:"))
    return Acl(referrers, tuple(unquote(each) for each in words if not each.startswith(".r:")))


def admits(referrer: str, hosts: Sequence[str]) -> bool:
    """Whether who comes from there is let in: the last word on its host counts."""
    try:
        host = urlsplit(referrer).hostname or "unknown"
    except ValueError:
        host = "unknown"
    found = False
    for each in hosts:
        wanted = each.removeprefix("-")
        if wanted == host or (wanted.startswith(".") and host.endswith(wanted)) or each == "*":
            found = not each.startswith("-")
    return found


class AccountAcl(msgspec.Struct, frozen=True):
    """Who may do what with an account, by the names of users or groups of the authorization at hand."""

    admin: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()


def parse_account(text: str) -> AccountAcl:
    """Empty for what says nothing. Invalid for what is no such list."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _no_account_acl(f"Syntax error in input ({text!r})", text)
    for key in found:
        if key not in _ACCOUNT_KEYS:
            raise _no_account_acl(f"Key {json.dumps(key)} not recognized", text)
    return AccountAcl(*(tuple(_members(found, key, text)) for key in _ACCOUNT_KEYS))


def written(acl: AccountAcl) -> str:
    """As it is kept: ASCII, no spaces, sorted."""
    words = zip(_ACCOUNT_KEYS, (acl.admin, acl.read_write, acl.read_only), strict=True)
    return json.dumps({key: value for key, value in words if value}, separators=(",", ":"), sort_keys=True)


def _cleaned(kind: str, word: str) -> str:
    designator, colon, value = (part.strip() for part in word.partition(":"))
    if not colon or not designator.startswith("."):
        return word
    if designator not in _REFERRERS:
        raise Invalid(f"Unknown designator {designator!r} in ACL: {word!r}")
    if kind == "write":
        raise Invalid(f"Referrers not allowed in write ACL: {word!r}")
    sign, host = ("-", value[1:].strip()) if value.startswith("-") else ("", value)
    if host != "*" and host.startswith("*"):
        host = host[1:].strip()
    if host in ("", "."):
        raise Invalid(f"No host/domain value after referrer designation in ACL: {word!r}")
    return f".r:{sign}{host}"


def _members(found: dict[str, Any], key: str, text: str) -> Iterator[str]:
    members = found.get(key, [])
    if not isinstance(members, list):
        raise _no_account_acl(f"Value for key {json.dumps(key)} must be a list", text)
    for each in members:
        if not isinstance(each, str):
            raise _no_account_acl(f"Elements of {json.dumps(key)} list must be strings", text)
        yield each


def _no_account_acl(why: str, text: str) -> Invalid:
    return Invalid(f"X-Account-Access-Control invalid: {why}\n\nInput: {text}\n")
