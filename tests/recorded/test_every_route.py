# SPDX-License-Identifier: Apache-2.0
"""Every route of a service that is recorded whole has a recorded success and a recorded refusal, or a reason not to."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from cumulet.cli import dev_record
from cumulet.cli.recording.client import BASES
from cumulet.kernel.http.routes import Api

HERE = Path(__file__).parent
WHOLE = ("block_storage", "compute", "identity", "image", "key_manager", "network", "placement")
REASONS: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((HERE / "unrecorded.yaml").read_text())

_PLACEHOLDER = re.compile(r"\{[a-z0-9_]+\}")


def told(service: str) -> dict[str, set[str]]:
    """What recordings tell of the routes (`METHOD /path`): success, refusal."""
    api: Api = import_module(f"cumulet.services.{service}.api").API
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((HERE / "data").glob("*/*.json")):
        for fact in dev_record.load(path):
            if fact.service == service:
                found[name_of(api, service, fact.ask)].add("success" if fact.status < 400 else "refusal")
    return found


def name_of(api: Api, service: str, ask: str) -> str:
    """The route that a step asks, or nothing."""
    method, _, address = ask.partition(" ")
    path = _PLACEHOLDER.sub("x", address.partition("?")[0])
    path = path[1:] if path.startswith("//") else BASES[service] + path
    for node, _ in api.find(path):
        for route in node.routes.get(method, ()) or (node.routes.get("GET", ()) if method == "HEAD" else ()):
            return f"{route.method} {route.path}"
    return ""


@pytest.mark.parametrize("service", WHOLE)
def test_every_route_is_recorded(service):
    api: Api = import_module(f"cumulet.services.{service}.api").API
    found, reasons = told(service), REASONS.get(service, {})
    routes = [f"{route.method} {route.path}" for route in (*api.routes, *api.unversioned)]
    missing = [
        f"{name}: {kind}"
        for name in routes
        for kind in ("success", "refusal")
        if kind not in found[name] and kind not in reasons.get(name, {})
    ]
    assert not missing, "\n".join(["not recorded:", *missing])
    needless = [f"{name}: {kind}" for name, kinds in reasons.items() for kind in kinds if kind in found[name]]
    assert not needless, "a reason is given, and it is recorded"
    assert not set(reasons) - set(routes), "reasons for routes that are gone"
