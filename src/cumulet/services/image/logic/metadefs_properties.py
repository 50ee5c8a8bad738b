# SPDX-License-Identifier: Apache-2.0
"""Properties of namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_resource_types
from cumulet.services.image.logic.metadefs_parts import Parts
from cumulet.services.image.types import MetadefProperty, Namespace

_PARTS = Parts(
    MetadefProperty, "property", "property", events.PROPERTY, events.metadef_property,
    "Invalid update. It would result in a duplicate metadata definition property with the same name={name} in "
    "namespace={within}.",
)  # fmt: skip
find_all, get, delete = _PARTS.find_all, _PARTS.get, _PARTS.delete


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
    now = clock.utcnow()

    def new(namespace: Namespace) -> MetadefProperty:
        return MetadefProperty(namespace.id, schema["name"], dict(schema), now, now)

    return _PARTS.create(cloud, ctx, within, new)


def update(cloud: Cloud, ctx: Context, within: str, name: str, schema: Mapping[str, Any]) -> MetadefProperty:
    """Exchange a property for another; Conflict where the new name is taken."""

    def changed(old: MetadefProperty) -> MetadefProperty:
        return MetadefProperty(old.namespace_id, schema["name"], dict(schema), old.created_at, clock.utcnow())

    return _PARTS.update(cloud, ctx, within, name, changed)
