# SPDX-License-Identifier: Apache-2.0
"""What can be done with consumers: programs that ask users for a share of their rights (OAuth 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import changes, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import consumers as store
from cumulet.services.identity.types import Consumer

KIND = "OS-OAUTH1:consumer"
FIELDS = ("description", "secret")


def get(source: Source, consumer_id: str) -> Consumer:
    found = store.find(source, consumer_id)
    if found is None:
        raise NotFound("Consumer not found", code="ConsumerNotFound")
    return found


def find_all(source: Source) -> list[Consumer]:
    return store.find_all(source)


def create(cloud: Cloud, words: Mapping[str, Any]) -> Consumer:
    new = Consumer(ids.new_hex(), words.get("description"), changes.extras(words, FIELDS))
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        store.add(tx, new)
        news.tell(tx, KIND, "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, consumer_id: str, words: Mapping[str, Any]) -> Consumer:
    news = Teller(cloud)

    def write(tx: Tx) -> Consumer:
        changes.check_same(words, "id", consumer_id, "Cannot change ID")
        old = get(tx, consumer_id)
        values = {name: words[name] for name in ("description",) if name in words}
        store.change(tx, consumer_id, {**values, "extra": {**old.extra, **changes.extras(words, FIELDS)}})
        news.tell(tx, KIND, "updated", consumer_id)
        return get(tx, consumer_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, consumer_id: str) -> None:
    """Remove a consumer with all that users have lent it; its tokens are void at once."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, consumer_id)
        store.remove(tx, consumer_id)
        news.tell(tx, KIND, "deleted", consumer_id)
        revocations.revoke(tx, consumer_id=consumer_id)

    cloud.db.write(write)
