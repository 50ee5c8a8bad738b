# SPDX-License-Identifier: Apache-2.0
"""Expand and contract: which scripts run when, and which schemas of other releases this one runs on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect

from cumulet.kernel.db import Database, migrate


class Release:
    """The scripts of one release of the service `toy`."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._folder.mkdir()
        self._database = database

    def has(self, name: str, text: str = "") -> None:
        number = name.partition("_")[0]
        (self._folder / f"{name}.sql").write_text(text or f"CREATE TABLE toy_{number} (id INTEGER);\n")

    def forgets(self, name: str) -> None:
        (self._folder / f"{name}.sql").unlink()

    def migrate(self, *, contract: bool = False) -> list[str]:
        return migrate.migrate(self._database, {"toy": self._folder}, contract=contract)

    def pending(self) -> bool:
        return migrate.pending(self._database, {"toy": self._folder})


@pytest.fixture
def release(empty: Database, tmp_path: Path) -> Release:
    migrate.migrate(empty, {})
    found = Release(tmp_path / "toy", empty)
    found.has("0001_initial")
    return found


def test_a_start_expands_and_only_asking_contracts(release: Release) -> None:
    release.migrate()
    release.has("0002_expand_more")
    release.has("0003_contract_less")
    release.has("0004_expand_again")
    assert release.pending()
    assert release.migrate() == ["toy/0002_expand_more.sql", "toy/0004_expand_again.sql"]
    assert not release.pending()
    assert release.migrate(contract=True) == ["toy/0003_contract_less.sql"]
    assert release.migrate(contract=True) == []


def test_a_new_database_runs_all(release: Release) -> None:
    release.has("0002_contract_less")
    assert release.migrate() == ["toy/0001_initial.sql", "toy/0002_contract_less.sql"]


def test_the_release_before_runs_on_an_expanded_schema(release: Release) -> None:
    release.has("0002_expand_more")
    release.migrate()
    release.forgets("0002_expand_more")
    assert not release.pending()
    assert release.migrate() == []


def test_the_release_before_refuses_a_contracted_schema(release: Release) -> None:
    release.migrate()
    release.has("0002_contract_less")
    release.migrate(contract=True)
    release.forgets("0002_contract_less")
    with pytest.raises(RuntimeError, match="0002_contract_less"):
        release.migrate()
    with pytest.raises(RuntimeError, match="newer release has contracted"):
        release.pending()


@pytest.mark.parametrize("name", ["0002_more", "2_expand_more", "0002_shrink", "more"])
def test_later_scripts_name_their_phase(release: Release, name: str) -> None:
    release.has(name, "CREATE TABLE toy_x (id INTEGER);\n")
    with pytest.raises(ValueError, match="not a migration's name"):
        release.migrate()


def test_types_are_spelt_as_the_engine_spells_them(release: Release, empty: Database) -> None:
    release.has(
        "0002_expand_all", "CREATE TABLE toy_all (at DATETIME, bytes BLOB, yes BOOLEAN DEFAULT true NOT NULL);\n"
    )
    assert release.migrate() == ["toy/0001_initial.sql", "toy/0002_expand_all.sql"]
    with empty.dialect.use() as connection:
        found = {column["name"]: column["type"] for column in inspect(connection).get_columns("toy_all")}
    assert [found[name].python_type for name in ("at", "bytes", "yes")] == [datetime, bytes, bool]


def test_what_engines_do_not_share_is_told_apart_by_the_name(release: Release, engine: str) -> None:
    release.has("0002_expand_odd.sqlite", "CREATE TABLE toy_two (id INTEGER PRIMARY KEY AUTOINCREMENT);\n")
    release.has("0002_expand_odd.postgres", "CREATE TABLE toy_two (id SERIAL);\n")
    assert release.migrate() == ["toy/0001_initial.sql", "toy/0002_expand_odd.sql"]
    assert release.migrate() == []
