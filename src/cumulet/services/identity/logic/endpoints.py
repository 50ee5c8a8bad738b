# SPDX-License-Identifier: Apache-2.0
"""What can be done with the endpoints of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.identity.logic import catalog, changes, revocations
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import endpoints as store
from cumulet.services.identity.store import regions, services
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Endpoint, Region

FIELDS = ("interface", "region_id", "region", "service_id", "url", "enabled")
VARIABLES = {"project_id": "", "tenant_id": "", "user_id": ""}


def get(source: Source, endpoint_id: str) -> Endpoint:
    found = store.find(source, endpoint_id)
    if found is None:
        raise NotFound(f"Could not find endpoint: {endpoint_id}.", code="EndpointNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[Endpoint]:
    return store.find_all(source, filters)


def create(cloud: Cloud, words: Mapping[str, Any]) -> Endpoint:
    """Store a new endpoint; a region named by the old word `region` is made where it is missing."""
    new = Endpoint(
        id=ids.new_hex(),
        interface=words["interface"],
        region_id=words.get("region_id") or words.get("region"),
        service_id=words["service_id"],
        url=words["url"],
        enabled=words.get("enabled", True) is not False,
        extra=changes.extras(words, FIELDS),
    )

    news = Teller(cloud)

    def write(tx: Tx) -> None:
        _check(tx, {**words, "region_id": new.region_id}, news)
        store.add(tx, new)
        news.tell(tx, "endpoint", "created", new.id)
        revocations.changed(tx)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, endpoint_id: str, words: Mapping[str, Any]) -> Endpoint:
    news = Teller(cloud)

    def write(tx: Tx) -> Endpoint:
        old = get(tx, endpoint_id)
        changes.check_same(words, "id", old.id, "Cannot change ID")
        values = {name: words[name] for name in FIELDS if name in words and name != "region"}
        if "region" in words and "region_id" not in words:
            values["region_id"] = words["region"]
        _check(tx, {**words, **values}, news)
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, endpoint_id, values)
        news.tell(tx, "endpoint", "updated", endpoint_id)
        revocations.changed(tx)
        return get(tx, endpoint_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, endpoint_id: str) -> None:
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, endpoint_id)
        store.remove(tx, endpoint_id)
        news.tell(tx, "endpoint", "deleted", endpoint_id)
        revocations.changed(tx)

    cloud.db.write(write)


def _check(tx: Tx, words: Mapping[str, Any], news: Teller) -> None:
    """Hold an endpoint to an URL that can be filled in, a service that is there, and a region that is or is made."""
    filled = catalog.fill(words["url"], VARIABLES) if "url" in words else ""
    if filled is None or "$(" in filled or "%(" in filled:
        raise Invalid(f"Cannot create an endpoint with an invalid URL: {words['url']}.")
    if "service_id" in words and services.find(tx, words["service_id"]) is None:
        raise _unknown("service")
    region_id = words.get("region_id")
    if region_id is not None and regions.find(tx, region_id) is None:
        if "region" not in words:
            raise _unknown("region")
        regions.add(tx, Region(region_id, "", None))
        news.tell(tx, "region", "created", region_id)


def _unknown(kind: str) -> CumuletError:
    return lacks(f"endpoint {kind}_id", f"{kind} table")
