# SPDX-License-Identifier: Apache-2.0
"""No route without a scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from cumulet.services.identity.api import API

SCENARIOS = Path(__file__).parents[2] / "api" / "identity"
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# Of grants on projects, domains and the system, for users and groups, plain and inherited, not each one is called.
ALIKE = re.compile(r"^(/OS-INHERIT)?/(projects|domains|system)(/{\w+})?/(users|groups)/{\w+}/roles")


def called() -> Iterator[tuple[str, str]]:
    for path in SCENARIOS.glob("*.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for verb in VERBS:
                if verb in test:
                    url = re.sub(r"\$\w+\[.*?\](\.\$\w+\[.*?\])?", "x", test[verb])
                    yield verb, url.partition("?")[0].removeprefix("/identity")


def test_every_route_is_called_by_a_scenario() -> None:
    reached = {
        (route.method, route.path)
        for verb, path in called()
        for node, _ in list(API.tree.find(path))[:1]
        for route in node.routes.get(verb, ())
    }
    missing = {(route.method, route.path) for route in API.routes if not ALIKE.match(route.path)} - reached
    assert not missing
