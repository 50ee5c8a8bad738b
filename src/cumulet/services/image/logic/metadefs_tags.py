# SPDX-License-Identifier: Apache-2.0
"""Tags of namespaces: those that a namespace proposes for things."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_namespaces
from cumulet.services.image.logic.metadefs_parts import Parts
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import MetadefTag, Namespace

_PARTS = Parts(
    MetadefTag, "tag", "metadata tag", events.TAG, events.metadef_tag,
    "A metadata tag with name={name} already exists in namespace={within}. "
    "(Please note that metadata tag names are case insensitive).",
)  # fmt: skip
get, delete = _PARTS.get, _PARTS.delete


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
            _PARTS.add(cloud, tx, ctx, namespace, each)
        return new

    return cloud.db.write(write)


def rename(cloud: Cloud, ctx: Context, within: str, name: str, new_name: str) -> MetadefTag:
    """Give a tag another name; Conflict where that is taken."""

    def changed(old: MetadefTag) -> MetadefTag:
        return msgspec.structs.replace(old, name=new_name, updated_at=clock.utcnow())

    return _PARTS.update(cloud, ctx, within, name, changed)
