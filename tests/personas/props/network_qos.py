# SPDX-License-Identifier: Apache-2.0
"""What the paths of QoS name."""

from __future__ import annotations

from functools import partial

from cumulet.services.network.types import qos
from personas.stage import Maker, Prop, Stage

_AMOUNTS = {
    qos.BANDWIDTH_LIMIT: {"max_kbps": 1000},
    qos.DSCP_MARKING: {"dscp_mark": 8},
    qos.MINIMUM_BANDWIDTH: {"min_kbps": 10},
    qos.MINIMUM_PACKET_RATE: {"min_kpps": 10},
    qos.PACKET_RATE_LIMIT: {"max_kpps": 10},
}


def policy(stage: Stage) -> Prop:
    """A policy with a tag."""
    found = stage.make("network", "/qos/policies", {"policy": {"name": "gold"}}, "manager")["policy"]
    stage.make("network", f"/qos/policies/{found['id']}/tags/tag", None, "manager", "PUT")
    project = stage.cast.project_id
    target = {"project_id": project, "tenant_id": project, "shared": False}
    return {"id": found["id"], "policy_id": found["id"], "tag": "tag", "target": target}


def rule(stage: Stage, type_: str) -> Prop:
    """A rule under a policy of its own."""
    above, name = policy(stage), f"{type_}_rule"
    found = stage.make("network", f"/qos/policies/{above['id']}/{name}s", {name: _AMOUNTS[type_]}, "manager")[name]
    return {"policy_id": above["id"], "id": found["id"], "target": _under(stage)}


def parent(stage: Stage) -> Prop:
    """A policy without rules, and what they would know of it."""
    above = policy(stage)
    return {**above, "target": {**above["target"], **_under(stage)}}


def _under(stage: Stage) -> dict[str, str]:
    project = stage.cast.project_id
    return {"ext_parent:project_id": project, "ext_parent:tenant_id": project}


def rule_type(stage: Stage) -> Prop:
    return {"type": qos.BANDWIDTH_LIMIT}


MAKERS: dict[str, Maker] = {
    "/qos/policies/{id}": policy,
    "/policies/{id}": policy,
    "/qos/policies/{policy_id}": parent,
    "/qos/rule-types/{type}": rule_type,
    **{f"/qos/policies/{{policy_id}}/{type_}_rules/{{id}}": partial(rule, type_=type_) for type_ in qos.PARAMETERS},
    **{f"/qos/alias-{type_.replace('_', '-')}-rules/{{id}}": partial(rule, type_=type_) for type_ in qos.PARAMETERS},
}
