# SPDX-License-Identifier: Apache-2.0
"""What the paths of address groups, and of what new security groups are made of, name."""

from __future__ import annotations

from personas.props.network import owned
from personas.stage import Prop, Stage


def address_group(stage: Stage) -> Prop:
    words = {"name": "offices", "addresses": ["192.0.2.0/24"]}
    return owned(stage, stage.make("network", "/address-groups", {"address_group": words}, "member")["address_group"])


def default_rule(stage: Stage) -> Prop:
    """One that no new group is made with, so that no other test sees it."""
    words = {"direction": "ingress", "used_in_default_sg": False, "used_in_non_default_sg": False}
    found = stage.make(
        "network", "/default-security-group-rules", {"default_security_group_rule": words}, "other_admin"
    )
    return {"id": found["default_security_group_rule"]["id"], "target": {}}


def default_statefulness(stage: Stage) -> Prop:
    """The project's setting, of which there is one."""
    name, path = "security_group_default_statefulness", "/security-groups-default-statefulness"
    many, project = "security_groups_default_statefulness", stage.cast.project_id
    for found in stage.make("network", f"{path}?project_id={project}", None, "admin", "GET")[many]:
        stage.make("network", f"{path}/{found['id']}", None, "admin", "DELETE")
    words = {"project_id": project, "stateful": True}
    return owned(stage, stage.make("network", path, {name: words}, "other_admin")[name])


MAKERS = {
    "/address-groups/{id}": address_group,
    "/default-security-group-rules/{id}": default_rule,
    "/security-groups-default-statefulness/{id}": default_statefulness,
}
