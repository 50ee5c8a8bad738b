# SPDX-License-Identifier: Apache-2.0
"""What can be done with service providers: the clouds that let in whom this one has proven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.identity.logic import identity_providers, revocations
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.store import service_providers as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import ServiceProvider

RELAY_STATE_PREFIX = "ss:mem:"  # what Shibboleth begins its relay states with


def get(source: Source, provider_id: str) -> ServiceProvider:
    found = store.find(source, provider_id)
    if found is None:
        raise NotFound(f"Could not find Service Provider: {provider_id}.", code="ServiceProviderNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[ServiceProvider]:
    return store.find_all(source, filters)


class Enabled(Memory[None, list[ServiceProvider]]):
    """The providers that every token names."""


def enabled(cloud: Cloud) -> list[ServiceProvider]:
    """Those that every token names, remembered until the epoch has grown."""
    remembered, epoch = cloud.keep(Enabled), revocations.epoch_now(cloud)
    found = remembered.find(epoch, None)
    if found is None:
        found = store.find_all(cloud.db, [Filter("enabled", True)])
        remembered.put(epoch, None, found)
    return found


def create(cloud: Cloud, provider_id: str, words: Mapping[str, Any]) -> ServiceProvider:
    identity_providers.check_id(provider_id)
    prefix = words.get("relay_state_prefix")
    new = ServiceProvider(
        id=provider_id,
        enabled=bool(words.get("enabled", False)),
        description=words.get("description"),
        auth_url=words["auth_url"],
        sp_url=words["sp_url"],
        relay_state_prefix=RELAY_STATE_PREFIX if prefix is None else prefix,
    )

    def write(tx: Tx) -> None:
        if store.find(tx, provider_id) is not None:
            raise Conflict(
                f"Conflict occurred attempting to store service_provider - Duplicate entry found with ID {provider_id}."
            )
        store.add(tx, new)
        revocations.changed(tx)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, provider_id: str, words: Mapping[str, Any]) -> ServiceProvider:
    values = dict(words)
    if values.get("relay_state_prefix", "") is None:
        values["relay_state_prefix"] = RELAY_STATE_PREFIX

    def write(tx: Tx) -> ServiceProvider:
        get(tx, provider_id)
        store.change(tx, provider_id, values)
        revocations.changed(tx)
        return get(tx, provider_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, provider_id: str) -> None:
    def write(tx: Tx) -> None:
        get(tx, provider_id)
        store.remove(tx, provider_id)
        revocations.changed(tx)

    cloud.db.write(write)
