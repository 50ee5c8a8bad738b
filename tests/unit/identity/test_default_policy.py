# SPDX-License-Identifier: Apache-2.0
"""The default rules judge as Keystone's own (`policy_facts.json`, release 30.0.0) do under oslo.policy."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from oslo_policy import _parser
from oslo_policy.policy import Rules

from cumulet.kernel.context import Context
from cumulet.kernel.policy import Policy
from cumulet.services.identity.policy import RULES, SCOPES

FACTS = json.loads((Path(__file__).parent / "policy_facts.json").read_text())
ORACLE = Rules({name: _parser.parse_rule(fact["rule"]) for name, fact in FACTS.items()})
OURS = Policy(RULES, SCOPES)

ROLES = (
    frozenset[str](),
    frozenset({"reader"}),
    frozenset({"member", "reader"}),
    frozenset({"manager", "member", "reader"}),
    frozenset({"admin", "manager", "member", "reader"}),
    frozenset({"service"}),
)
PLACES: tuple[dict[str, Any], ...] = (
    {},
    {"project_id": "p1", "project_domain_id": "d1"},
    {"domain_id": "d1"},
    {"system_scope": "all"},
)
CALLERS = [Context(user_id="u1", roles=roles, **place) for roles, place in product(ROLES, PLACES)]

PEOPLE = ({}, {"id": "u1", "domain_id": "d1"}, {"id": "u2", "domain_id": "d2"})
PROJECTS = ({}, {"id": "p1", "domain_id": "d1"}, {"id": "p2", "domain_id": "d2"}, {"id": "d1", "domain_id": None})
GIVEN = (
    {"name": "reader", "domain_id": None},
    {"name": "admin", "domain_id": None},
    {"name": "x", "domain_id": "d1"},
)
OWNERS = ("u1", "u2")


def targets() -> list[dict[str, Any]]:
    found = []
    for person, project, domain in product(PEOPLE, PROJECTS, ({}, {"id": "d1"}, {"id": "d2"})):
        for role in GIVEN:
            inner = {"user": person, "group": person, "project": project, "domain": domain, "role": role}
            found.append({"target": {name: value for name, value in inner.items() if value}})
    for owner, domain_id in product(OWNERS, ("d1", "d2", None)):
        limit = {"project_id": "p1" if owner == "u1" else "p2", "project": {"domain_id": domain_id}}
        inner = {"token": {"user_id": owner}, "credential": {"user_id": owner}, "domain_id": domain_id, "limit": limit}
        found.append({"user_id": owner, "target": inner})
    return found


TARGETS = targets()


def relevant(name: str) -> list[dict[str, Any]]:
    """The targets, each without what the rule does not speak of, and each once."""
    text = FACTS[name]["rule"] + FACTS["domain_managed_target_role"]["rule"]
    found: list[dict[str, Any]] = []
    for target in TARGETS:
        inner = {key: value for key, value in target["target"].items() if f"target.{key}" in text}
        if (kept := {**target, "target": inner}) not in found:
            found.append(kept)
    return found


def flat(target: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keystone hands its targets to oslo.policy under dotted names."""
    found: dict[str, Any] = {}
    for name, value in target.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def expected(name: str, target: dict[str, Any], caller: Context) -> bool:
    scope = "system" if caller.system_scope else "domain" if caller.domain_id else "project"
    scopes = FACTS[name]["scopes"]
    if scopes is not None and scope not in scopes:
        return False
    credentials = {**caller.credentials(), "roles": sorted(caller.roles)}
    return bool(ORACLE[name](target, credentials, SimpleNamespace(rules=ORACLE), current_rule=name))


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_judges_as_keystones_does(name: str) -> None:
    for target in relevant(name):
        dotted = flat(target)
        for caller in CALLERS:
            assert OURS.allows(name, target, caller.credentials()) == expected(name, dotted, caller), (target, caller)
