# SPDX-License-Identifier: Apache-2.0
"""The placement contract, implemented on the verbs that serve the API as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.placement.contract import (
    Allocation,
    Amounts,
    Candidate,
    Inventory,
    PlacementContract,
    ProviderUsage,
    RequestGroup,
    Room,
)
from cumulet.services.placement.logic import aggregates as aggregate_verbs
from cumulet.services.placement.logic import allocations as claim_verbs
from cumulet.services.placement.logic import candidates, inventories, providers, standard, usages
from cumulet.services.placement.logic import traits as trait_verbs
from cumulet.services.placement.logic.allocations import Wish
from cumulet.services.placement.logic.memory import Memory
from cumulet.services.placement.logic.search import Group, Query


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    return {PlacementContract: lambda: Placement(cloud.keep(Memory))}


class Placement:
    """All of it works in the caller's transaction; what is remembered serves the search for candidates alone."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def ensure_provider(self, tx: Tx, uuid: str, name: str, parent: str | None = None) -> None:
        providers.ensure(tx, uuid, name, parent)

    def delete_provider(self, tx: Tx, uuid: str) -> None:
        providers.remove(tx, uuid)

    def provider_named(self, source: Source, name: str) -> str | None:
        return providers.named(source, name)

    def providers_below(self, source: Source, provider: str) -> dict[str, str]:
        return providers.below(source, provider)

    def retire_provider(self, tx: Tx, uuid: str) -> bool:
        return inventories.retire(tx, uuid)

    def set_inventory(self, tx: Tx, provider: str, inventory: Mapping[str, Inventory]) -> None:
        wanted = {name: _fields(each) for name, each in inventory.items() if each.total > 0}
        inventories.ensure(tx, provider, wanted)

    def set_traits(self, tx: Tx, provider: str, traits: Iterable[str]) -> None:
        trait_verbs.ensure(tx, provider, set(traits))

    def is_standard_trait(self, name: str) -> bool:
        return name in standard.traits()

    def is_standard_class(self, name: str) -> bool:
        return name in standard.classes()

    def set_aggregates(self, tx: Tx, provider: str, aggregates: Iterable[str]) -> None:
        aggregate_verbs.ensure(tx, provider, set(aggregates))

    def candidates(
        self,
        source: Source,
        resources: Amounts,
        *,
        required: Iterable[str] = (),
        forbidden: Iterable[str] = (),
        member_of: Iterable[Iterable[str]] = (),
        in_tree: str | None = None,
        limit: int | None = None,
        groups: Mapping[str, RequestGroup] = MappingProxyType({}),
        same_subtrees: Iterable[Iterable[str]] = (),
    ) -> list[Candidate]:
        whole = Group(
            {name: amount for name, amount in resources.items() if amount},
            required=[frozenset({name}) for name in required],
            forbidden=frozenset(forbidden),
            member_of=[frozenset(each) for each in member_of],
            in_tree=in_tree,
        )
        wanted = {"": whole} if whole.resources or not groups else {}
        for name, each in groups.items():
            traits = [frozenset({trait}) for trait in each.required]
            wanted[name] = Group(each.resources, required=traits, in_tree=in_tree)
        query = Query(wanted, same_subtrees=[frozenset(each) for each in same_subtrees], limit=limit)
        found = candidates.candidates(self._memory, source, query)
        return [
            Candidate(
                root=each.anchor, allocations=each.claims, mappings={name: each.mappings[name][0] for name in groups}
            )
            for each in found
        ]

    def claim(
        self,
        tx: Tx,
        consumer_id: str,
        allocations: Mapping[str, Amounts],
        project_id: str,
        user_id: str,
        consumer_type: str = "INSTANCE",
    ) -> None:
        claims = {
            provider: positive
            for provider, amounts in allocations.items()
            if (positive := {name: amount for name, amount in amounts.items() if amount})
        }
        for provider in claims:
            providers.get(tx, provider)
        claim_verbs.replace(tx, {consumer_id: Wish(claims, project_id, user_id, consumer_type)})

    def add_to_claim(self, tx: Tx, consumer_id: str, more: Mapping[str, Amounts]) -> None:
        claim_verbs.add(tx, consumer_id, more)

    def release(self, tx: Tx, consumer_id: str) -> None:
        claim_verbs.release(tx, consumer_id)

    def allocation(self, source: Source, consumer_id: str) -> Allocation | None:
        found = claim_verbs.of_consumer(source, consumer_id)
        if found is None:
            return None
        resources: dict[str, dict[str, int]] = {}
        for each in found.allocations:
            resources.setdefault(each.provider_uuid, {})[each.resource_class] = each.used
        return Allocation(
            consumer_id=consumer_id,
            project_id=found.consumer.project_id,
            user_id=found.consumer.user_id,
            generation=found.consumer.generation,
            resources=resources,
        )

    def consumers(self, source: Source, provider: str, consumer_type: str) -> list[str]:
        return claim_verbs.consumers_of(source, provider, consumer_type)

    def provider_usage(self, source: Source, provider: str) -> dict[str, ProviderUsage]:
        providers.get(source, provider)
        used = usages.of_provider(source, provider)
        return {
            name: ProviderUsage(
                inventory=Inventory(**{field: getattr(each, field) for field in inventories.FIELDS}),
                capacity=each.capacity,
                used=used.get(name, 0),
            )
            for name, each in inventories.of_provider(source, provider).items()
        }

    def room(self, source: Source, providers: Iterable[str]) -> dict[str, dict[str, Room]]:
        with self._memory.fresh(source) as memory:
            nodes = [memory.find(uuid) for uuid in providers]
        return {
            node.uuid: {name: Room(node.capacity[at], node.used[at]) for name, at in node.kind.places.items()}
            for node in nodes
            if node is not None
        }

    def project_usage(self, source: Source, project_id: str, user_id: str | None = None) -> dict[str, int]:
        return usages.of_project(source, project_id, user_id)


def _fields(inventory: Inventory) -> dict[str, Any]:
    fields = msgspec.structs.asdict(inventory)
    return {**fields, "max_unit": inventory.max_unit or inventory.total}
