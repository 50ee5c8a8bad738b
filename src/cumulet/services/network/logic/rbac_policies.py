# SPDX-License-Identifier: Apache-2.0
"""What can be done with RBAC policies: who else may use an object, and when that cannot be taken back."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.network.logic import access, quotas, sharing
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.logic.sharing import SHAREABLE, Shareable
from cumulet.services.network.store import common
from cumulet.services.network.store import rbac_policies as store
from cumulet.services.network.types import (
    AS_EXTERNAL,
    AS_SHARED,
    EVERYBODY,
    AddressScope,
    Network,
    RbacPolicy,
    SubnetPool,
)


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> RbacPolicy:
    """A new policy. A network that one lets be used as external is external from then on."""
    quotas.take(cloud, tx, values["project_id"], rbac_policy=1)
    shareable, key = SHAREABLE[values["object_type"]], values["object_id"]
    action, target = values["action"], values["target_tenant"]
    sharing.lock(tx, key)
    row = _object(tx, ctx, shareable, key)
    if (reason := _not_owned(ctx, shareable, row)) is not None:
        raise invalid(reason)
    if action not in shareable.actions:
        raise fault("InvalidActionForType", action=action, object_type=shareable.name, valid=shareable.actions)
    if isinstance(row, SubnetPool):
        check_pool(tx, row, target)
    if store.find(tx, key, action, target) is not None:
        raise fault("DuplicateRbacPolicy")
    policy = sharing.add(tx, shareable.name, key, values["project_id"], action, target)
    if isinstance(row, Network):
        common.change(tx, Network, key, {"external": row.external or action == AS_EXTERNAL})
    sharing.settle(tx, shareable.name, key)
    return policy


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> RbacPolicy:
    """Name another project instead, which is refused while the one that was named needs the policy."""
    policy = access.must(tx, RbacPolicy, key)
    sharing.lock(tx, policy.object_id)
    shareable, target = SHAREABLE[policy.object_type], values.get("target_tenant", policy.target_project)
    row = common.find(tx, shareable.kind, policy.object_id)
    if row is None or target == policy.target_project:
        return policy
    if (reason := _not_owned(ctx, shareable, row)) is not None:
        raise _in_use(policy, reason)
    _check_leaving(tx, policy, row, target)
    if store.find(tx, policy.object_id, policy.action, target) is not None:
        raise fault("DuplicateRbacPolicy")
    common.set_quietly(tx, RbacPolicy, [key], {"target_project": target})
    _settle(tx, policy)
    return access.must(tx, RbacPolicy, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Take the policy back, which is refused while somebody needs it.

    A network loses with the last one that lets it be used as external that it is so, unless its owner's routers lead
    through it.
    """
    policy = access.must(tx, RbacPolicy, key)
    sharing.lock(tx, policy.object_id)
    row = common.find(tx, SHAREABLE[policy.object_type].kind, policy.object_id)
    if row is not None:
        _check_leaving(tx, policy, row, None)
    common.remove(tx, RbacPolicy, [key])
    if row is None:
        return
    _settle(tx, policy)
    if policy.action == AS_EXTERNAL and not store.of_object(tx, row.id, AS_EXTERNAL):
        is_used = bool(store.routing_through(tx, row.id))
        common.set_quietly(tx, Network, [row.id], {"external": is_used, "limited": is_used})


def check_pool(tx: Tx, pool: SubnetPool, target: str) -> None:
    """Refuse to share a pool with those who do not see the address scope that it is in."""
    if pool.address_scope_id is None:
        return
    scope = access.must(tx, AddressScope, pool.address_scope_id)
    if not scope.shared and store.find(tx, scope.id, AS_SHARED, target) is None:
        reason = "target project doesn't have access to associated address scope."
        raise invalid(f"Failed to create RBAC policy on object {pool.id} because {reason}")


def _object(tx: Tx, ctx: Context, shareable: Shareable, key: str) -> Any:
    """The row of the object, where the caller may see it."""
    try:
        return access.get(tx, ctx, shareable.kind, key)
    except NotFound as error:
        raise invalid(str(error).rstrip(".")) from None


def _not_owned(ctx: Context, shareable: Shareable, row: Any) -> str | None:
    """Why the caller may not say who uses the object."""
    if ctx.is_admin or row.project_id == ctx.project_id:
        return None
    objects = "networks" if shareable.kind is Network else "objects"
    return f"Only admins can manipulate policies on {objects} they do not own"


def _check_leaving(tx: Tx, policy: RbacPolicy, row: Any, coming: str | None) -> None:
    """Refuse to take the policy from its target (for `coming`) while somebody needs it."""
    if policy.action == AS_EXTERNAL:
        _check_routers(tx, policy, row, coming)
    elif policy.target_project != row.project_id:
        _check_users(tx, policy, row, coming)


def _check_users(tx: Tx, policy: RbacPolicy, row: Any, coming: str | None) -> None:
    """As Neutron does it: of a network's users its owner alone needs no policy; what one project uses may be shared
    with all instead, unless it is a network.
    """
    is_network = isinstance(row, Network)
    targets = _others(tx, policy)
    if policy.target_project != EVERYBODY and EVERYBODY in targets:
        return
    if coming == EVERYBODY and not is_network:
        return
    users = SHAREABLE[policy.object_type].users(tx, row.id)
    if policy.target_project == EVERYBODY:
        leaving = users - targets - ({row.project_id} if is_network else set())
    else:
        leaving = users & {policy.target_project}
    if leaving:
        words = (
            str(fault("InvalidSharedSetting", network=row.id)) if is_network else f"project_id={policy.target_project}"
        )
        raise _in_use(policy, words)


def _check_routers(tx: Tx, policy: RbacPolicy, row: Network, coming: str | None) -> None:
    """Routers that lead through the network keep what lets them."""
    targets = _others(tx, policy)
    routing = store.routing_through(tx, row.id)
    if policy.target_project == EVERYBODY:
        if row.is_default:
            raise _in_use(policy, "Default external networks must be shared to everyone.")
        leaving = routing - targets - {coming}
    else:
        leaving = set() if EVERYBODY in targets else routing & {policy.target_project}
    if leaving:
        words = "There are routers attached to this network that depend on this policy for access."
        raise _in_use(policy, words)


def _others(tx: Tx, policy: RbacPolicy) -> set[str]:
    """Whom other policies allow the same."""
    same = store.of_object(tx, policy.object_id, policy.action)
    return {each.target_project for each in same if each.id != policy.id}


def _settle(tx: Tx, policy: RbacPolicy) -> None:
    """A network's revision counts its policies."""
    sharing.settle(tx, policy.object_type, policy.object_id)
    if policy.object_type == "network":
        common.touch(tx, Network, policy.object_id)


def _in_use(policy: RbacPolicy, details: str) -> CumuletError:
    return fault("RbacPolicyInUse", id=policy.object_id, details=details)
