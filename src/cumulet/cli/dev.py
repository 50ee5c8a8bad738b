# SPDX-License-Identifier: Apache-2.0
"""`cumulet dev`: a new service's folder, the first migration from its tables, all routes, recordings of clouds."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.cli import Call, dev_record
from cumulet.cli.show import table

if TYPE_CHECKING:
    from cumulet.kernel.http import Route

SERVICES = Path(__file__).parent.parent / "services"
LICENSE = "# SPDX-License-Identifier: Apache-2.0\n"

_NAME = re.compile(r"[a-z][a-z0-9-]*")

# The files of a new service, which has no empty rooms; its folder, type and nickname take the place of the braces.
_FILES = {
    "__init__.py": LICENSE + '"""{Type} (OpenStack\'s {Nickname})."""\n',
    "manifest.toml": 'type = "{type}"\nnickname = "{nickname}"\nsummary = "{Type}"\nroot = "{type}"\n'
    'offers = []\n\n[[catalog]]\ntype = "{type}"\nname = "{nickname}"\n',
    "policy.py": LICENSE
    + '"""The default rules of the {type} service: {Nickname}\'s names and {Nickname}\'s defaults."""\n\n'
    + "RULES: dict[str, str] = {{}}\n",
    "api/__init__.py": LICENSE
    + '"""The {type} service\'s HTTP interface."""\n\nfrom cumulet.kernel.http import Api\n'
    + "from cumulet.kernel.http.errors import FaultDialect\n\n"
    + 'API = Api(service="{package}", root="/{type}", bases=("/v1",), routes=(), dialect=FaultDialect())\n',
    "quality.yaml": "# Claims and the tests that prove them: done | todo | exempt.\n{{}}\n",
    "README.md": "# {Type}\n\nOpenStack's {Nickname}.\n\n## LIMITATIONS\n\nNothing is served yet.\n",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new-service", help="make the folder of a new service with its first rooms")
    new.add_argument("type", help="the official service type: block-storage")
    new.add_argument("nickname", help="the project's name: cinder")
    draft = actions.add_parser("draft-migration", help="write the first migration of a service from its tables")
    draft.add_argument("service", help="the folder's name")
    routes = actions.add_parser("routes", help="show every route with its policy rule")
    routes.add_argument("service", nargs="?", help="of this service only: the folder's name")
    dev_record.arguments(
        actions.add_parser("record", help="write down what another OpenStack cloud answers to scenarios")
    )


def run(call: Call) -> int:
    """Do the one action."""
    words = call.arguments
    if words.action == "new-service":
        return new_service(SERVICES, words.type, words.nickname)
    if words.action == "draft-migration":
        return draft_migration(SERVICES, words.service)
    if words.action == "record":
        return dev_record.run(words)
    return routes(words.service)


def new_service(services: Path, service_type: str, nickname: str) -> int:
    """Make the folder of a service; the folder must not be there."""
    package = service_type.replace("-", "_")
    folder = services / package
    if not _NAME.fullmatch(service_type) or not _NAME.fullmatch(nickname):
        return _refuse("a type and a nickname are small letters, digits and dashes")
    if folder.exists():
        return _refuse(f"{folder} is there already")
    words = {
        "type": service_type,
        "Type": service_type.replace("-", " ").capitalize(),
        "nickname": nickname,
        "Nickname": nickname.capitalize(),
        "package": package,
    }
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.format(**words), encoding="utf-8")
    print(folder)
    return 0


def draft_migration(services: Path, package: str) -> int:
    """Write `0001_initial.sql`; only while no later one is there."""
    from cumulet.kernel.db import migrate

    folder = services / package / "migrations"
    if any(path.name != "0001_initial.sql" for path in folder.glob("*.sql")):
        return _refuse(f"{package} has later migrations: write a new one by hand")
    try:
        tables = importlib.import_module(f"cumulet.services.{package}.tables")
    except ModuleNotFoundError as error:
        return _refuse(str(error))
    path = folder / "0001_initial.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(migrate.draft(tables.metadata), encoding="utf-8")
    print(path)
    return 0


def routes(package: str | None) -> int:
    """Show the routes of all services or of one."""
    from cumulet.kernel.manifest import read_all

    rows: list[tuple[str, ...]] = []
    for service in read_all(SERVICES):
        if package in (None, service.package) and (room := service.room("api")):
            api = room.API
            placed = [("", route) for route in api.unversioned] + [(api.bases[0], route) for route in api.routes]
            rows += [
                (route.method, f"{api.root}{base}{route.path}", route.action or "", _versions(route), route.rule)
                for base, route in placed
            ]
    print(table(("METHOD", "PATH", "ACTION", "VERSIONS", "RULE"), rows))
    return 0


def _versions(route: Route) -> str:
    return "-".join(".".join(map(str, bound)) if bound else "" for bound in (route.since, route.until)).strip("-")


def _refuse(reason: str) -> int:
    print(f"cumulet: {reason}", file=sys.stderr)
    return 1
