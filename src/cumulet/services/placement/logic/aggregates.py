# SPDX-License-Identifier: Apache-2.0
"""What can be done with the aggregates of a provider."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.placement.logic import providers
from cumulet.services.placement.store import aggregates as store
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.types import Provider


def of_provider(source: Source, uuid: str) -> list[str]:
    return [each.aggregate_uuid for each in store.of_providers(source, [uuid])]


def replace(cloud: Cloud, uuid: str, aggregates: Iterable[str], generation: int | None) -> Provider:
    """Let the provider be a member of these.

    With a `generation` it must be the provider's, or Conflict, and grows; without one (API below 1.19) it does not.
    """

    def write(tx: Tx) -> Provider:
        found = providers.lock(tx, uuid)
        if generation is not None and found.generation != generation:
            raise Conflict(
                "Resource provider's generation already changed. Please update the generation and try again.",
                code="ConcurrentUpdate",
            )
        _put(tx, uuid, set(aggregates))
        if generation is not None:
            provider_store.bump(tx, [uuid])
        return providers.get(tx, uuid)

    return cloud.db.write(write)


def ensure(tx: Tx, uuid: str, aggregates: set[str]) -> None:
    """Let the provider be a member of these; its generation grows where that is new."""
    providers.lock(tx, uuid)
    if _put(tx, uuid, aggregates):
        provider_store.bump(tx, [uuid])


def _put(tx: Tx, uuid: str, aggregates: set[str]) -> bool:
    have = set(of_provider(tx, uuid))
    store.dissociate(tx, uuid, have - aggregates)
    store.associate(tx, uuid, aggregates - have)
    return have != aggregates
