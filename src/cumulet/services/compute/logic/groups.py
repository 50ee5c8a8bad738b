# SPDX-License-Identifier: Apache-2.0
"""Server groups: servers that belong together or apart."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.compute.logic import quotas
from cumulet.services.compute.store import quotas as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Server, ServerGroup


def find_all(source: Source, ctx: Context, everywhere: bool) -> list[ServerGroup]:
    return store.groups(source, ctx, everywhere)


def get(source: Source, ctx: Context, group_id: str) -> ServerGroup:
    found = store.find_group(source, group_id)
    if found is None or (found.project_id != ctx.project_id and not ctx.is_admin):
        raise NotFound(f"Instance group {group_id} could not be found.", code="InstanceGroupNotFound")
    return found


def members(source: Source, group_id: str) -> list[Server]:
    return servers_store.in_group(source, group_id)


def create(cloud: Cloud, ctx: Context, name: str, policy: str, rules: dict[str, Any]) -> ServerGroup:
    def write(tx: Tx) -> ServerGroup:
        quotas.check_server_group(cloud, tx, ctx.project_id or "")
        new = ServerGroup(
            id=ids.new_uuid(),
            name=name,
            project_id=ctx.project_id or "",
            user_id=ctx.user_id,
            policy=policy,
            rules=rules,
            created_at=clock.utcnow(),
        )
        store.add_group(tx, new)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, group_id: str) -> None:
    def write(tx: Tx) -> None:
        store.remove_group(tx, get(tx, ctx, group_id).id)

    cloud.db.write(write)
