# SPDX-License-Identifier: Apache-2.0
"""`cumulet doctor`: runs every probe and shows what was found. Exit status 1 when something is missing."""

from __future__ import annotations

import argparse
import importlib
import json
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import msgspec

from cumulet.cli import Call
from cumulet.cli.show import table
from cumulet.kernel import manifest
from cumulet.kernel.doctor import Finding, Probe, examine
from cumulet.kernel.link.names import MEMBERSHIP
from cumulet.settings import Settings
from cumulet.setup import probes

SERVICES = "cumulet.services"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--json", action="store_true", help="for programs")


def run(call: Call) -> int:
    """Examine and show."""
    found = diagnose(call.settings)
    if call.arguments.json:
        print(json.dumps([{"name": name, **msgspec.to_builtins(finding)} for name, finding in found], indent=2))
    else:
        print(table(("what", "status", "found"), [(name, each.status, each.detail) for name, each in found]))
        remedies = [(name, each.remedy) for name, each in found if each.remedy and each.status != "ok"]
        if remedies:
            print("\n" + table(("to mend", "do this"), remedies))
    return 1 if any(finding.status == "missing" for _, finding in found) else 0


def diagnose(settings: Settings) -> list[tuple[str, Finding]]:
    """Every probe's name and finding: the machine's first, then the link's, then each service's.

    One owner's probes run one after the other, for they may share what they try.
    """
    with ThreadPoolExecutor(4) as pool:
        groups = [probes.probes(settings), _of_link(settings), *_of_services(settings)]
        found = list(pool.map(_examine_all, groups))
    return [each for group in found for each in group]


def _examine_all(group: list[Probe]) -> list[tuple[str, Finding]]:
    return [(probe.name, examine(probe)) for probe in group]


def _of_link(settings: Settings) -> list[Probe]:
    """Those of the link to other machines, whose libraries are loaded only where there is one."""
    if not settings.link.host and not (settings.state / "agent" / MEMBERSHIP).is_dir():
        return []
    from cumulet.kernel.link.probes import probes as of_link

    return of_link(settings)


def _of_services(settings: Settings) -> list[list[Probe]]:
    found: list[list[Probe]] = []
    package = importlib.import_module(SERVICES)
    for each in manifest.read_all(Path(package.__path__[0])):
        module = f"{SERVICES}.{each.package}.doctor"
        if find_spec(module) is not None:
            found.append(importlib.import_module(module).probes(settings))
    return found
