# SPDX-License-Identifier: Apache-2.0
"""What can be done with the services of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import changes, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import services as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Service

FIELDS = ("type", "name", "description", "enabled")


def get(source: Source, service_id: str) -> Service:
    found = store.find(source, service_id)
    if found is None:
        raise NotFound(f"Could not find service: {service_id}.", code="ServiceNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Service]:
    return store.find_all(source, filters)


def create(cloud: Cloud, words: Mapping[str, Any]) -> Service:
    new = Service(
        id=ids.new_hex(),
        type=words["type"],
        name=words.get("name") or "",
        description=words.get("description"),
        enabled=words.get("enabled", True) is not False,
        extra=changes.extras(words, FIELDS),
    )
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        store.add(tx, new)
        news.tell(tx, "service", "created", new.id)
        revocations.changed(tx)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, service_id: str, words: Mapping[str, Any]) -> Service:
    news = Teller(cloud)

    def write(tx: Tx) -> Service:
        old = get(tx, service_id)
        changes.check_same(words, "id", old.id, "Cannot change ID")
        values = {name: words[name] for name in FIELDS if name in words}
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, service_id, values)
        news.tell(tx, "service", "updated", service_id)
        revocations.changed(tx)
        return get(tx, service_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, service_id: str) -> None:
    """Remove a service with its endpoints and limits."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, service_id)
        store.remove(tx, service_id)
        news.tell(tx, "service", "deleted", service_id)
        revocations.changed(tx)

    cloud.db.write(write)
