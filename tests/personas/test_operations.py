# SPDX-License-Identifier: Apache-2.0
"""Every route is guarded by a rule that guards the same operation upstream."""

from __future__ import annotations

import re

import pytest

from cumulet.kernel.http.routes import ANYONE, PUBLIC, Route
from personas import expected, oracle
from personas.stage import api_of

CASES = [
    pytest.param(service, route, id=f"{service}-{expected.name_of(route)}-{number}")
    for service in oracle.SERVICES
    for number, route in enumerate(api_of(service).routes)
]


def operation(route: Route) -> str:
    """The route as upstream's facts write it: `POST /servers/{}/action (reboot)`."""
    action = f" ({route.action})" if route.action else ""
    return f"{route.method} {re.sub('{[^}]*}', '{}', route.path)}{action}"


def guards(service: str, name: str) -> list[str]:
    """The rules that guard an operation upstream."""
    return [rule for rule, fact in oracle.facts(service).items() if name in fact["operations"]]


def agrees(service: str, route: Route) -> bool:
    rules, known = expected.rules_of(service, route), guards(service, operation(route))
    return route.rule == PUBLIC or (bool(set(rules) & set(known)) if rules else not known)


@pytest.mark.parametrize(("service", "route"), CASES)
def test_a_route_has_the_rule_that_upstream_has_there(service: str, route: Route) -> None:
    if expected.said(service, "other_rules", route) is None:
        told = f"{operation(route)}: {expected.rules_of(service, route) or ANYONE}, {guards(service, operation(route))}"
        assert agrees(service, route), told


@pytest.mark.parametrize("service", oracle.SERVICES)
def test_no_reason_is_left_of_a_difference_that_is_gone(service: str) -> None:
    differ = [route for route in api_of(service).routes if not agrees(service, route)]
    assert expected.unused(service, differ, ("other_rules",)) == []
