# SPDX-License-Identifier: Apache-2.0
"""Who holds what: claims, checked against the inventories in the transaction that writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.logic import classes, providers
from cumulet.services.placement.logic.providers import UNSET, Unset
from cumulet.services.placement.store import allocations as store
from cumulet.services.placement.store import inventories, usages
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.types import Allocation, Consumer, Provider

# Amounts by class by provider.
Claims = Mapping[str, Mapping[str, int]]
Pair = tuple[str, str]  # a provider and a class


@dataclass(frozen=True)
class Wish:
    """What a consumer shall hold from now on, and whose it is.

    `generation` is the consumer's as its owner knows it, None for one that shall not exist yet, UNSET unchecked; `type`
    None leaves the type as it is.
    """

    claims: Claims
    project_id: str
    user_id: str
    type: str | None = None
    generation: int | Unset | None = UNSET


@dataclass(frozen=True)
class Holding:
    """What a consumer holds: the consumer, its allocations, and the providers of them by uuid."""

    consumer: Consumer
    allocations: list[Allocation]
    providers: dict[str, Provider]


def of_consumer(source: Source, uuid: str) -> Holding | None:
    found = store.of_consumers(source, [uuid])
    consumer = store.find_consumers(source, [uuid]).get(uuid)
    if not found or consumer is None:
        return None
    return Holding(consumer, found, provider_store.find_some(source, {each.provider_uuid for each in found}))


def of_provider(source: Source, uuid: str) -> tuple[list[Allocation], dict[str, Consumer]]:
    """The allocations of a provider, and their consumers by uuid."""
    found = store.of_provider(source, uuid)
    return found, store.find_consumers(source, {each.consumer_uuid for each in found})


def delete(cloud: Cloud, uuid: str) -> None:
    """Release all that a consumer holds; NotFound where that is nothing. Generations of providers stay."""

    def write(tx: Tx) -> None:
        if not store.of_consumers(tx, [uuid]):
            raise NotFound(f"No allocations for consumer '{uuid}'")
        release(tx, uuid)

    cloud.db.write(write)


def release(tx: Tx, uuid: str) -> None:
    """The consumer holds nothing any more, and is gone."""
    _lock_consumers(tx, [uuid])
    providers.lock_all(tx, (each.provider_uuid for each in store.of_consumers(tx, [uuid])))
    store.remove(tx, [uuid])
    store.remove_consumers(tx, [uuid])


def consumers_of(source: Source, provider: str, kind: str) -> list[str]:
    """Who of this type holds anything of the provider."""
    return store.consumers_of(source, provider, kind)


def check_providers(source: Source, wishes: Iterable[Wish]) -> None:
    """Raise Invalid for a claim on a provider that does not exist."""
    uuids = {uuid for wish in wishes for uuid in wish.claims}
    for uuid in sorted(uuids - provider_store.find_some(source, uuids).keys()):
        raise Invalid(f"Allocation for resource provider '{uuid}' that does not exist.", code="ProviderNotFound")


def check_generations(source: Source, wishes: Mapping[str, Wish]) -> None:
    """Raise Conflict for a consumer that has changed since its owner knew it."""
    consumers = store.find_consumers(source, wishes)
    for uuid, wish in wishes.items():
        _check_generation(consumers.get(uuid), wish)


def replace(tx: Tx, wishes: Mapping[str, Wish]) -> None:
    """Let each consumer hold what it wishes, instead of what it held; all of them or none.

    Raises NotFound for a class that does not exist; Conflict for a generation that has passed (code ConcurrentUpdate),
    for amounts that an inventory does not permit, and where there is no room. A consumer may hold on to more than the
    capacity, which an operator may have lowered, as long as it is not more than before.
    """
    _lock_consumers(tx, wishes)
    consumers = store.find_consumers(tx, wishes)
    for uuid, wish in wishes.items():
        _check_generation(consumers.get(uuid), wish)
    held = store.of_consumers(tx, wishes)
    touched = {uuid for wish in wishes.values() for uuid in wish.claims}
    touched |= {each.provider_uuid for each in held if not wishes[each.consumer_uuid].claims}
    providers.lock_all(tx, touched | {each.provider_uuid for each in held})
    classes.check(tx, {name for wish in wishes.values() for amounts in wish.claims.values() for name in amounts})
    before = after = usages.of_providers(tx, touched)
    if held:
        store.remove(tx, wishes)
        after = usages.of_providers(tx, touched)
    _check_room(tx, wishes.values(), before, after)
    for uuid, wish in wishes.items():
        _write(tx, uuid, wish, consumers.get(uuid))
    provider_store.bump(tx, touched)


def add(tx: Tx, uuid: str, more: Claims) -> None:
    """Let the consumer hold so much more of each provider, or less where amounts are negative.

    Raises NotFound where it holds nothing, or nothing of a provider of which it is to hold less (code
    NothingClaimedOfProvider), and what `replace` raises.
    """
    _lock_consumers(tx, [uuid])
    found = of_consumer(tx, uuid)
    if found is None:
        raise NotFound(f"No allocations for consumer '{uuid}'")
    held: dict[str, dict[str, int]] = {}
    for each in found.allocations:
        held.setdefault(each.provider_uuid, {})[each.resource_class] = each.used
    for provider, amounts in more.items():
        if provider not in held and any(amount < 0 for amount in amounts.values()):
            raise NotFound(f"Nothing of {provider} is claimed", code="NothingClaimedOfProvider", provider=provider)
        mine = held.setdefault(provider, {})
        for name, amount in amounts.items():
            mine[name] = mine.get(name, 0) + amount
    claims = {
        provider: positive
        for provider, amounts in held.items()
        if (positive := {name: amount for name, amount in amounts.items() if amount > 0})
    }
    replace(tx, {uuid: Wish(claims, found.consumer.project_id, found.consumer.user_id)})


def _lock_consumers(tx: Tx, uuids: Iterable[str]) -> None:
    for uuid in sorted(uuids):
        tx.lock(f"placement:consumer:{uuid}")


def _check_generation(consumer: Consumer | None, wish: Wish) -> None:
    if isinstance(wish.generation, Unset):
        return
    have = None if consumer is None else consumer.generation
    if have != wish.generation:
        expected = "null" if have is None else have
        raise Conflict(
            f"consumer generation conflict - expected {expected} but got {wish.generation}", code="ConcurrentUpdate"
        )


def _check_room(tx: Tx, wishes: Iterable[Wish], before: Mapping[Pair, int], used: Mapping[Pair, int]) -> None:
    """Hold the wishes against what is `used` by others; `before` includes what the wishers held."""
    sums: dict[Pair, int] = defaultdict(int)
    uuids = {uuid for wish in wishes for uuid in wish.claims}
    stock = {(each.provider_uuid, each.resource_class): each for each in inventories.find_all(tx, uuids)}
    for wish in wishes:
        for uuid, amounts in wish.claims.items():
            for name, amount in amounts.items():
                pair = (uuid, name)
                inventory = stock.get(pair)
                if inventory is None:
                    raise Conflict(
                        f"Inventory for '{name}' on resource provider '{uuid}' invalid.", code="InvalidInventory"
                    )
                if not inventory.permits(amount):
                    raise _refused(pair, "violate inventory constraints")
                sums[pair] += amount
                total = used.get(pair, 0) + sums[pair]
                if total > inventory.capacity and total > before.get(pair, 0):
                    raise _refused(pair, "exceed the capacity")


def _refused(pair: Pair, what: str) -> Conflict:
    return Conflict(
        f"Unable to create allocation for '{pair[1]}' on resource provider '{pair[0]}'. "
        f"The requested amount would {what}.",
        code="InvalidInventory",
    )


def _write(tx: Tx, uuid: str, wish: Wish, consumer: Consumer | None) -> None:
    now = clock.utcnow()
    if not wish.claims:
        store.remove_consumers(tx, [uuid])
        return
    if consumer is None:
        store.add_consumer(tx, Consumer(uuid, wish.project_id, wish.user_id, wish.type, 1, now, None))
    else:
        changes = {
            "project_id": wish.project_id,
            "user_id": wish.user_id,
            "type": wish.type or consumer.type,
            "generation": consumer.generation + 1,
            "updated_at": now,
        }
        store.change_consumer(tx, uuid, changes)
    store.add(
        tx,
        (
            Allocation(uuid, provider, name, amount, now)
            for provider, amounts in wish.claims.items()
            for name, amount in amounts.items()
        ),
    )
