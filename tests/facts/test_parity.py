# SPDX-License-Identifier: Apache-2.0
"""Our schemas and the facts' judge the same bodies alike, at each microversion at which one of them changes.

`parity.yaml` lists operations where they do not, with the reason. The bodies are generated from both schemas, with a
fixed seed; half of them are spoiled in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import yaml

from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import FORMATS
from cumulet.kernel.http.microversions import Version, text
from cumulet.kernel.http.routes import Route
from cumulet.kernel.projection import boundaries
from facts import coverage
from fuzz.bodies import Writer
from personas.stage import api_of

BODIES = 12  # of each schema at each version
KNOWN: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "parity.yaml").read_text())


def pairs() -> Iterator[Any]:
    """The operations for which both sides have a schema."""
    for service in coverage.SERVED:
        ours = coverage.routes(service)
        for name, fact in coverage.facts(service).items():
            taken = [route for route in ours.get(name, ()) if route.body is not None]
            if taken and fact.get("bodies"):
                yield pytest.param(service, name, fact["bodies"], taken, id=f"{service}-{name}")


def versions(service: str, forms: list[dict[str, Any]], routes: list[Route]) -> list[Version | None]:
    """Those at which a form begins or ends on either side, within what the route serves."""
    limits = api_of(service).microversions
    if limits is None:
        return [None]
    marks = {limits.least, limits.most}
    for form in forms:
        marks |= {coverage.version(form[end]) for end in ("since", "until") if end in form}
    for route in routes:
        marks |= set(boundaries(route.body.document)) if route.body is not None else set()
    within = (mark for mark in sorted(marks) if limits.least <= mark <= limits.most)
    return [mark for mark in within if any(route.serves(mark) for route in routes)]


def form_at(forms: list[dict[str, Any]], at: Version | None) -> Any:
    """The facts' schema at a version: the newest that has begun and not ended."""
    there = [
        form
        for form in forms
        if at is None
        or (coverage.version(form.get("since", "0.0")) <= at <= coverage.version(form.get("until", "99.999")))
    ]
    return max(there, key=lambda form: coverage.version(form.get("since", "0.0")))["schema"] if there else None


def accepts(route: Route, body: Any, at: Version | None) -> bool:
    assert route.body is not None
    try:
        route.body.check(body, at)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize(("service", "name", "forms", "routes"), list(pairs()))
def test_the_schemas_judge_alike(service: str, name: str, forms: list[dict[str, Any]], routes: list[Route]) -> None:
    differ = list(differences(service, name, forms, routes))
    if name in KNOWN.get(service, {}):
        assert differ, "they judge alike: no exception any more"
    else:
        assert not differ, "\n".join(differ[:5])


@cache
def checker() -> jsonschema.FormatChecker:
    """The facts name formats, but not what they take: ours say it, which leaves the schemas to be compared."""
    found = jsonschema.FormatChecker(formats=())
    for name, one in FORMATS.items():
        found.checks(name)(lambda value, one=one: not isinstance(value, str) or one.accepts(value))
    return found


def differences(service: str, name: str, forms: list[dict[str, Any]], routes: list[Route]) -> Iterator[str]:
    for at in versions(service, forms, routes):
        theirs, route = form_at(forms, at), next(one for one in routes if at is None or one.serves(at))
        if not theirs or route.body is None:
            continue
        validator = jsonschema.Draft202012Validator(theirs, format_checker=checker())
        for schema in (theirs, route.body.at(at)):
            writer = Writer(f"{name} {at}", ())
            for number in range(BODIES):
                body = writer.fitting(schema)
                body = writer.spoiled(body) if number % 2 else body
                try:
                    body = orjson.loads(json.dumps(body))
                except orjson.JSONDecodeError:
                    continue  # it would never come as far as a schema
                verdict = validator.is_valid(body)
                if verdict != accepts(route, body, at):
                    who = "only they take" if verdict else "only we take"
                    yield f"{text(at) if at else ''} {who} {json.dumps(body)[:400]}"


def test_every_exception_is_of_an_operation() -> None:
    known = {(case.values[0], case.values[1]) for case in pairs()}
    assert {(service, name) for service, names in KNOWN.items() for name in names} <= known
