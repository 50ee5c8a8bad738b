# SPDX-License-Identifier: Apache-2.0
"""What types of resources namespaces are meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import Association, Namespace, ResourceType


def find_all(source: Source) -> list[ResourceType]:
    """All types that a namespace was ever meant for."""
    return store.resource_types(source)


def of_namespace(source: Source, namespace: Namespace) -> list[Association]:
    return store.find_all(source, Association, namespace.id)


def get(source: Source, namespace: Namespace, name: str) -> Association:
    found = store.find(source, Association, namespace.id, name)
    if found is None:
        raise NotFound(
            f"The metadata definition resource-type association of resource-type={name} to "
            f"namespace={namespace.namespace}, was not found."
        )
    return found


def create(cloud: Cloud, ctx: Context, within: str, words: Mapping[str, Any]) -> Association:
    """Mean the namespace `within` for a type, which need not be known; Conflict where it is so already."""

    def write(tx: Tx) -> Association:
        metadefs_namespaces.lock(tx)
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        if store.find(tx, Association, namespace.id, words["name"]) is not None:
            raise metadefs_schemas.taken(Association, words["name"], within)
        new = metadefs_namespaces.association(namespace.id, words, clock.utcnow())
        store.know_resource_type(tx, new.name, new.created_at)
        store.add(tx, new)
        payload = events.association(within, new)
        cloud.outbox.publish(tx, f"{events.RESOURCE_TYPE}.create", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, within: str, name: str) -> None:
    """Mean the namespace for the type no longer; Forbidden in a protected namespace."""

    def write(tx: Tx) -> None:
        namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
        found = store.find(tx, Association, namespace.id, name)
        if found is None:
            raise NotFound(f"Failed to find resource type {name} to delete")
        if namespace.protected:
            raise Forbidden(f"Metadata definition resource-type-association {name} is protected and cannot be deleted.")
        store.remove(tx, Association, namespace.id, name)
        payload = events.association(within, found, deleted=True)
        cloud.outbox.publish(tx, f"{events.RESOURCE_TYPE}.delete", payload, ctx.request_id)

    cloud.db.write(write)
