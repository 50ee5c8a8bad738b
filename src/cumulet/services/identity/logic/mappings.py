# SPDX-License-Identifier: Apache-2.0
"""What can be done with mappings; what their rules mean is in `logic.mapping_rules`."""

from __future__ import annotations

from collections.abc import Mapping as Words
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.identity.logic import identity_providers, mapping_rules
from cumulet.services.identity.store import mappings as store
from cumulet.services.identity.types import Mapping


def get(source: Source, mapping_id: str) -> Mapping:
    found = store.find(source, mapping_id)
    if found is None:
        raise NotFound(f"Could not find mapping: {mapping_id}.", code="MappingNotFound")
    return found


def find_all(source: Source) -> list[Mapping]:
    return store.find_all(source)


def create(cloud: Cloud, mapping_id: str, words: Words[str, Any]) -> Mapping:
    identity_providers.check_id(mapping_id)
    version = _check(words)
    new = Mapping(mapping_id, words["rules"], version)

    def write(tx: Tx) -> None:
        if store.find(tx, mapping_id) is not None:
            raise Conflict("Conflict occurred attempting to store mapping - Duplicate entry.")
        store.add(tx, new)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, mapping_id: str, words: Words[str, Any]) -> Mapping:
    """Replace the rules; a version that is not said is the first one, as for a new mapping."""
    version = _check(words)

    def write(tx: Tx) -> Mapping:
        get(tx, mapping_id)
        store.change(tx, mapping_id, {"rules": words["rules"], "schema_version": version})
        return get(tx, mapping_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, mapping_id: str) -> None:
    """Remove a mapping; a protocol that names it lets nobody in from now on."""

    def write(tx: Tx) -> None:
        get(tx, mapping_id)
        store.remove(tx, mapping_id)

    cloud.db.write(write)


def _check(words: Words[str, Any]) -> str:
    version = words.get("schema_version") or mapping_rules.DEFAULT_VERSION
    wrong = mapping_rules.problems({**words, "schema_version": version})
    if wrong:
        raise Invalid("".join(f"{line}\n" for line in wrong))
    return str(version)
