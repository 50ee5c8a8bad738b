# SPDX-License-Identifier: Apache-2.0
"""Rules of QoS policies, of what is under them, and of what they ask of placement for ports."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MANAGER, READER
from cumulet.services.network.types import qos

_VERBS = ("create", "get", "update", "delete")
_PARENT_READER = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"
_PARENT_MANAGER = "(rule:admin_only) or (role:manager and rule:ext_parent_owner)"

_RULES_OF_POLICIES = {
    f"{verb}_policy_{type_}_rule": _PARENT_READER if verb == "get" else _PARENT_MANAGER
    for type_ in qos.PARAMETERS
    for verb in _VERBS
}
# The one that came last defers to the rule that it is another name of.
_ALIASES = {
    f"{verb}_alias_{type_}_rule": (
        f"rule:{verb}_policy_{type_}_rule"
        if type_ == qos.MINIMUM_PACKET_RATE
        else _RULES_OF_POLICIES[f"{verb}_policy_{type_}_rule"]
    )
    for type_ in qos.PARAMETERS
    if type_ != qos.PACKET_RATE_LIMIT
    for verb in _VERBS[1:]
}
_SEEN = f"{READER} or rule:shared_qos_policy"

RULES: dict[str, str] = {
    "shared_qos_policy": "field:policies:shared=True",
    "create_policy": MANAGER,
    "create_policy:tags": MANAGER,
    "get_policy": _SEEN,
    "get_policy:tags": _SEEN,
    "update_policy": MANAGER,
    "update_policy:tags": MANAGER,
    "delete_policy": MANAGER,
    "delete_policy:tags": MANAGER,
    "get_rule_type": "role:reader",
    "get_port:resource_request": ADMIN,
    **_RULES_OF_POLICIES,
    **_ALIASES,
}
