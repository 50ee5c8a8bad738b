# SPDX-License-Identifier: Apache-2.0
"""Every route by every persona: refused or let through as the declared rules say.

A refusal is one of the statuses 401, 403 and 404 (the last where a caller must not learn that the thing is there); let
through is every other answer, for bodies are mostly none that could be right. No answer is ever a 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cumulet.kernel.http.microversions import text
from cumulet.kernel.http.routes import Api, Route
from personas import expected, oracle
from personas.cast import Persona
from personas.expected import THROUGH, Case
from personas.props import MAKERS
from personas.stage import Stage, api_of, base_of, filled
from support.cloud import RunningCloud

REFUSALS = (401, 403, 404)
ROUTES = [
    pytest.param(service, route, bool(at), id=f"{service}-{expected.name_of(route)}-{number}")
    for service in oracle.SERVICES
    for at, routes in enumerate((api_of(service).routes, api_of(service).unversioned))
    for number, route in enumerate(routes)
]


@pytest.fixture(scope="module")
def stage(cloud: RunningCloud) -> Iterator[Stage]:
    made = Stage(cloud, MAKERS)
    yield made
    made.close()


def newest(api: Api, route: Route) -> str:
    """The newest microversion at which the route is served."""
    return text(route.until or api.microversions.most) if api.microversions is not None else ""


def outcome(stage: Stage, case: Case, who: Persona, unversioned: bool) -> Any:
    """THROUGH or the status of the refusal; what was made is deleted, what was deleted made anew when needed."""
    api, route = api_of(case.service), case.route
    path = ("" if unversioned else base_of(api)) + filled(route.path, case.prop)
    more = {
        "params": stage.filled(expected.said(case.service, "queries", route)),
        "headers": stage.filled(expected.said(case.service, "headers", route)) or {},
    }
    answer = stage.ask(who, api, route.method, path, case.body, newest(api, route), **more)
    assert answer.status_code != 500, f"{who.name}: {answer.text}"
    if answer.status_code in REFUSALS:
        return answer.status_code
    if answer.is_success and (route.method == "DELETE" or expected.uses_up(case.service, route)):
        stage.used_up(case.service, route)
    if route.method == "POST" and answer.status_code == 201:
        stage.forget(api, path, answer.json())
    return THROUGH


def body_of(stage: Stage, service: str, route: Route) -> Any:
    said = stage.filled(expected.said(service, "bodies", route))
    if said is not None or route.method in ("GET", "HEAD", "DELETE"):
        return said
    return {route.action: None} if route.action else {}


@pytest.mark.in_turn
@pytest.mark.parametrize(("service", "route", "unversioned"), ROUTES)
def test_everybody_is_told_what_the_rules_say(stage: Stage, service: str, route: Route, unversioned: bool) -> None:
    wrong, special = [], expected.exceptions(service, route)
    named = stage.filled(expected.said(service, "targets", route)) or {}
    case = Case(service, route, stage.prop(service, route), body_of(stage, service, route), named)
    # Whoever is refused leaves things as they are, and so asks first.
    for who in sorted(stage.cast.personas, key=lambda one: case.verdict(one) == THROUGH):
        case = Case(service, route, stage.prop(service, route), body_of(stage, service, route), named)
        wanted, found = case.verdict(who), outcome(stage, case, who, unversioned)
        if found != special.get(who.name, wanted):
            wrong.append(f"{who.name}: {found}, and not {special.get(who.name, wanted)}")
        if who.name in special and wanted == special[who.name]:
            wrong.append(f"{who.name}: no exception any more")
    assert not wrong, f"{expected.name_of(route)} ({route.rule})"


@pytest.mark.parametrize("service", oracle.SERVICES)
def test_nothing_is_said_of_routes_that_are_gone(service: str) -> None:
    assert not expected.unused(service, api_of(service).routes)
