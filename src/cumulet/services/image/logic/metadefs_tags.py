# SPDX-License-Identifier: Apache-2.0
"""Tags of namespaces: those that a namespace proposes for things."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import MetadefTag, Namespace


class TagPage(msgspec.Struct, frozen=True, kw_only=True):
    """Which tags are looked for: from the one named `marker` on, `limit` of them (None: all)."""

    sort_key: str = "created_at"
    descending: bool = True
    marker: str | None = None
    limit: int | None = None


def find_all(source: Source, namespace: Namespace, page: TagPage) -> list[MetadefTag]:
    """One page of tags; NotFound for a marker that is not there."""
    marker = get(source, namespace, page.marker) if page.marker else None
    return store.tags(
        source, namespace.id, sort_key=page.sort_key, descending=page.descending, marker=marker, limit=page.limit
    )


def get(source: Source, namespace: Namespace, name: str) -> MetadefTag:
    found = store.find(source, MetadefTag, namespace.id, name)
    if found is None:
        raise NotFound(f"Could not find metadata tag {name}")
    return found


def create(cloud: Cloud, ctx: Context, within: str, names: Sequence[str], *, keep: bool) -> list[MetadefTag]:
    """Put tags into the namespace `within`, all or none, in the place of those that it has, or with `keep` beside them.

    Conflict where a name is taken. Without names nothing is changed.
    """

    def write(tx: Tx) -> list[MetadefTag]:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        now = metadefs_namespaces.Clock()
        new = [MetadefTag(namespace.id, name, moment := now(), moment) for name in names]
        metadefs_namespaces.refuse_twins(namespace, new)
        if new and not keep:
            store.clear(tx, MetadefTag, namespace.id)
        for each in new:
            if keep and store.find(tx, MetadefTag, namespace.id, each.name) is not None:
                raise metadefs_schemas.taken(MetadefTag, each.name, within)
            store.add(tx, each)
            payload = events.metadef_tag(within, each)
            cloud.outbox.publish(tx, f"{events.TAG}.create", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def rename(cloud: Cloud, ctx: Context, within: str, name: str, new_name: str) -> MetadefTag:
    """Give a tag another name; Conflict where that is taken."""

    def write(tx: Tx) -> MetadefTag:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        old = get(tx, namespace, name)
        if new_name != name and store.find(tx, MetadefTag, namespace.id, new_name) is not None:
            raise metadefs_schemas.taken(MetadefTag, new_name, within)
        new = msgspec.structs.replace(old, name=new_name, updated_at=clock.utcnow())
        store.change(tx, MetadefTag, namespace.id, name, {"name": new.name, "updated_at": new.updated_at})
        payload = events.metadef_tag(within, new, old=name)
        cloud.outbox.publish(tx, f"{events.TAG}.update", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, within: str, name: str) -> None:
    """Remove a tag; Forbidden in a protected namespace."""

    def write(tx: Tx) -> None:
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        found = get(tx, namespace, name)
        if namespace.protected:
            raise Forbidden(f"Metadata definition tag {name} is protected and cannot be deleted.")
        store.remove(tx, MetadefTag, namespace.id, name)
        payload = events.metadef_tag(within, found, deleted=True)
        cloud.outbox.publish(tx, f"{events.TAG}.delete", payload, ctx.request_id)

    cloud.db.write(write)
