# SPDX-License-Identifier: Apache-2.0
"""What share of OpenStack's operations and of their bodies' versions our routes have: `make coverage-api`.

Prints a table and writes it with what is missing to `docs/api-coverage.md`. An operation counts as served where a route
takes its method, path and action; one whose handler does nothing but say that it is not there yet (501) counts apart.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cumulet.kernel.http.microversions import Version
from cumulet.kernel.http.routes import Api, Route
from cumulet.kernel.projection import boundaries

HERE = Path(__file__).parent
REPORT = HERE.parents[1] / "docs" / "api-coverage.md"
SERVED = ("identity", "image", "placement", "compute", "network", "block_storage")


@dataclass
class Coverage:
    """One service: its operations by how they are served, and versions of bodies with those that ours know too."""

    service: str
    served: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # a route that says 501
    missing: list[str] = field(default_factory=list)
    versions: int = 0
    known_versions: int = 0

    @property
    def operations(self) -> int:
        return len(self.served) + len(self.refused) + len(self.missing)


def facts(service: str) -> dict[str, Any]:
    """The operations of a service by name: `POST /servers/{}/action (reboot)`."""
    found: dict[str, Any] = json.loads((HERE / "data" / f"{service}.json").read_text())
    return found


def services() -> list[str]:
    """All that there are facts of, those that we serve first."""
    rest = sorted(path.stem for path in (HERE / "data").glob("*.json") if path.stem not in SERVED)
    return [*SERVED, *rest]


def routes(service: str) -> dict[str, list[Route]]:
    """Our routes by the same names."""
    try:
        api: Api = import_module(f"cumulet.services.{service}.api").API
    except ModuleNotFoundError:
        return {}
    found: dict[str, list[Route]] = {}
    for route in (*api.routes, *api.unversioned):
        action = f" ({route.action})" if route.action else ""
        path = re.sub(r"{[^}]*}", "{}", route.path).rstrip("/") or "/"
        found.setdefault(f"{route.method} {path}{action}", []).append(route)
    return found


def refuses(handler: Callable[..., Any]) -> bool:
    """Whether a handler only says that what is asked for is not there yet."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(handler))).body[0]
    except (OSError, TypeError, SyntaxError):
        return False
    return isinstance(tree, ast.FunctionDef) and any(
        isinstance(statement, ast.Raise) and "Unsupported(" in ast.unparse(statement) for statement in tree.body
    )


def cover(service: str) -> Coverage:
    """How much of a service there is."""
    ours, found = routes(service), Coverage(service)
    for name, fact in facts(service).items():
        taken = ours.get(name) or (ours.get("GET" + name.removeprefix("HEAD")) if name.startswith("HEAD ") else None)
        if not taken:
            found.missing.append(name)
        elif all(refuses(route.handler) for route in taken):
            found.refused.append(name)
        else:
            found.served.append(name)
            _count_versions(found, fact, taken)
    return found


def _count_versions(found: Coverage, fact: dict[str, Any], taken: list[Route]) -> None:
    theirs = set(_fact_versions(fact))
    known = {route.since for route in taken} | {_next(route.until) for route in taken if route.until}
    for route in taken:
        known |= set(boundaries(route.body.document)) if route.body is not None else set()
    found.versions += len(theirs)
    found.known_versions += len(theirs & known)


def _fact_versions(fact: dict[str, Any]) -> Iterator[Version]:
    """The microversions at which the operation's body changes, after the first one."""
    marks = [version(form["since"]) for form in fact.get("bodies", ()) if "since" in form]
    yield from (mark for mark in marks if mark > (mark[0], 1))


def version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return (int(major), int(minor or 0))


def _next(last: Version) -> Version:
    return (last[0], last[1] + 1)


def percent(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else ""


def table(all_of: list[Coverage]) -> list[str]:
    """The table in Markdown."""
    lines = [
        "| service | operations | served | answered 501 | share served | versions of bodies | known | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in all_of:
        cells = (
            one.service.replace("_", "-"), one.operations, len(one.served), len(one.refused),
            percent(len(one.served), one.operations), one.versions, one.known_versions,
            percent(one.known_versions, one.versions),
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def report(all_of: list[Coverage]) -> str:
    """The page."""
    lines = [
        "# API coverage",
        "",
        "Written by `make coverage-api` from the facts in `tests/facts/data`; not to be edited. An operation is a",
        "method, a path and an action. The facts also name operations that OpenStack itself has taken out since.",
        "",
        *table(all_of),
    ]
    for one in all_of:
        if one.served and (one.refused or one.missing):
            lines += ["", f"## {one.service.replace('_', '-')}: what is missing", ""]
            lines += [f"- `{name}` (501)" for name in one.refused] + [f"- `{name}`" for name in one.missing]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table and write the page."""
    all_of = [cover(service) for service in services()]
    REPORT.write_text(report(all_of))
    sys.stdout.write("\n".join(table(all_of)) + f"\n{REPORT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
