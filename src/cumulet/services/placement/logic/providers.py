# SPDX-License-Identifier: Apache-2.0
"""What can be done with resource providers and their trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.store import providers as store
from cumulet.services.placement.types import MAX_INT, Provider


class Unset(msgspec.Struct, frozen=True):
    """A parent that the caller did not speak of."""


UNSET = Unset()


def get(source: Source, uuid: str) -> Provider:
    found = store.find(source, uuid)
    if found is None:
        raise NotFound(f"No resource provider with uuid {uuid} found", code="ProviderNotFound")
    return found


def named(source: Source, name: str) -> str | None:
    """The uuid of the provider of this name."""
    found = store.find_named(source, name)
    return found.uuid if found is not None else None


def below(source: Source, uuid: str) -> dict[str, str]:
    """The names of all providers of the tree below this one, by uuid."""
    found = store.find_some(source, _subtree(source, get(source, uuid)) - {uuid})
    return {key: each.name for key, each in found.items()}


@dataclass(frozen=True)
class Filters:
    """What providers are looked for; of each set in `required` one trait, of each in `member_of` one aggregate."""

    name: str | None = None
    uuid: str | None = None
    in_tree: str | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    required: Sequence[frozenset[str]] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: Sequence[frozenset[str]] = ()
    not_member_of: frozenset[str] = frozenset()


def find_all(source: Source, filters: Filters) -> list[Provider]:
    """Providers by name."""
    root = None
    if filters.in_tree is not None:
        found = store.find(source, filters.in_tree)
        if found is None:
            return []
        root = found.root_uuid
    if any(amount > MAX_INT for amount in filters.resources.values()):
        return []
    return store.find_all(
        source,
        name=filters.name,
        uuid=filters.uuid,
        root_uuid=root,
        with_room=filters.resources.items(),
        required=filters.required,
        forbidden=filters.forbidden,
        member_of=filters.member_of,
        not_member_of=filters.not_member_of,
    )


def lock(tx: Tx, uuid: str) -> Provider:
    """The provider, held until the commit: its inventory, traits and claims change through this holder alone."""
    lock_all(tx, [uuid])
    return get(tx, uuid)


def lock_all(tx: Tx, uuids: Iterable[str]) -> None:
    for uuid in sorted(set(uuids)):
        tx.lock(f"placement:provider:{uuid}")


def create(cloud: Cloud, uuid: str, name: str, parent_uuid: str | None) -> Provider:
    """Make a provider.

    Raises Conflict where uuid or name are taken, Invalid for a parent that cannot be.
    """
    return cloud.db.write(lambda tx: add(tx, uuid, name, parent_uuid))


def add(tx: Tx, uuid: str, name: str, parent_uuid: str | None) -> Provider:
    """`create` within a transaction."""
    tx.lock("placement:tree")
    taken = [f"uuid: {uuid}"] if store.find(tx, uuid) is not None else []
    if store.find_named(tx, name) is not None:
        taken.append(f"name: {name}")
    parent = store.find(tx, parent_uuid) if parent_uuid is not None else None
    if not name:
        raise _refused(name, uuid, "name is required")
    if parent_uuid == uuid:
        raise _refused(
            name,
            uuid,
            "parent provider UUID cannot be same as UUID. "
            "Please set parent provider UUID to None if there is no parent.",
        )
    if parent_uuid is not None and parent is None:
        raise _refused(name, uuid, "parent provider UUID does not exist.")
    if taken:
        raise Conflict(f"Conflicting resource provider {', '.join(taken)} already exists.", code="DuplicateName")
    root = uuid if parent is None else parent.root_uuid
    now = clock.utcnow()
    new = Provider(uuid, name, 0, parent_uuid, root, now, now if parent is None else None)
    store.add(tx, new)
    return new


def update(
    cloud: Cloud, uuid: str, name: str, parent_uuid: str | Unset | None, *, may_move: bool
) -> tuple[Provider, Provider]:
    """Rename a provider, and give it a parent; one that has a parent gets another, or none, only if it `may_move`.

    Returns the provider as it was and as it is.
    """

    def write(tx: Tx) -> tuple[Provider, Provider]:
        before = get(tx, uuid)
        return before, change(tx, uuid, name, parent_uuid, may_move=may_move)

    return cloud.db.write(write)


def change(tx: Tx, uuid: str, name: str, parent_uuid: str | Unset | None, *, may_move: bool) -> Provider:
    """`update` within a transaction."""
    tx.lock("placement:tree")
    old = get(tx, uuid)
    changes: dict[str, Any] = {}
    if name != old.name:
        if store.find_named(tx, name) is not None:
            raise Conflict(f"Conflicting resource provider {name} already exists.", code="DuplicateName")
        changes["name"] = name
    if not isinstance(parent_uuid, Unset) and parent_uuid != old.parent_uuid:
        changes |= _move(tx, old, parent_uuid, may_move)
    if changes:
        store.change(tx, uuid, {**changes, "updated_at": clock.utcnow()})
    return get(tx, uuid)


def ensure(tx: Tx, uuid: str, name: str, parent_uuid: str | None) -> None:
    """Make the provider exist with this name and this parent."""
    if parent_uuid is not None:
        get(tx, parent_uuid)
    if store.find(tx, uuid) is None:
        add(tx, uuid, name, parent_uuid)
    else:
        change(tx, uuid, name, parent_uuid, may_move=True)


def delete(cloud: Cloud, uuid: str) -> None:
    """Take away a provider that has neither children nor claims on it, with its inventory."""

    def write(tx: Tx) -> None:
        if not remove(tx, uuid):
            raise NotFound(f"No resource provider with uuid {uuid} found for delete", code="ProviderNotFound")

    cloud.db.write(write)


def remove(tx: Tx, uuid: str) -> bool:
    """`delete` within a transaction; False where there is no such provider."""
    lock_all(tx, [uuid])
    old = store.find(tx, uuid)
    if old is None:
        return False
    if store.has_children(tx, old.uuid):
        raise Conflict(
            f"Unable to delete parent resource provider {old.uuid}: It has child resource providers.",
            code="CannotDeleteParent",
        )
    if store.has_allocations(tx, old.uuid):
        raise Conflict(
            f"Unable to delete resource provider {old.uuid}: Resource provider has allocations.", code="ProviderInUse"
        )
    store.remove(tx, old.uuid)
    return True


def _move(tx: Tx, old: Provider, parent_uuid: str | None, may_move: bool) -> dict[str, Any]:
    subtree = _subtree(tx, old)
    if parent_uuid is None:
        if not may_move:
            raise _unsaved(old, "update", "un-parenting a provider is not currently allowed.")
        root = old.uuid
    else:
        parent = store.find(tx, parent_uuid)
        if parent is None:
            raise _unsaved(old, "create", "parent provider UUID does not exist.")
        if old.parent_uuid is not None and not may_move:
            raise _unsaved(old, "update", "re-parenting a provider is not currently allowed.")
        if parent_uuid in subtree:
            raise _unsaved(old, "update", "creating loop in the provider tree is not allowed.")
        root = parent.root_uuid
    store.move_to_root(tx, subtree, root)
    return {"parent_uuid": parent_uuid}


def _subtree(source: Source, top: Provider) -> set[str]:
    children = defaultdict(list)
    for each in store.find_tree(source, top.root_uuid):
        children[each.parent_uuid].append(each.uuid)
    found, pending = {top.uuid}, [top.uuid]
    while pending:
        below = children[pending.pop()]
        found.update(below)
        pending.extend(below)
    return found


def _unsaved(old: Provider, action: str, reason: str) -> Invalid:
    return Invalid(f"Unable to save resource provider {old.uuid}: Object action {action} failed because: {reason}")


def _refused(name: str, uuid: str, reason: str) -> Invalid:
    return Invalid(
        f'Unable to create resource provider "{name}", {uuid}: Object action create failed because: {reason}'
    )
