# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions from files and into files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.db import Database, migrate
from cumulet.kernel.errors import Invalid
from cumulet.services import image
from cumulet.services.image.logic import definitions, metadefs_files, metadefs_namespaces
from cumulet.services.image.store import metadefs_namespaces as store

MINE = {
    "namespace": "My::Own",
    "display_name": "mine",
    "visibility": "public",
    "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "hw:"}],
    "properties": {"colour": {"title": "Colour", "type": "string", "default": 5}},
    "objects": [{"name": "Thing", "required": ["size"], "properties": {"size": {"title": "Size", "type": "integer"}}}],
    "tags": [{"name": "a"}],
}


@pytest.fixture
def db(empty: Database) -> Database:
    migrate.migrate(empty, {"image": Path(image.__file__).parent / "migrations"})
    return empty


def load(db: Database, *files: Mapping[str, Any], **how: bool) -> list[str]:
    return metadefs_files.load(db, files, **{"merge": False, "prefer_new": False, "overwrite": False, **how})


def inside(db: Database, name: str = "My::Own") -> metadefs_namespaces.Inside:
    found = store.find(db, name)
    assert found is not None
    return metadefs_namespaces.inside(db, found)


def test_the_usual_definitions_are_whole(db: Database) -> None:
    files = definitions.read()
    assert len(load(db, *files)) == len(files) == 32
    assert load(db, *files) == []
    aggregates = inside(db, "OS::Compute::AggregateIoOpsFilter")
    assert aggregates.properties[0].schema["default"] == "8"
    assert [each.name for each in aggregates.associations] == ["OS::Nova::Aggregate"]
    for words in files:
        properties = [words.get("properties", {}), *(each["properties"] for each in words.get("objects", ()))]
        assert all(schema["title"] for group in properties for schema in group.values()), words["namespace"]
        assert words["description"]
        assert words["visibility"] == "public"


def test_what_is_there_is_left_alone_unless_asked(db: Database) -> None:
    assert load(db, MINE) == ["My::Own"]
    more = {
        **MINE,
        "display_name": "theirs",
        "properties": {"colour": {"title": "Tone", "type": "string"}, "form": {"title": "Form", "type": "string"}},
    }
    assert load(db, more) == []
    assert [each.name for each in inside(db).properties] == ["colour"]
    load(db, more, merge=True)
    assert {each.name: each.schema["title"] for each in inside(db).properties} == {"colour": "Colour", "form": "Form"}
    load(db, more, merge=True, prefer_new=True)
    assert {each.name: each.schema["title"] for each in inside(db).properties} == {"colour": "Tone", "form": "Form"}
    load(db, {"namespace": "My::Own"}, merge=True, overwrite=True)
    assert inside(db) == metadefs_namespaces.Inside()


def test_what_was_written_can_be_loaded(db: Database, tmp_path: Path) -> None:
    load(db, MINE)
    (path,) = metadefs_files.export(db, tmp_path / "there")
    assert path.name == "My-Own.json"
    said = json.loads(path.read_text())
    before = inside(db)
    assert said["owner"] == metadefs_files.OWNER
    assert metadefs_files.unload(db) == ["My::Own"]
    assert store.every(db) == []
    assert load(db, *definitions.read(tmp_path / "there")) == ["My::Own"]
    for name in ("properties", "objects", "tags", "associations"):
        old, new = getattr(before, name), getattr(inside(db), name)
        assert [each.name for each in old] == [each.name for each in new]
    assert inside(db).objects[0].required == ["size"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "names no namespace"),
        ('{"namespace": "x", "tags": {}}', "not what they should be"),
        ('{"namespace": "x", "properties": {"a": {"type": "string"}}}', "Mandatory field missing"),
        ('{"namespace": "x", "objects": [5]}', "not what they should be"),
    ],
)
def test_a_wrong_file_changes_nothing(db: Database, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(MINE))
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(Invalid, match=why):
        load(db, *definitions.read(tmp_path))
    assert store.every(db) == []


def test_a_folder_without_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no definitions"):
        definitions.read(tmp_path)
