# SPDX-License-Identifier: Apache-2.0
"""What the paths of address scopes and RBAC policies name."""

from __future__ import annotations

from personas.props.network import owned, security_group
from personas.stage import Prop, Stage


def address_scope(stage: Stage) -> Prop:
    found = stage.make("network", "/address-scopes", {"address_scope": {"ip_version": 4}}, "member")
    return owned(stage, found["address_scope"])


def rbac_policy(stage: Stage) -> Prop:
    """Shares a group with its owner alone, so that nobody sees more than without it."""
    words = {
        "object_type": "security_group",
        "object_id": security_group(stage)["id"],
        "target_tenant": stage.cast.project_id,
        "action": "access_as_shared",
    }
    found = stage.make("network", "/rbac-policies", {"rbac_policy": words}, "member")
    return owned(stage, found["rbac_policy"])


MAKERS = {"/address-scopes/{id}": address_scope, "/rbac-policies/{id}": rbac_policy}
