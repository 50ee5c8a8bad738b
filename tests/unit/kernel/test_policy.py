# SPDX-License-Identifier: Apache-2.0
"""Policy rules: the real oslo.policy is the oracle for every verdict; files are put in force whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_policy import _parser
from oslo_policy.policy import Rules

from cumulet.kernel.context import Context
from cumulet.kernel.policy import Policy, PolicyError

VALUES = st.one_of(st.none(), st.booleans(), st.sampled_from(["p1", "p2", "public", "admin", "True", "None", "", 1, 0]))
PATHS = (
    "project_id",
    "user_id",
    "visibility",
    "target.user.id",
    "target.user.domain_id",
    "enabled",
    "network:tenant_id",
)
KINDS = (
    "user_id", "project_id", "is_admin", "roles", "token.domain.id", "groups.id", "groups", "nothing", "user_id.deeper",
    "'public'", "None", "True", "1", '"p1"', "role", "rule",
)  # fmt: skip
MATCHES = (
    *(f"%({path})s" for path in PATHS),
    "p1",
    "admin",
    "ADMIN",
    "True",
    "None",
    "x-%(user_id)s-%%",
    "",
    "a",
    "b",
    "gone",
)

leaf = st.one_of(
    st.sampled_from(["@", "!"]), st.builds("{}:{}".format, st.sampled_from(KINDS), st.sampled_from(MATCHES))
)
rule_text = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds("not {}".format, inner),
        st.builds("({})".format, inner),
        st.builds("( {} )".format, inner),
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or", "AND", "Or"]), inner),
    ),
    max_leaves=8,
)
list_form = st.lists(st.one_of(leaf, st.lists(leaf, max_size=3)), max_size=3)
soup = st.lists(
    st.sampled_from(
        [
            "and",
            "or",
            "not",
            "(",
            ")",
            "((",
            "@",
            "!",
            "role:admin",
            "(role:x)",
            "'quoted'",
            "('q'",
            "word",
            "None:None",
        ]
    ),
    max_size=8,
).map(" ".join)
target = st.fixed_dictionaries({}, optional=dict.fromkeys(PATHS, VALUES))
credentials = st.fixed_dictionaries(
    {"roles": st.lists(st.sampled_from(["admin", "Member", "reader", "p1"]), max_size=3)},
    optional={
        "user_id": VALUES,
        "project_id": VALUES,
        "is_admin": st.booleans(),
        "token": st.fixed_dictionaries({}, optional={"domain": st.fixed_dictionaries({}, optional={"id": VALUES})}),
        "groups": st.lists(st.fixed_dictionaries({"id": VALUES}), max_size=2),
    },
)


class Refused(Exception):
    """The oracle could not understand a rule, or failed in a check."""


def oracle(rules: dict[str, Any], rule: str, target: dict[str, Any], credentials: dict[str, Any]) -> bool:
    failures = []
    log, _parser.LOG = _parser.LOG, SimpleNamespace(exception=lambda *words: failures.append(words))  # type: ignore[assignment]
    try:
        enforcer = SimpleNamespace(rules=Rules.from_dict(rules, "default"))
    finally:
        _parser.LOG = log
    if failures:
        raise Refused
    try:
        check = enforcer.rules[rule]
    except KeyError:
        return False
    return bool(check(target, credentials, enforcer, rule))


def agree(rules: dict[str, Any], rule: str, target: dict[str, Any], credentials: dict[str, Any]) -> None:
    try:
        policy = Policy(rules)
    except PolicyError:
        with pytest.raises((Refused, RecursionError)):
            oracle(rules, rule, target, credentials)
        return
    try:
        expected = oracle(rules, rule, target, credentials)
    except TypeError:  # a path that goes on below a text: the oracle fails, we deny at that check
        policy.allows(rule, target, credentials)
        return
    assert policy.allows(rule, target, credentials) is expected


@settings(max_examples=500, deadline=None)
@given(rule_text, target, credentials)
def test_verdict_of_a_rule_is_oslo_policys(rule, target, credentials):
    agree({"a": rule.replace("rule:a", "rule:b"), "b": "role:admin"}, "a", target, credentials)


@settings(max_examples=200, deadline=None)
@given(list_form, target, credentials)
def test_verdict_of_the_list_form_is_oslo_policys(rule, target, credentials):
    rules = json.loads(json.dumps({"a": rule}).replace("rule:a", "rule:b"))
    agree({**rules, "b": "role:admin"}, "a", target, credentials)


@settings(max_examples=500, deadline=None)
@given(soup)
def test_text_is_refused_exactly_where_oslo_policy_does_not_understand_it(rule):
    agree({"a": rule}, "a", {}, {"roles": ["admin"]})


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:%()s'\" !@\n.{[1", max_size=12), target)
def test_any_text_compiles_or_is_refused(rule, target):
    try:
        policy = Policy({"x": rule})
    except PolicyError:
        return
    assert policy.allows("x", target, {"roles": [], "a": "b"}) in (True, False)


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.one_of(st.sampled_from(["@", "!"]), rule_text), max_size=3),
    st.one_of(st.none(), rule_text),
    target,
    credentials,
)
def test_references_and_the_default_rule_resolve_as_in_oslo_policy(rules, default, target, credentials):
    whole = {**rules, **({} if default is None else {"default": default})}
    try:
        policy = Policy(whole)
    except PolicyError as error:
        if "circle" not in str(error):
            raise
        return
    for name in ("a", "b", "c", "unknown"):
        try:
            expected = oracle(whole, name, target, credentials)
        except TypeError:
            continue
        assert policy.allows(name, target, credentials) is expected


@settings(max_examples=300, deadline=None)
@given(rule_text, VALUES, VALUES, credentials)
def test_a_nested_target_is_the_flat_one(rule, user, domain, credentials):
    rules = {"a": rule.replace("rule:a", "rule:b"), "b": "role:admin"}
    flat = {"target.user.id": user, "target.user.domain_id": domain}
    policy = Policy(rules)
    nested = {"target": {"user": {"id": user, "domain_id": domain}}}
    assert policy.allows("a", nested, credentials) is policy.allows("a", flat, credentials)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("http://example.org/check", "not supported"),
        ("https:example", "not supported"),
        ("role:admin and", "cannot understand"),
        ("(role:admin", "cannot understand"),
        ("role:admin role:member", "cannot understand"),
        ("   ", "cannot understand"),
        ("admin", "no colon"),
        ("'quoted'", "where a check should stand"),
        (":x", "neither a key"),
        ("user_id:%(x)d", "percent"),
        ("user_id:100%", "percent"),
        ("field:networks", "NAME=VALUE"),
        ("field:networks:name=~(", "field"),
        ("(" * 5000 + "@" + ")" * 5000, "too deeply"),
        (None, "neither a text nor a list"),
        ([[1]], "list of lists"),
        ([{"a": 1}], "list of lists"),
    ],
)
def test_refusals_name_the_rule_and_the_fault(rule, says):
    with pytest.raises(PolicyError, match=says) as raised:
        Policy({"compute:start": rule})
    assert "compute:start" in str(raised.value)


@pytest.mark.parametrize(
    "rules",
    [
        {"a": "rule:a"},
        {"a": "role:x or not rule:b", "b": "rule:c", "c": "rule:a"},
        {"default": "rule:gone"},
    ],
)
def test_a_circle_is_refused(rules):
    with pytest.raises(PolicyError, match="circle: "):
        Policy(rules)


def test_field_checks_compare_attributes_of_the_target():
    policy = Policy({
        "shared": "field:networks:shared=True",
        "external": "field:networks:router:external=True",
        "owned": "field:port:device_owner=~^network:",
    })  # fmt: skip
    assert policy.allows("shared", {"shared": True}, {})
    assert not policy.allows("shared", {"shared": False}, {})
    assert not policy.allows("shared", {}, {})
    assert policy.allows("external", {"router:external": True}, {})
    assert policy.allows("owned", {"device_owner": "network:dhcp"}, {})
    assert not policy.allows("owned", {"device_owner": "compute:nova"}, {})
    assert not policy.allows("owned", {"device_owner": None}, {})


def test_a_contexts_credentials_are_understood():
    ctx = Context(user_id="u", project_id="p", roles=frozenset({"Member", "reader"}), system_scope="all")
    policy = Policy({
        "role": "role:member",
        "list": "roles:reader",
        "system": "system_scope:all",
        "owner": "user_id:%(user_id)s and project_id:%(project_id)s",
        "admin": "is_admin:True",
        "lent": "trust_id:%(trust_id)s",
    })  # fmt: skip
    credentials = ctx.credentials()
    assert all(
        policy.allows(name, {"user_id": "u", "project_id": "p"}, credentials)
        for name in ("role", "list", "system", "owner")
    )
    assert not policy.allows("admin", {}, credentials)
    assert policy.allows("lent", {"trust_id": "t"}, Context(trust_id="t").credentials())
    assert not policy.allows("lent", {"trust_id": "t"}, credentials)


def write(path: Path, content: str, age: int) -> Path:
    path.write_text(content)
    os.utime(path, ns=(age, age))
    return path


def test_a_file_overrides_defaults_and_warns_of_unknown_names(tmp_path):
    policy = Policy({"start": "role:member", "stop": "role:member"})
    path = write(
        tmp_path / "policy.yaml",
        '# operators\n"start": "rule:ours"\nours: "role:chief"\nstrat: "@"\n'
        'stop: [["role:member", "is_admin:True"], ["rule:none"]]\n',
        1,
    )
    assert policy.load(path) == ["no such rule: strat", "rule stop refers to rule:none, which is not defined"]
    assert policy.allows("start", {}, {"roles": ["chief"]})
    assert not policy.allows("start", {}, {"roles": ["member"]})
    assert policy.rules() == {
        "start": "rule:ours",
        "ours": "role:chief",
        "strat": "@",
        "stop": "((role:member and is_admin:True) or rule:none)",
    }
    assert policy.load(write(tmp_path / "policy.json", '{"stop": "!"}', 1)) == []
    assert policy.rules() == {"start": "role:member", "stop": "!"}
    assert policy.load(write(tmp_path / "empty.yaml", "# nothing\n", 1)) == []


@pytest.mark.parametrize(
    "content", ["start: [", "start: 'and'", "- a\n- b", "404: '@'", "start: 'rule:start'", "start:", "\x01"]
)
def test_a_broken_file_leaves_the_old_rules_in_force(tmp_path, content):
    policy = Policy({"start": "role:member"})
    path = write(tmp_path / "policy.yaml", "start: role:chief", 1)
    policy.load(path)
    write(path, content, 2)
    with pytest.raises(PolicyError):
        policy.reload_if_changed()
    assert policy.rules() == {"start": "role:chief"}
    assert policy.reload_if_changed() is False
    write(path, "start: '@'", 3)
    assert policy.reload_if_changed() is True
    assert policy.allows("start", {}, {})


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    policy = Policy({"start": "role:member"})
    assert policy.reload_if_changed() is False
    with pytest.raises(PolicyError, match="cannot be read"):
        policy.load(tmp_path / "policy.yaml")
    path = write(tmp_path / "policy.yaml", "start: '@'", 1)
    assert policy.reload_if_changed() is True
    assert policy.reload_if_changed() is False
    path.unlink()
    assert policy.reload_if_changed() is False
    assert policy.rules() == {"start": "@"}


def test_a_token_of_another_scope_passes_no_rule() -> None:
    policy = Policy({"open": "", "closed": "", "any": ""}, {"open": ("system", "project"), "closed": ("project",)})
    system = Context(system_scope="all").credentials()
    domain = Context(domain_id="d").credentials()
    project = Context(project_id="p").credentials()
    assert [policy.allows("open", {}, one) for one in (system, domain, project)] == [True, False, True]
    assert [policy.allows("closed", {}, one) for one in (system, domain, project)] == [False, False, True]
    assert all(policy.allows("any", {}, one) for one in (system, domain, project))
    assert policy.allows("closed", {}, Context().credentials()), "an unscoped token counts as a project's"
