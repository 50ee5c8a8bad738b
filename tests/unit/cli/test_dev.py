# SPDX-License-Identifier: Apache-2.0
"""The developers' commands: what they make is what the rooms' tests ask for."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from cumulet.cli import dev
from cumulet.kernel.db import migrate
from cumulet.kernel.manifest import read
from cumulet.services.identity import tables


def test_a_new_service_has_its_first_rooms(tmp_path: Path) -> None:
    assert dev.new_service(tmp_path, "load-balancer", "octavia") == 0
    manifest = read(tmp_path / "load_balancer")
    assert (manifest.type, manifest.nickname, manifest.package) == ("load-balancer", "octavia", "load_balancer")
    folders = [path for path in (tmp_path / "load_balancer").rglob("*") if path.is_dir()]
    assert [folder.name for folder in folders] == ["api"], "no room is empty"
    for path in (tmp_path / "load_balancer").rglob("*.py"):
        text = path.read_text()
        assert text.startswith(dev.LICENSE)
        assert ast.get_docstring(ast.parse(text)), f"{path.name} says nothing of its job"
    assert "LIMITATIONS" in (tmp_path / "load_balancer" / "README.md").read_text()


@pytest.mark.parametrize(("service_type", "nickname"), [("Load", "octavia"), ("load", "../x"), ("", "x"), ("a/b", "x")])
def test_a_strange_name_is_refused(tmp_path: Path, service_type: str, nickname: str) -> None:
    assert dev.new_service(tmp_path, service_type, nickname) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_is_there_stays(tmp_path: Path) -> None:
    assert dev.new_service(tmp_path, "dns", "designate") == 0
    (tmp_path / "dns" / "README.md").write_text("mine")
    assert dev.new_service(tmp_path, "dns", "designate") == 1
    assert (tmp_path / "dns" / "README.md").read_text() == "mine"


def test_the_first_migration_is_drafted(tmp_path: Path) -> None:
    assert dev.draft_migration(tmp_path, "identity") == 0
    script = tmp_path / "identity" / "migrations" / "0001_initial.sql"
    assert script.read_text() == migrate.draft(tables.metadata)


def test_later_migrations_are_not_drafted(tmp_path: Path) -> None:
    later = tmp_path / "identity" / "migrations"
    later.mkdir(parents=True)
    (later / "0002_more.sql").touch()
    assert dev.draft_migration(tmp_path, "identity") == 1
    shutil.rmtree(later)
    assert dev.draft_migration(tmp_path, "nothing") == 1


def test_routes_are_shown_with_their_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.routes("identity") == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split() for line in lines[1:]]
    assert ["GET", "/identity/v3/regions", "identity:list_regions"] in shown
