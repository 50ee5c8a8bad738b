# SPDX-License-Identifier: Apache-2.0
"""Properties of namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces, metadefs_resource_types, metadefs_schemas
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import MetadefProperty, Namespace


def find_all(source: Source, namespace: Namespace) -> list[MetadefProperty]:
    return store.find_all(source, MetadefProperty, namespace.id)


def get(source: Source, namespace: Namespace, name: str) -> MetadefProperty:
    found = store.find(source, MetadefProperty, namespace.id, name)
    if found is None:
        raise NotFound(f"Could not find property {name}")
    return found


def get_prefixed(source: Source, namespace: Namespace, name: str, resource_type: str) -> MetadefProperty:
    """The property that things of the type have under `name`, which begins with the association's prefix."""
    prefix = metadefs_resource_types.get(source, namespace, resource_type).prefix
    if not prefix or not name.startswith(prefix):
        raise NotFound(
            f"Property {name} does not start with the expected resource type association prefix of '{prefix}'."
        )
    return get(source, namespace, name.removeprefix(prefix))


def create(cloud: Cloud, ctx: Context, within: str, schema: Mapping[str, Any]) -> MetadefProperty:
    """Put a property into the namespace `within`; Conflict where its name is taken."""

    def write(tx: Tx) -> MetadefProperty:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        name = schema["name"]
        if store.find(tx, MetadefProperty, namespace.id, name) is not None:
            raise metadefs_schemas.taken(MetadefProperty, name, within)
        now = clock.utcnow()
        new = MetadefProperty(namespace.id, name, dict(schema), now, now)
        store.add(tx, new)
        payload = events.metadef_property(within, new)
        cloud.outbox.publish(tx, f"{events.PROPERTY}.create", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def update(cloud: Cloud, ctx: Context, within: str, name: str, schema: Mapping[str, Any]) -> MetadefProperty:
    """Exchange a property for another; Conflict where the new name is taken."""

    def write(tx: Tx) -> MetadefProperty:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        old = get(tx, namespace, name)
        new = MetadefProperty(namespace.id, schema["name"], dict(schema), old.created_at, clock.utcnow())
        if new.name != name and store.find(tx, MetadefProperty, namespace.id, new.name) is not None:
            raise Conflict(
                "Invalid update. It would result in a duplicate metadata definition property with the same "
                f"name={new.name} in namespace={within}."
            )
        changes = {"name": new.name, "schema": new.schema, "updated_at": new.updated_at}
        store.change(tx, MetadefProperty, namespace.id, name, changes)
        payload = events.metadef_property(within, new, old=name)
        cloud.outbox.publish(tx, f"{events.PROPERTY}.update", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, within: str, name: str) -> None:
    """Remove a property; Forbidden in a protected namespace."""

    def write(tx: Tx) -> None:
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        found = get(tx, namespace, name)
        if namespace.protected:
            raise Forbidden(f"Metadata definition property {name} is protected and cannot be deleted.")
        store.remove(tx, MetadefProperty, namespace.id, name)
        payload = events.metadef_property(within, found, deleted=True)
        cloud.outbox.publish(tx, f"{events.PROPERTY}.delete", payload, ctx.request_id)

    cloud.db.write(write)
