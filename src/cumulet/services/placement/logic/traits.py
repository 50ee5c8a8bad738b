# SPDX-License-Identifier: Apache-2.0
"""What can be done with traits, and with the traits of a provider."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.logic import providers, standard
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.store import traits as store
from cumulet.services.placement.types import Provider, Trait

# A trait's name, and when it was made in this cloud (None: a standard one).
Named = tuple[str, datetime | None]


def get(source: Source, name: str) -> Named:
    if name in standard.traits():
        return name, None
    found = store.find(source, name)
    if found is None:
        raise _missing(name)
    return found.name, found.created_at


def find_all(
    source: Source, *, names: Iterable[str] | None = None, prefix: str = "", associated: bool | None = None
) -> list[Named]:
    """Traits by name: some of `names`, beginning with `prefix`, that some provider has or (False) none has."""
    made = {each.name: each.created_at for each in store.find_all(source)}
    wanted = standard.traits() | made.keys()
    if names is not None:
        wanted &= set(names)
    if associated is not None:
        used = store.find_associated(source)
        wanted = wanted & used if associated else wanted - used
    return [(name, made.get(name)) for name in sorted(wanted) if name.startswith(prefix)]


def check(source: Source, names: Iterable[str]) -> None:
    """Raise NotFound unless all traits exist."""
    for name in sorted(_unknown(source, names)):
        raise _missing(name)


def create(cloud: Cloud, name: str) -> tuple[datetime, bool]:
    """Make a custom trait; when it was made, and whether that was now."""

    def write(tx: Tx) -> tuple[datetime, bool]:
        tx.lock("placement:traits")
        found = store.find(tx, name)
        if found is not None:
            return found.created_at, False
        new = Trait(name, clock.utcnow())
        store.add(tx, new)
        return new.created_at, True

    return cloud.db.write(write)


def delete(cloud: Cloud, name: str) -> None:
    """Remove a custom trait that no provider has."""

    def write(tx: Tx) -> None:
        if get(tx, name)[1] is None:
            raise Invalid(f"Cannot delete standard trait {name}.")
        if store.is_associated(tx, name):
            raise Conflict(f"The trait {name} is in use by a resource provider.")
        store.remove(tx, name)

    cloud.db.write(write)


def of_provider(source: Source, uuid: str) -> list[Named]:
    names = [each.trait for each in store.of_providers(source, [uuid])]
    made = {each.name: each.created_at for each in store.find_some(source, names)}
    return [(name, made.get(name)) for name in names]


def replace(cloud: Cloud, uuid: str, names: Iterable[str], generation: int | None) -> Provider:
    """Let the provider have these traits; Conflict where its generation is another than `generation`."""

    def write(tx: Tx) -> Provider:
        found = providers.lock(tx, uuid)
        if generation is not None and found.generation != generation:
            raise Conflict(
                "Resource provider's generation already changed. Please update the generation and try again.",
                code="ConcurrentUpdate",
            )
        unknown = _unknown(tx, names)
        if unknown:
            raise Invalid(f"No such trait {', '.join(sorted(unknown))}")
        put(tx, uuid, set(names))
        return providers.get(tx, uuid)

    return cloud.db.write(write)


def put(tx: Tx, uuid: str, names: set[str]) -> None:
    """Replace the traits of a provider, which exist; the generation grows where one changes."""
    have = {each.trait for each in store.of_providers(tx, [uuid])}
    if names == have:
        return
    store.dissociate(tx, uuid, have - names)
    store.associate(tx, uuid, names - have)
    provider_store.bump(tx, [uuid])


def ensure(tx: Tx, uuid: str, names: set[str]) -> None:
    """`put`, making custom traits that do not exist yet; Invalid for other names that do not."""
    providers.lock(tx, uuid)
    for name in sorted(_unknown(tx, names)):
        if not standard.is_custom(name):
            raise Invalid(f"No such trait(s): {name}.", code="TraitNotFound")
        store.add(tx, Trait(name, clock.utcnow()))
    put(tx, uuid, names)


def _unknown(source: Source, names: Iterable[str]) -> set[str]:
    own = set(names) - standard.traits()
    return own - {each.name for each in store.find_some(source, own)} if own else own


def _missing(name: str) -> NotFound:
    return NotFound(f"No such trait(s): {name}.", code="TraitNotFound")
