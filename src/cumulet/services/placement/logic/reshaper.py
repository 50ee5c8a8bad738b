# SPDX-License-Identifier: Apache-2.0
"""Moving inventory between providers together with the claims on it, in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid
from cumulet.services.placement.logic import allocations, inventories, providers
from cumulet.services.placement.logic.allocations import Wish
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.types import Inventory


def reshape(cloud: Cloud, inventory: Mapping[str, tuple[int, Sequence[Inventory]]], wishes: Mapping[str, Wish]) -> None:
    """Let providers have these inventories (with the generation that they must have now) and consumers these claims.

    In between each provider has both what it had and what it will have, so that claims can move.
    """

    def write(tx: Tx) -> None:
        providers.lock_all(tx, inventory)
        _check_providers(tx, inventory)
        allocations.check_generations(tx, wishes)
        allocations.check_providers(tx, wishes.values())
        for uuid, (_, wanted) in inventory.items():
            if wanted:
                union = {**inventories.of_provider(tx, uuid), **{each.resource_class: each for each in wanted}}
                inventories.put(tx, uuid, union.values())
        allocations.replace(tx, wishes)
        for uuid, (_, wanted) in inventory.items():
            inventories.put(tx, uuid, wanted)

    cloud.db.write(write)


def _check_providers(tx: Tx, inventory: Mapping[str, tuple[int, Sequence[Inventory]]]) -> None:
    found = provider_store.find_some(tx, inventory)
    for uuid, (generation, _) in inventory.items():
        provider = found.get(uuid)
        if provider is None:
            raise Invalid(
                f"Resource provider {uuid} in inventories not found: No resource provider with uuid {uuid} found",
                code="ProviderNotFoundInBody",
            )
        if provider.generation != generation:
            raise Conflict(
                f"resource provider generation conflict for provider {uuid}: "
                f"actual: {provider.generation}, given: {generation}",
                code="ConcurrentUpdate",
            )
