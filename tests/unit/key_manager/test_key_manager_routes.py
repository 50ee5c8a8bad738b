# SPDX-License-Identifier: Apache-2.0
"""No route of the key manager without a scenario that calls it, and one that is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cumulet.kernel.http import PUBLIC
from cumulet.services.key_manager.api import API

SCENARIOS = Path(__file__).parents[2] / "api" / "key_manager"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What a reference in an answer leads to.
REFS = {
    "secret_ref": "secrets",
    "container_ref": "containers",
    "order_ref": "orders",
    "secret_store_ref": "secret-stores",
}


def calls() -> Iterator[tuple[str, str, int]]:
    """Verb, path and status of each request."""
    for file in SCENARIOS.glob("*.yaml"):
        scenario = yaml.safe_load(file.read_text())
        common, made, last = scenario.get("defaults", {}), {}, ""
        for test in scenario["tests"]:
            verb = next((verb for verb in VERBS if verb in test), common.get("method", ""))
            url = path_of(test.get(verb, common.get("url", "")), made, last)
            yield verb, url, test.get("status", 200)
            made[test["name"]] = last = f"{url}/x"


def path_of(url: str, made: dict[str, str], last: str) -> str:
    """The path with an `x` for what only the running cloud knows."""
    url = re.sub(r"\$HISTORY\['([^']*)'\]\.\$LOCATION", lambda found: made[found[1]], url)
    url = re.sub(r"(\$HISTORY\['[^']*'\]\.)?\$RESPONSE\['[^']*?(\w+)'\]", lambda found: f"/v1/{REFS[found[2]]}/x", url)
    url = re.sub(r"\$\w+\['.*?'\]", "x", url.replace("$LOCATION", last))
    return url.partition("?")[0].removeprefix("/key-manager")


def reached(statuses: range) -> set[tuple[str, str]]:
    """The routes that some scenario calls with such an outcome."""
    return {
        (route.method, route.path)
        for verb, path, status in calls()
        if status in statuses
        for node, _ in list(API.tree.find(path))[:1]
        for route in node.routes.get(verb, ())
    }


# Routes that only refuse: there are no transport keys, orders are not changed, a single consumer's id is told nowhere.
REFUSING = re.compile(r"(POST|GET|DELETE) /transport_keys(/{key_id})?|PUT /orders|GET .*/consumers/{consumer_id}")


@pytest.mark.parametrize("outcome", ["called", "refused"])
def test_every_route_has_its_scenarios(outcome: str) -> None:
    all_routes = {(route.method, route.path) for route in API.routes}
    if outcome == "called":
        missing = {route for route in all_routes - reached(range(200, 300)) if not REFUSING.fullmatch(" ".join(route))}
    else:
        public = {(route.method, route.path) for route in API.routes if route.rule == PUBLIC}
        missing = all_routes - public - reached(range(400, 600))
    assert not missing
