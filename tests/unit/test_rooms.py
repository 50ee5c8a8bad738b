# SPDX-License-Identifier: Apache-2.0
"""Every service keeps to the rooms of `docs/develop/rooms.md`, and what its rooms say of one another is true."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml
from sqlalchemy import inspect as inspect_database

from cumulet.kernel.db import Database, migrate
from cumulet.kernel.http.routes import ANYONE, PUBLIC
from cumulet.kernel.manifest import Manifest, read_all
from cumulet.kernel.policy import Policy

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "src" / "cumulet" / "services"
MANIFESTS = read_all(SERVICES)

MODULES = {
    "contract", "facade", "api", "policy", "types", "tables", "store", "logic", "flows", "hosts", "listeners", "loops",
    "bootstrap", "audit", "backup", "cli", "doctor", "drivers", "agent", "events", "stack",
    "ring", "engine", "s3",
}  # fmt: skip
FILES = {"__init__.py", "manifest.toml", "quality.yaml", "README.md"}
FOLDERS = {"migrations"}
EXPORTS = {
    "api": "API", "facade": "offers", "flows": "FLOWS", "hosts": "listen", "listeners": "listen", "loops": "LOOPS",
    "bootstrap": "run", "policy": "RULES", "tables": "metadata", "agent": "create", "doctor": "probes",
    "audit": "audit",
}  # fmt: skip
STATES = {"done", "todo", "exempt"}

every_service = pytest.mark.parametrize("service", MANIFESTS, ids=lambda service: service.package)


def have(service: Manifest, name: str) -> bool:
    return (service.folder / f"{name}.py").exists() or (service.folder / name / "__init__.py").exists()


def room(service: Manifest, name: str) -> Any:
    if not have(service, name):
        pytest.skip(f"{service.package} has no {name}")
    return importlib.import_module(f"cumulet.services.{service.package}.{name}")


def has_an_application(service: Manifest) -> bool:
    """Whether it answers requests by itself: what it has is no list of routes."""
    return service.runs == "objects"


def routes_of(service: Manifest) -> Any:
    if has_an_application(service):
        pytest.skip(f"{service.package} has an application of its own")
    return room(service, "api").API


def modules(package: ModuleType) -> list[ModuleType]:
    """The module, and those inside where it is a package."""
    inside = pkgutil.iter_modules(getattr(package, "__path__", ()), f"{package.__name__}.")
    return [package, *(importlib.import_module(each.name) for each in inside)]


def test_every_folder_is_a_service() -> None:
    folders = {path.name for path in SERVICES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {service.package for service in MANIFESTS}


@every_service
def test_a_service_has_known_rooms_only(service: Manifest) -> None:
    found = {path.name for path in service.folder.iterdir()} - {"__pycache__"}
    known = FILES | FOLDERS | MODULES | {f"{name}.py" for name in MODULES}
    assert found <= known


@every_service
def test_no_room_is_empty(service: Manifest) -> None:
    for path in service.folder.rglob("*"):
        if path.is_dir() and path.name != "__pycache__":
            inside = [one for one in path.iterdir() if one.name not in ("__init__.py", "__pycache__")]
            alone = path / "__init__.py"
            assert inside or len(alone.read_text().splitlines()) > 2, f"{path} is empty"


@every_service
def test_a_room_exports_what_the_kernel_looks_for(service: Manifest) -> None:
    for name, export in EXPORTS.items():
        if have(service, name) and not (name == "api" and has_an_application(service)):
            assert hasattr(room(service, name), export), f"{service.package}.{name} has no {export}"


@every_service
def test_the_manifest_agrees_with_the_rooms(service: Manifest) -> None:
    assert service.agent == have(service, "agent")
    assert service.package == service.type.replace("-", "_")
    assert bool(service.migrations) == have(service, "tables")
    if service.offers and have(service, "facade"):
        offered = {protocol.__name__ for protocol in room(service, "facade").offers(None)}
        assert offered == set(service.offers)


@every_service
def test_tables_are_named_after_their_service(service: Manifest) -> None:
    for table in room(service, "tables").metadata.tables:
        assert table.startswith(f"{service.package}_")


@every_service
def test_columns_are_the_fields_of_a_row(service: Manifest) -> None:
    structs = {
        struct.__struct_fields__
        for module in modules(room(service, "types"))
        for _, struct in inspect.getmembers(module, inspect.isclass)
        if issubclass(struct, msgspec.Struct)
    }
    for table in room(service, "tables").metadata.sorted_tables:
        assert tuple(column.name for column in table.columns) in structs, f"no Struct has the columns of {table.name}"


@every_service
def test_migrations_make_the_tables(service: Manifest, empty: Database) -> None:
    metadata = room(service, "tables").metadata
    assert service.migrations is not None
    migrate.migrate(empty, {service.package: service.migrations})
    with empty.dialect.use() as connection:
        made = inspect_database(connection)
        names = {name for name in made.get_table_names() if name.startswith(f"{service.package}_")}
        assert names == set(metadata.tables)
        for table in metadata.sorted_tables:
            assert [column["name"] for column in made.get_columns(table.name)] == table.columns.keys()
            assert [bool(column["nullable"]) for column in made.get_columns(table.name)] == [
                bool(column.nullable) for column in table.columns
            ]
            indexes = [index for index in made.get_indexes(table.name) if "duplicates_constraint" not in index]
            assert {index["name"] for index in indexes} == {index.name for index in table.indexes}


@every_service
def test_the_first_migration_is_the_drafted_one(service: Manifest) -> None:
    """Until the first release there is one migration a service, as `cumulet dev draft-migration` writes it."""
    metadata = room(service, "tables").metadata
    assert service.migrations is not None
    scripts = sorted(service.migrations.glob("*.sql"))
    assert [script.name for script in scripts][:1] == ["0001_initial.sql"]
    if len(scripts) == 1:
        assert scripts[0].read_text() == migrate.draft(metadata)


@every_service
def test_every_route_has_a_rule_that_exists(service: Manifest) -> None:
    api = routes_of(service)
    rules = room(service, "policy").RULES
    used = {route.rule for route in (*api.routes, *api.unversioned)} - {PUBLIC, ANYONE}
    assert used <= rules.keys(), used - rules.keys()
    Policy(rules)


@every_service
def test_no_two_routes_are_the_same(service: Manifest) -> None:
    api = routes_of(service)
    seen = [
        (route.method, re.sub(r"{\w+}", "{}", route.path), route.action, route.since, route.until)
        for route in api.routes
    ]
    assert len(seen) == len(set(seen))


@every_service
def test_the_readme_tells_the_limitations(service: Manifest) -> None:
    text = (service.folder / "README.md").read_text(encoding="utf-8")
    assert "LIMITATIONS" in text


@every_service
def test_claims_are_proven_by_tests_that_exist(service: Manifest) -> None:
    claims = yaml.safe_load((service.folder / "quality.yaml").read_text(encoding="utf-8"))
    for name, claim in claims.items():
        assert claim["status"] in STATES, name
        if claim["status"] == "exempt":
            assert claim["reason"], name
        if claim["status"] == "done":
            assert claim["tests"], name
        for test in claim.get("tests", ()):
            assert_exists(test)


def assert_exists(test: str) -> None:
    """`tests/api/identity/regions.yaml`, or `tests/unit/test_rooms.py::test_a_thing`."""
    path, _, name = test.partition("::")
    assert list(ROOT.glob(path)), f"there is no {path}"
    if name:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"there is no {test}"
