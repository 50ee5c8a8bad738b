# SPDX-License-Identifier: Apache-2.0
"""What can be done with stored policies: documents that other services ask for; nothing here judges by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import changes
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import policies as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import StoredPolicy

FIELDS = ("type", "blob")


def get(source: Source, policy_id: str) -> StoredPolicy:
    found = store.find(source, policy_id)
    if found is None:
        raise NotFound(f"Could not find policy: {policy_id}.", code="PolicyNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[StoredPolicy]:
    return store.find_all(source, filters)


def create(cloud: Cloud, words: Mapping[str, Any]) -> StoredPolicy:
    new = StoredPolicy(ids.new_hex(), words["type"], words["blob"], changes.extras(words, FIELDS))
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        store.add(tx, new)
        news.tell(tx, "policy", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, policy_id: str, words: Mapping[str, Any]) -> StoredPolicy:
    news = Teller(cloud)

    def write(tx: Tx) -> StoredPolicy:
        changes.check_same(words, "id", policy_id, "Cannot change policy ID")
        old = get(tx, policy_id)
        values = {name: words[name] for name in FIELDS if name in words}
        store.change(tx, policy_id, {**values, "extra": {**old.extra, **changes.extras(words, FIELDS)}})
        news.tell(tx, "policy", "updated", policy_id)
        return get(tx, policy_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, policy_id: str) -> None:
    """Remove a policy with its associations."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, policy_id)
        store.remove(tx, policy_id)
        news.tell(tx, "policy", "deleted", policy_id)

    cloud.db.write(write)
