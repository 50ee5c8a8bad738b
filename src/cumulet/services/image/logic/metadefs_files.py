# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions from files and into files, past the API: what `glance-manage db_load_metadefs` does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel.db import Database, Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.logic.metadefs_namespaces import Inside
from cumulet.services.image.store import metadefs
from cumulet.services.image.store import metadefs_namespaces as store
from cumulet.services.image.store.metadefs import Part
from cumulet.services.image.types import Namespace

OWNER = "admin"  # of a namespace whose file names nobody, as with Glance

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def load(
    db: Database, files: Iterable[Mapping[str, Any]], *, merge: bool, prefer_new: bool, overwrite: bool
) -> list[str]:
    """Store namespaces; the names of those that were made or changed.

    One that is there is left alone. With `merge` what it lacks is added, and with `prefer_new` what it has is
    exchanged; with `overwrite` it is removed first. Invalid for a file that says something wrong, and nothing is
    changed then.
    """
    wanted = [_checked(words) for words in files]

    def write(tx: Tx) -> list[str]:
        metadefs_namespaces.lock(tx)
        changed = []
        for words in wanted:
            old = store.find(tx, words["namespace"])
            if old is not None and overwrite:
                store.remove(tx, old.id)
                old = None
            if old is None:
                old = metadefs_namespaces.make(words, owner=words.get("owner", OWNER))
                store.add(tx, old)
            elif not merge:
                continue
            elif prefer_new:
                _exchange(tx, old, words)
            _merge(tx, metadefs_namespaces.contents(old, words), prefer_new=prefer_new)
            changed.append(old.namespace)
        return changed

    return db.write(write)


def unload(db: Database) -> list[str]:
    """Remove all definitions, protected or not, and all types of resources; the names of the namespaces."""

    def write(tx: Tx) -> list[str]:
        metadefs_namespaces.lock(tx)
        found = store.every(tx)
        for namespace in found:
            store.remove(tx, namespace.id)
        metadefs.forget_resource_types(tx)
        return [namespace.namespace for namespace in found]

    return db.write(write)


def export(db: Source, folder: Path) -> list[Path]:
    """Write a JSON file a namespace, which `load` and Glance read; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for namespace in store.every(db):
        path = folder / f"{_NOT_A_NAME.sub('-', namespace.namespace).strip('-') or namespace.id}.json"
        words = _words(namespace, metadefs_namespaces.inside(db, namespace))
        path.write_text(json.dumps(words, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        made.append(path)
    return made


def _checked(words: Mapping[str, Any]) -> dict[str, Any]:
    shapes = {"properties": dict, "objects": list, "tags": list, "resource_type_associations": list}
    name = words["namespace"]
    if any(name in words and not isinstance(words[name], shape) for name, shape in shapes.items()):
        raise Invalid(f"the definitions of {name} are not what they should be")
    try:
        return metadefs_schemas.cleaned(words)
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}") from None
    except (AttributeError, TypeError):
        raise Invalid(f"the definitions of {name} are not what they should be") from None


def _exchange(tx: Tx, old: Namespace, words: Mapping[str, Any]) -> None:
    new = metadefs_namespaces.make(words, owner=words.get("owner", OWNER))
    changes = msgspec.structs.asdict(msgspec.structs.replace(new, created_at=old.created_at))
    del changes["id"]
    store.change(tx, old.id, changes)


def _merge(tx: Tx, content: Inside, *, prefer_new: bool) -> None:
    for association in content.associations:
        metadefs.know_resource_type(tx, association.name, association.created_at)
    parts: list[Part] = [*content.associations, *content.objects, *content.properties, *content.tags]
    for each in parts:
        _merge_one(tx, each, prefer_new=prefer_new)


def _merge_one(tx: Tx, new: Part, *, prefer_new: bool) -> None:
    old = metadefs.find(tx, type(new), new.namespace_id, new.name)
    if old is None:
        metadefs.add(tx, new)
    elif prefer_new:
        changes = msgspec.structs.asdict(msgspec.structs.replace(new, created_at=old.created_at))
        metadefs.change(tx, type(new), new.namespace_id, new.name, changes)


def _words(namespace: Namespace, inside: Inside) -> dict[str, Any]:
    same = ("namespace", "display_name", "description", "visibility", "protected", "owner")
    return {
        **{name: getattr(namespace, name) for name in same},
        "resource_type_associations": [
            {"name": each.name, "prefix": each.prefix, "properties_target": each.properties_target}
            for each in inside.associations
        ],
        "properties": {each.name: each.schema for each in inside.properties},
        "objects": [
            {
                "name": each.name,
                "description": each.description,
                "required": each.required,
                "properties": each.properties,
            }
            for each in inside.objects
        ],
        "tags": [{"name": each.name} for each in inside.tags],
    }
