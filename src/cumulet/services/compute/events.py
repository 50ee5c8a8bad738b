# SPDX-License-Identifier: Apache-2.0
"""Compute's notifications: OpenStack's names (`compute.instance.create.end`) and the payload's main fields."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.services.compute.types import Server


def payload(server: Server, **more: Any) -> dict[str, Any]:
    """What is told of a server (the unversioned notifications' fields)."""
    return {
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "instance_id": server.id,
        "display_name": server.name,
        "hostname": server.hostname,
        "host": server.host,
        "availability_zone": server.availability_zone,
        "instance_type": server.flavor["name"],
        "instance_flavor_id": server.flavor["id"],
        "memory_mb": server.flavor["ram"],
        "vcpus": server.flavor["vcpus"],
        "root_gb": server.flavor["disk"],
        "ephemeral_gb": server.flavor["ephemeral"],
        "disk_gb": int(server.flavor["disk"]) + int(server.flavor["ephemeral"]),
        "image_ref_url": server.image_id,
        "metadata": server.metadata,
        "state": server.vm_state,
        "state_description": server.task_state or "",
        "created_at": clock.iso_micro(server.created_at),
        "launched_at": "" if server.launched_at is None else clock.iso_micro(server.launched_at),
        "terminated_at": "" if server.terminated_at is None else clock.iso_micro(server.terminated_at),
        **more,
    }
