# SPDX-License-Identifier: Apache-2.0
"""Access control lists and who may do what by a token: the answers are those that Swift 2.38 gives."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Forbidden, Invalid, Unauthorized
from cumulet.services.object_store.logic import access, acls
from cumulet.services.object_store.logic.access import Caller, Deed, Roles, Rules
from cumulet.services.object_store.logic.acls import AccountAcl, Acl

RULES = Rules(
    prefixes={
        "AUTH_": Roles(operator=("admin",), reader=("reader",)),
        "SERVICE_": Roles(operator=("admin",), reader=(), service=("service",)),
    },
    system_readers=("auditor",),
)
SUE = Caller(
    user_id="u1", user_name="sue", project_id="p1", project_name="shop", user_domain="default", project_domain="default"
)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("bob, sue", "bob,sue"),
        ("bob ,,,  sue", "bob,sue"),
        ("p1:u1, *:u2", "p1:u1,*:u2"),
        (".referrer : *", ".r:*"),
        (".ref:*.example.com", ".r:.example.com"),
        (".r: - thief.example.com", ".r:-thief.example.com"),
        (".r:*,.rlistings", ".r:*,.rlistings"),
        ("", ""),
    ],
)
def test_lists_are_cleaned(text: str, cleaned: str) -> None:
    assert acls.clean("read", text) == cleaned
    assert acls.clean("read", cleaned) == cleaned


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("read", ".r:", "No host/domain value after referrer designation in ACL: '.r:'"),
        ("read", ".r:-*.", "No host/domain value after referrer designation in ACL: '.r:-*.'"),
        ("read", ".x:a", "Unknown designator '.x' in ACL: '.x:a'"),
        ("write", ".r:*", "Referrers not allowed in write ACL: '.r:*'"),
    ],
)
def test_lists_that_are_none(kind: Any, text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        acls.clean(kind, text)
    assert caught.value.message == words


def test_parts_of_a_list() -> None:
    assert acls.parse(".r:*,.r:-a,p%20q:u,.rlistings") == Acl(("*", "-a"), ("p q:u", ".rlistings"))
    assert acls.parse("") == Acl()


@pytest.mark.parametrize(
    ("referrer", "hosts", "is_in"),
    [
        ("", ["*"], True),
        ("", [".example.com"], False),
        ("http://www.example.com/x", [".example.com"], True),
        ("http://www.example.com/x", [".example.com", "-www.example.com"], False),
        ("http://www.example.com/x", ["-www.example.com", ".example.com"], True),
        ("http://EXAMPLE.com:80", ["example.com"], True),
        ("http://[::1", ["*"], True),
        ("http://a", ["*", "-*"], True),
        ("http://a", [], False),
    ],
)
def test_the_last_word_on_a_host_counts(referrer: str, hosts: list[str], is_in: bool) -> None:
    assert acls.admits(referrer, hosts) is is_in


def test_lists_of_accounts() -> None:
    found = acls.parse_account('{"admin":["bob"],"read-only":["sue","\\u00e9"]}')
    assert found == AccountAcl(("bob",), (), ("sue", "é"))
    assert acls.written(found) == '{"admin":["bob"],"read-only":["sue","\\u00e9"]}'
    assert acls.parse_account("") == acls.parse_account("{}") == AccountAcl()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bob", "Syntax error in input ('bob')"),
        ("[]", "Syntax error in input ('[]')"),
        ('{"owner":[]}', 'Key "owner" not recognized'),
        ('{"admin":"bob"}', 'Value for key "admin" must be a list'),
        ('{"read-only":[1]}', 'Elements of "read-only" list must be strings'),
    ],
)
def test_lists_of_accounts_that_are_none(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        acls.parse_account(text)
    assert caught.value.message == f"X-Account-Access-Control invalid: {why}\n\nInput: {text}\n"


def outcome(deed: Deed, caller: Caller | None = SUE, domain: str | None = "default") -> str:
    try:
        return "owner" if access.judge(RULES, caller, deed, lambda: domain) else "allowed"
    except Forbidden:
        return "forbidden"
    except Unauthorized:
        return "who?"


@pytest.mark.parametrize(
    ("roles", "service_roles", "method", "account", "wanted"),
    [
        ("admin", "", "PUT", "AUTH_p1", "owner"),
        ("admin", "", "PUT", "AUTH_p2", "forbidden"),
        ("reader", "", "GET", "AUTH_p1", "allowed"),
        ("reader", "", "PUT", "AUTH_p1", "forbidden"),
        ("member", "", "GET", "AUTH_p1", "forbidden"),
        ("auditor", "", "HEAD", "AUTH_p2", "allowed"),
        ("auditor", "", "PUT", "AUTH_p2", "forbidden"),
        ("reselleradmin", "", "DELETE", "AUTH_p2", "owner"),
        ("admin", "", "GET", "SERVICE_p1", "forbidden"),
        ("admin", "service", "GET", "SERVICE_p1", "owner"),
        ("reader", "service", "GET", "SERVICE_p1", "forbidden"),
        ("admin", "", "GET", "OTHER_p1", "forbidden"),
        ("", "", "OPTIONS", "AUTH_p2", "allowed"),
    ],
)
def test_roles(roles: str, service_roles: str, method: str, account: str, wanted: str) -> None:
    caller = msgspec.structs.replace(SUE, roles=frozenset([roles]), service_roles=frozenset([service_roles]))
    assert outcome(Deed(method=method, account=account, container="c"), caller) == wanted


def test_nobody_removes_the_own_account() -> None:
    admin = msgspec.structs.replace(SUE, roles=frozenset(["admin"]))
    assert outcome(Deed(method="DELETE", account="AUTH_p1"), admin) == "forbidden"


@pytest.mark.parametrize(
    ("acl", "referrer", "wanted", "anonymous"),
    [
        ("p1:u1", "", "allowed", "who?"),
        ("*:u1", "", "allowed", "who?"),
        ("p1:*", "", "allowed", "who?"),
        ("shop:sue", "", "allowed", "who?"),
        ("p2:u1", "", "forbidden", "who?"),
        ("p1", "", "forbidden", "who?"),
        (".r:*", "", "allowed", "allowed"),
        (".r:.example.com", "http://www.example.com", "allowed", "allowed"),
        (".r:.example.com", "http://other", "forbidden", "who?"),
    ],
)
def test_lists_let_others_in(acl: str, referrer: str, wanted: str, anonymous: str) -> None:
    deed = Deed(method="GET", account="AUTH_p2", container="c", object="o", acl=acls.parse(acl), referrer=referrer)
    assert (outcome(deed), outcome(deed, None)) == (wanted, anonymous)


def test_referrers_list_only_where_that_is_said() -> None:
    for acl, wanted in ((".r:*", "who?"), (".r:*,.rlistings", "allowed")):
        deed = Deed(method="GET", account="AUTH_p2", container="c", acl=acls.parse(acl))
        assert outcome(deed, None) == wanted


def test_names_count_in_the_default_domain_alone() -> None:
    deed = Deed(method="GET", account="AUTH_p2", container="c", object="o", acl=acls.parse("shop:sue"))
    assert [outcome(deed, domain=each) for each in ("default", "", "elsewhere", access.UNKNOWN, None)] == [
        "allowed", "allowed", "forbidden", "forbidden", "forbidden"
    ]  # fmt: skip
    assert outcome(deed, msgspec.structs.replace(SUE, user_domain="elsewhere")) == "forbidden"


def test_roles_in_lists_count_in_the_own_account() -> None:
    member = msgspec.structs.replace(SUE, roles=frozenset(["member"]))
    for account, wanted in (("AUTH_p1", "allowed"), ("AUTH_p2", "forbidden")):
        assert outcome(Deed(method="PUT", account=account, container="c", acl=acls.parse("Member")), member) == wanted


@given(st.lists(st.sampled_from([".r:", ".ref", "*", "-", ".", "a", ":", " ", ",", "%41", "é"])).map("".join))
def test_any_words_are_a_list_or_none(text: str) -> None:
    with suppress(Invalid):
        cleaned = acls.clean("read", text)
        assert len(cleaned) <= len(text)
        acls.parse(cleaned)


def test_who_is_in_no_project_owns_no_account() -> None:
    nobody = Caller(user_id="u", user_name="u", project_id="", project_name="", roles=frozenset(("admin", "member")))
    with pytest.raises(Forbidden):
        access.judge(Rules(), nobody, Deed(method="GET", account="AUTH_"), lambda: None)
