# SPDX-License-Identifier: Apache-2.0
"""What is shared, and with whom: RBAC policies and what the objects' own rows say of them.

The row of an object that can be shared has `shared` (a policy shares it with everybody) and `granted` (policies name
single projects), so that most questions need no look at the policies. Whoever writes policies settles the row.

A type of object joins by its line in `SHAREABLE`, by those columns and fields (with defaults), by `own_or_shared` as
its kind's visibility, by `words` in what is shown of it, and by `forget` where it is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.store import common, qos
from cumulet.services.network.store import rbac_policies as store
from cumulet.services.network.types import (
    AS_EXTERNAL,
    AS_SHARED,
    EVERYBODY,
    AddressScope,
    Network,
    QosPolicy,
    RbacPolicy,
    SecurityGroup,
    SubnetPool,
)
from cumulet.services.network.types.address_groups import AddressGroup


@dataclass(frozen=True)
class Shareable:
    """A type of object that policies are about, under the API's `name`, with the actions that they may allow.

    The rows of `kind` have `shared` and `granted`. `users` are the projects that need to go on seeing an object.
    """

    name: str
    kind: type[Any]
    users: Callable[[Source, str], set[str]]
    actions: tuple[str, ...] = (AS_SHARED,)


SHAREABLE = {
    each.name: each
    for each in (
        Shareable("address_group", AddressGroup, store.admitting),
        Shareable("address_scope", AddressScope, store.in_scope),
        Shareable("network", Network, store.on_network, (AS_SHARED, AS_EXTERNAL)),
        Shareable("qos_policy", QosPolicy, qos.projects_using),
        Shareable("security_group", SecurityGroup, store.in_group),
        Shareable("subnetpool", SubnetPool, store.cutting_from),
    )
}


def add(
    tx: Tx, object_type: str, object_id: str, project_id: str, action: str = AS_SHARED, target: str = EVERYBODY
) -> RbacPolicy:
    """A new policy of the project. The object's row is not touched."""
    policy = RbacPolicy(ids.new_uuid(), project_id, object_type, object_id, action, target, clock.utcnow())
    common.add(tx, policy)
    return policy


def share_with_all(tx: Tx, object_type: str, object_id: str, project_id: str) -> None:
    """Share an object that is there with everybody."""
    lock(tx, object_id)
    if store.find(tx, object_id, AS_SHARED, EVERYBODY) is None:
        add(tx, object_type, object_id, project_id)
    settle(tx, object_type, object_id)


def unshare_from_all(tx: Tx, object_type: str, object_id: str) -> None:
    """Take back what shares the object with everybody; what names single projects stays."""
    lock(tx, object_id)
    store.remove_of(tx, object_id, AS_SHARED, EVERYBODY)
    settle(tx, object_type, object_id)


def settle(tx: Tx, object_type: str, object_id: str) -> None:
    """Let the object's row say what its policies say."""
    common.set_quietly(tx, SHAREABLE[object_type].kind, [object_id], flags(store.of_object(tx, object_id)))


def flags(policies: list[RbacPolicy]) -> dict[str, bool]:
    """What an object's row has to say where these are all policies on it."""
    for_all = {policy.action for policy in policies if policy.target_project == EVERYBODY}
    found = {"shared": AS_SHARED in for_all, "granted": any(each.target_project != EVERYBODY for each in policies)}
    if policies and policies[0].object_type == "network":
        found["limited"] = AS_EXTERNAL in {policy.action for policy in policies} - for_all
    return found


def forget(tx: Tx, object_id: str) -> None:
    """Remove the policies on an object that goes."""
    store.remove_of(tx, object_id)


def is_torn(source: Source) -> bool:
    """Whether objects and policies disagree, as they do where the release before has shared something meanwhile."""
    return bool(store.missing(source) or store.stale(source))


def mend(tx: Tx) -> None:
    """Let policies follow the objects' rows, which both releases go by."""
    for object_type, object_id, project_id, action in store.missing(tx):
        add(tx, object_type, object_id, project_id, action)
    for policy in {each.id: each for each in store.stale(tx)}.values():
        common.remove(tx, RbacPolicy, [policy.id])


def lock(tx: Tx, object_id: str) -> None:
    """Have the object's policies to oneself till the commit."""
    tx.lock(f"network:rbac:{object_id}")


def is_shared_with(source: Source, project_id: str | None, row: Any) -> bool:
    """Whether everybody, or that project, may use the object of another."""
    if row.shared or not row.granted or project_id is None:
        return bool(row.shared)
    return row.id in store.shared_with(source, project_id, [row.id])


def words(row: Any) -> dict[str, Any]:
    """What an item says of its sharing before it is known who asks; `told` finishes it."""
    return {"shared": row.shared, "granted": row.id if row.granted and not row.shared else None}


def told(source: Source, ctx: Context, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items with `shared` as the caller's project has to see it."""
    named = {item["granted"] for item in items if item.get("granted")}
    if named and ctx.project_id is not None:
        mine = store.shared_with(source, ctx.project_id, named)
        for item in items:
            if item.get("granted") in mine:
                item["shared"] = True
    return items
