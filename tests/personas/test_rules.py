# SPDX-License-Identifier: Apache-2.0
"""Every default rule has upstream's name and scopes, and judges as upstream's does under oslo.policy."""

from __future__ import annotations

import importlib
import re
from functools import cache
from itertools import product
from random import Random
from typing import Any

import pytest

from cumulet.kernel.context import Context
from cumulet.kernel.policy import Policy
from personas import oracle

EVERY_SCOPE = {"system", "domain", "project"}
MOST = 150  # targets a rule, drawn from all with a fixed seed

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

# What a target may hold under a name, by the name's end: the caller's own, another's, nobody's.
VALUES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("enforce_new_defaults", (True, False)),
    ("read_project_access", (True, False)),
    (".read", ("read", None)),
    ("creator_id", ("u1", "u2")),
    ("role.name", ("reader", "manager", "admin", "x")),
    ("visibility", ("private", "public", "shared", "community")),
    ("device_owner", ("compute:nova", "network:dhcp", "baremetal:x", "")),
    ("user_id", ("u1", "u2")),
    ("user.id", ("u1", "u2")),
    ("domain_id", ("d1", "d2", None)),
    ("domain.id", ("d1", "d2", None)),
    ("", ("p1", "p2", None)),
)


def room(service: str) -> Any:
    return importlib.import_module(f"cumulet.services.{service}.policy")


@cache
def ours(service: str) -> Policy:
    return Policy(room(service).RULES, getattr(room(service), "SCOPES", {}))


CASES = [(service, name) for service in oracle.SERVICES for name in room(service).RULES]


def whole(service: str, name: str) -> str:
    """The text of upstream's rule with those that it refers to in their places."""
    found = oracle.facts(service)
    text = str(found[name]["rule"])
    while True:
        longer = re.sub(r"rule:([\w:-]*\w)", lambda match: f"({found.get(match[1], {'rule': '!'})['rule']})", text)
        if longer == text:
            return text
        text = longer


def names_in(text: str) -> list[str]:
    """What the rule asks of its target."""
    fields = [match[1] for match in re.finditer(r"field:\w+:([\w:]+)=", text)]
    return sorted({*re.findall(r"%\(([^)]+)\)s", text), *fields})


def targets(text: str) -> list[dict[str, Any]]:
    """Targets that differ in all that the rule asks for; the one that holds nothing first."""
    names = names_in(text)
    choices = [_values(name, text) for name in names]
    every = list(product(*choices))
    some = Random(0).sample(every, min(MOST, len(every)))
    return [{}, *(dict(zip(names, values, strict=True)) for values in some)]


def _values(name: str, text: str) -> tuple[Any, ...]:
    if re.search(rf"field:\w+:{re.escape(name)}=True", text):
        return (True, False)
    return next(values for end, values in VALUES if name.endswith(end))


@pytest.mark.parametrize(("service", "name"), CASES)
def test_a_rule_judges_as_upstreams_does(service: str, name: str) -> None:
    scopes = getattr(room(service), "SCOPES", {}).get(name)
    assert set(scopes or EVERY_SCOPE) == set(oracle.facts(service)[name]["scopes"] or EVERY_SCOPE)
    judge = oracle.upstream(service)
    for target in targets(whole(service, name)):
        for caller in CALLERS:
            credentials = caller.credentials()
            theirs = judge.allows(name, target, {**credentials, "roles": sorted(caller.roles)})
            assert ours(service).allows(name, target, credentials) == theirs, (target, credentials)
