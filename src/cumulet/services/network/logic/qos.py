# SPDX-License-Identifier: Apache-2.0
"""What can be done with QoS policies and their rules."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, qos_use, sharing
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import common
from cumulet.services.network.store import qos as store
from cumulet.services.network.store import rbac_policies as policies
from cumulet.services.network.types import AS_SHARED, EVERYBODY, OWNER_COMPUTE, QosPolicy, QosRule, qos

TYPE = "qos_policy"
_PLAIN = ("name", "is_default", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> QosPolicy:
    """A new policy without rules."""
    if not values["project_id"]:
        raise bad("QoS policy", 'Must have "policy_id"')
    now = clock.utcnow()
    policy = QosPolicy(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        shared=values["shared"],
        granted=False,
        is_default=values["is_default"],
        description=values["description"],
        tags=[],
        revision_number=int(values["is_default"]),  # Neutron writes that after the policy
        created_at=now,
        updated_at=now,
        **common.optional(QosPolicy, values),
    )
    if policy.is_default:
        _check_no_default(tx, policy)
    common.add(tx, policy)
    if policy.shared:
        sharing.add(tx, TYPE, policy.id, policy.project_id)
    return policy


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> QosPolicy:
    """Change attributes; what others use stays shared, and a second default is refused."""
    qos_use.lock(tx, key)
    policy = access.must(tx, QosPolicy, key)
    if values.get("is_default"):
        _check_no_default(tx, policy)
    if values.get("shared", policy.shared) != policy.shared:
        _share(tx, ctx, policy, values["shared"])
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(QosPolicy, values)
    if any(getattr(policy, name) != value for name, value in changes.items()):
        common.change(tx, QosPolicy, key, changes)
    return access.must(tx, QosPolicy, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a policy that nothing uses, with its rules."""
    qos_use.lock(tx, key)
    user = store.user_of(tx, key)
    if user is not None:
        raise fault("QosPolicyInUse", id=key, object_type=user[0], object_id=user[1])
    sharing.forget(tx, key)
    common.remove(tx, QosPolicy, [key])


def create_rule(tx: Tx, type_: str, values: dict[str, Any]) -> QosRule:
    """A new rule of the policy `qos_policy_id`, which must fit the rules that are there and the ports under it."""
    qos_use.lock(tx, values["qos_policy_id"])
    policy = access.must(tx, QosPolicy, values["qos_policy_id"])
    there = store.rules_of(tx, [policy.id])[policy.id]
    _check_bandwidth(policy, there, values)
    rule = _new_rule(policy, type_, values)
    _check_among(policy, there, rule)
    common.add(tx, rule)
    _changed(tx, policy, [*there, rule], rule)
    return rule


def update_rule(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> QosRule:
    """Change a rule's amounts or direction, under the same conditions."""
    known = access.must(tx, QosRule, key)
    qos_use.lock(tx, known.qos_policy_id)
    policy = access.must(tx, QosPolicy, known.qos_policy_id)
    there = store.rules_of(tx, [policy.id])[policy.id]
    _check_bandwidth(policy, there, values)
    rule = msgspec.structs.replace(access.must(tx, QosRule, key), **values)
    _check_among(policy, there, rule)
    common.change(tx, QosRule, key, values)
    _changed(tx, policy, [*(one for one in there if one.id != key), rule], rule)
    return access.must(tx, QosRule, key)


def delete_rule(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    rule = access.must(tx, QosRule, key)
    qos_use.lock(tx, rule.qos_policy_id)
    common.remove(tx, QosRule, [key])
    policy = access.must(tx, QosPolicy, rule.qos_policy_id)
    common.touch(tx, QosPolicy, policy.id)
    if rule.type in qos.PLACED:
        _check_nothing_placed(tx, policy)


def _new_rule(policy: QosPolicy, type_: str, values: dict[str, Any]) -> QosRule:
    now = clock.utcnow()
    return QosRule(
        id=ids.new_uuid(),
        qos_policy_id=policy.id,
        type=type_,
        direction=values.get("direction"),
        max_kbps=values.get("max_kbps"),
        max_burst_kbps=values.get("max_burst_kbps"),
        min_kbps=values.get("min_kbps"),
        max_kpps=values.get("max_kpps"),
        max_burst_kpps=values.get("max_burst_kpps"),
        min_kpps=values.get("min_kpps"),
        dscp_mark=values.get("dscp_mark"),
        revision_number=0,
        created_at=now,
        updated_at=now,
    )


def _share(tx: Tx, ctx: Context, policy: QosPolicy, wanted: bool) -> None:
    """Share the policy with everybody, or no longer, which projects forbid that use it and are not named for it."""
    if wanted:
        sharing.share_with_all(tx, TYPE, policy.id, ctx.project_id or policy.project_id)
        return
    sharing.lock(tx, policy.id)
    named = {each.target_project for each in policies.of_object(tx, policy.id, AS_SHARED)} - {EVERYBODY}
    if store.projects_using(tx, policy.id) - named:
        raise fault("RbacPolicyInUse", id=policy.id, details="project_id=*")
    sharing.unshare_from_all(tx, TYPE, policy.id)


def _check_no_default(tx: Tx, policy: QosPolicy) -> None:
    tx.lock(f"network:qos:default:{policy.project_id}")
    found = store.default_of(tx, policy.project_id)
    if found is not None and found.id != policy.id:
        raise fault("QoSPolicyDefaultAlreadyExists", project_id=policy.project_id)


def _changed(tx: Tx, policy: QosPolicy, rules: list[QosRule], rule: QosRule) -> None:
    """A rule came or is another: the ports under the policy must be able to have it."""
    common.touch(tx, QosPolicy, policy.id)
    qos_use.check_ports(tx, rules, store.ports_under(tx, [policy.id]))
    if rule.type in qos.PLACED:
        _check_nothing_placed(tx, policy)


def _check_nothing_placed(tx: Tx, policy: QosPolicy) -> None:
    """What placement has given out to servers does not change under them."""
    if any(port.device_owner.startswith(OWNER_COMPUTE) for port in store.ports_under(tx, [policy.id])):
        raise fault("NotImplementedError")


def _check_bandwidth(policy: QosPolicy, there: list[QosRule], values: dict[str, Any]) -> None:
    """A minimum is not above the maximum of its direction; where no direction is given, of none."""
    direction = values.get("direction")
    for rule in there:
        if rule.type == qos.DSCP_MARKING or (direction and rule.direction != direction):
            continue
        if rule.type == qos.MINIMUM_BANDWIDTH and "max_kbps" in values:
            conflict = (rule.min_kbps or 0) > values["max_kbps"]
            amounts = values["max_kbps"], rule.min_kbps
        elif rule.type == qos.BANDWIDTH_LIMIT and "min_kbps" in values:
            conflict = (rule.max_kbps or 0) < values["min_kbps"]
            amounts = values["min_kbps"], rule.max_kbps
        else:
            continue
        if conflict:
            raise _conflict(policy, rule, *amounts)


def _check_among(policy: QosPolicy, there: list[QosRule], rule: QosRule) -> None:
    """One rule of each type and direction; minimum packet rates are of no direction, or each of one."""
    others = [one for one in there if one.type == rule.type and one.id != rule.id]
    for other in others:
        if rule.type == qos.MINIMUM_PACKET_RATE and (other.direction == qos.ANY) != (rule.direction == qos.ANY):
            raise _conflict(policy, other, rule.direction, other.direction)
    for other in others:
        if other.direction == rule.direction:
            raise fault("QoSRulesConflict", new_rule_type=rule.type, rule_id=other.id, policy_id=policy.id)


def _conflict(policy: QosPolicy, there: QosRule, wanted: Any, has: Any) -> Exception:
    return fault(
        "QoSRuleParameterConflict",
        rule_value=wanted,
        policy_id=policy.id,
        existing_rule=there.type,
        existing_value=has,
    )
