# SPDX-License-Identifier: Apache-2.0
"""Objects of namespaces: properties that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces
from cumulet.services.image.logic.metadefs_parts import Parts
from cumulet.services.image.types import MetadefObject

_PARTS = Parts(
    MetadefObject, "object", "metadata object", events.OBJECT, events.metadef_object,
    "Invalid update. It would result in a duplicate metadata definition object with the same name={name} in "
    "namespace={within}.",
)  # fmt: skip
find_all, get, delete = _PARTS.find_all, _PARTS.get, _PARTS.delete


def create(cloud: Cloud, ctx: Context, within: str, words: Mapping[str, Any]) -> MetadefObject:
    """Put an object into the namespace `within`; Conflict where its name is taken."""
    return _PARTS.create(cloud, ctx, within, lambda namespace: _object(namespace.id, words))


def update(cloud: Cloud, ctx: Context, within: str, name: str, words: Mapping[str, Any]) -> MetadefObject:
    """Exchange an object's words for these; Conflict where the new name is taken."""

    def changed(old: MetadefObject) -> MetadefObject:
        return msgspec.structs.replace(_object(old.namespace_id, words), created_at=old.created_at)

    return _PARTS.update(cloud, ctx, within, name, changed)


def _object(namespace_id: str, words: Mapping[str, Any]) -> MetadefObject:
    return metadefs_namespaces.metadef_object(namespace_id, words, clock.utcnow())
