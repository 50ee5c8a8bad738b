# SPDX-License-Identifier: Apache-2.0
"""Notifications under Keystone's names, in its basic form: `identity.user.created` with the resource's id."""

from __future__ import annotations

from typing import Any, Literal

Operation = Literal["created", "updated", "deleted", "disabled"]


def basic(kind: str, operation: Operation, resource_id: str) -> tuple[str, dict[str, Any]]:
    """Topic and payload; `kind` is a resource's name: project, domain, user, group, role, region, service, endpoint."""
    return f"identity.{kind}.{operation}", {"resource_info": resource_id}
