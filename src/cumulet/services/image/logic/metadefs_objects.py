# SPDX-License-Identifier: Apache-2.0
"""Objects of namespaces: properties that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import MetadefObject, Namespace


def find_all(source: Source, namespace: Namespace) -> list[MetadefObject]:
    return store.find_all(source, MetadefObject, namespace.id)


def get(source: Source, namespace: Namespace, name: str) -> MetadefObject:
    found = store.find(source, MetadefObject, namespace.id, name)
    if found is None:
        raise NotFound(f"Could not find metadata object {name}")
    return found


def create(cloud: Cloud, ctx: Context, within: str, words: Mapping[str, Any]) -> MetadefObject:
    """Put an object into the namespace `within`; Conflict where its name is taken."""

    def write(tx: Tx) -> MetadefObject:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        if store.find(tx, MetadefObject, namespace.id, words["name"]) is not None:
            raise metadefs_schemas.taken(MetadefObject, words["name"], within)
        new = metadefs_namespaces.metadef_object(namespace.id, words, clock.utcnow())
        store.add(tx, new)
        payload = events.metadef_object(within, new)
        cloud.outbox.publish(tx, f"{events.OBJECT}.create", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def update(cloud: Cloud, ctx: Context, within: str, name: str, words: Mapping[str, Any]) -> MetadefObject:
    """Exchange an object's words for these; Conflict where the new name is taken."""

    def write(tx: Tx) -> MetadefObject:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        old = get(tx, namespace, name)
        wanted = metadefs_namespaces.metadef_object(namespace.id, words, clock.utcnow())
        if wanted.name != name and store.find(tx, MetadefObject, namespace.id, wanted.name) is not None:
            raise Conflict(
                "Invalid update. It would result in a duplicate metadata definition object with the same "
                f"name={wanted.name} in namespace={within}."
            )
        new = msgspec.structs.replace(wanted, created_at=old.created_at)
        store.change(tx, MetadefObject, namespace.id, name, msgspec.structs.asdict(new))
        payload = events.metadef_object(within, new, old=name)
        cloud.outbox.publish(tx, f"{events.OBJECT}.update", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, within: str, name: str) -> None:
    """Remove an object; Forbidden in a protected namespace."""

    def write(tx: Tx) -> None:
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        found = get(tx, namespace, name)
        if namespace.protected:
            raise Forbidden(f"Metadata definition object {name} is protected and cannot be deleted.")
        store.remove(tx, MetadefObject, namespace.id, name)
        payload = events.metadef_object(within, found, deleted=True)
        cloud.outbox.publish(tx, f"{events.OBJECT}.delete", payload, ctx.request_id)

    cloud.db.write(write)
