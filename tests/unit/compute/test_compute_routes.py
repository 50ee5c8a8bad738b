# SPDX-License-Identifier: Apache-2.0
"""No route without a scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cumulet.services.compute.api import API

SCENARIOS = Path(__file__).parents[2] / "api" / "compute"
VERBS = ("GET", "POST", "PUT", "DELETE")
REFUSED = ("not_there", "gone", "refuse")  # handlers of what all ends alike: one of each is called


def called() -> Iterator[tuple[str, str, Any]]:
    for path in SCENARIOS.glob("*.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for verb in VERBS:
                if verb in test:
                    url = re.sub(r"\$\w+\[.*?\](\.\$\w+\[.*?\])?", "x", test[verb])
                    yield verb, url.partition("?")[0].removeprefix("/compute"), test.get("data")


def test_every_route_is_called_by_a_scenario() -> None:
    reached = set()
    for verb, path, body in called():
        for node, _ in list(API.tree.find(path))[:1]:
            for route in node.routes.get(verb, ()):
                if route.action is None or (isinstance(body, dict) and route.action in body):
                    reached.add((route.method, route.path, route.action))
    wanted = {
        (route.method, route.path, route.action)
        for route in API.routes
        if getattr(route.handler, "__name__", "") not in REFUSED
    }
    assert not wanted - reached
