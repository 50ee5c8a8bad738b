# SPDX-License-Identifier: Apache-2.0
"""Namespaces of metadata definitions: who sees them, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import metadefs_schemas
from cumulet.services.image.logic.access import SERVICE
from cumulet.services.image.store import metadefs
from cumulet.services.image.store import metadefs_namespaces as store
from cumulet.services.image.store.metadefs_namespaces import NamespacePage
from cumulet.services.image.types import Association, MetadefObject, MetadefProperty, MetadefTag, Namespace

_LOCK = "image:metadefs"  # names are unique, so definitions are written one after the other
_STEP = timedelta(microseconds=1)


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """All that a namespace holds, or is to hold."""

    associations: list[Association] = []
    objects: list[MetadefObject] = []
    properties: list[MetadefProperty] = []
    tags: list[MetadefTag] = []


class Clock:
    """The time of several things that are made at once: a microsecond apart, so that their order is kept."""

    def __init__(self) -> None:
        self._next = clock.utcnow()

    def __call__(self) -> datetime:
        now, self._next = self._next, self._next + _STEP
        return now


def target(found: Namespace) -> dict[str, Any]:
    """What rules see of a namespace."""
    return {"project_id": found.owner, "owner": found.owner, "visibility": found.visibility}


def get(cloud: Cloud, source: Source, ctx: Context, name: str) -> Namespace:
    """A namespace that the caller may see; NotFound for any other."""
    found = store.find(source, name)
    if found is None or not _is_visible(cloud, ctx, found):
        raise NotFound(f"Metadata definition namespace={name} was not found.")
    return found


def find_all(cloud: Cloud, ctx: Context, page: NamespacePage) -> tuple[list[Namespace], dict[str, list[Association]]]:
    """One page of what the caller may see, and what each is meant for."""
    found = [each for each in store.find_all(cloud.db, page) if _passes(cloud, ctx, each)] if page.limit else []
    return found, metadefs.of_each(cloud.db, [each.id for each in found])


def inside(source: Source, namespace: Namespace) -> Inside:
    """All that a namespace holds."""
    return Inside(
        associations=metadefs.find_all(source, Association, namespace.id),
        objects=metadefs.find_all(source, MetadefObject, namespace.id),
        properties=metadefs.find_all(source, MetadefProperty, namespace.id),
        tags=metadefs.find_all(source, MetadefTag, namespace.id),
    )


def create(cloud: Cloud, ctx: Context, words: Mapping[str, Any]) -> Namespace:
    """Make a namespace with all that the words name inside; Conflict where its name or one of those is taken."""

    def write(tx: Tx) -> Namespace:
        lock(tx)
        if store.find(tx, words["namespace"]) is not None:
            raise Conflict(f"The metadata definition namespace={words['namespace']} already exists.")
        new = make(words, owner=words.get("owner", ctx.project_id))
        store.add(tx, new)
        cloud.outbox.publish(tx, f"{events.NAMESPACE}.create", events.namespace(new), ctx.request_id)
        _fill(cloud, tx, ctx, new, contents(new, words))
        return new

    return cloud.db.write(write)


def update(cloud: Cloud, ctx: Context, name: str, words: Mapping[str, Any]) -> Namespace:
    """Exchange a namespace's words for these; what they do not name is as in a new one."""

    def write(tx: Tx) -> Namespace:
        lock(tx)
        old = get(cloud, tx, ctx, name)
        wanted = make(words, owner=words.get("owner") or ctx.project_id)
        if wanted.namespace != name and store.find(tx, wanted.namespace) is not None:
            raise Conflict(
                "Invalid update. It would result in a duplicate metadata definition namespace with the same name of "
                f"{wanted.namespace}"
            )
        new = msgspec.structs.replace(wanted, id=old.id, created_at=old.created_at)
        changes = msgspec.structs.asdict(new)
        del changes["id"]
        store.change(tx, old.id, changes)
        payload = events.namespace(new, old=name)
        cloud.outbox.publish(tx, f"{events.NAMESPACE}.update", payload, ctx.request_id)
        return new

    return cloud.db.write(write)


def delete(cloud: Cloud, ctx: Context, name: str) -> None:
    """Remove a namespace with all that is in it; Forbidden for a protected one."""

    def write(tx: Tx) -> None:
        found = _unprotected(cloud, tx, ctx, name)
        store.remove(tx, found.id)
        payload = events.namespace(found, deleted=True)
        cloud.outbox.publish(tx, f"{events.NAMESPACE}.delete", payload, ctx.request_id)

    cloud.db.write(write)


def clear(
    cloud: Cloud, ctx: Context, name: str, kind: type[MetadefObject] | type[MetadefProperty] | type[MetadefTag]
) -> None:
    """Remove all objects, properties or tags of a namespace; Forbidden for a protected one."""
    nouns: dict[type, str] = {MetadefObject: "objects", MetadefProperty: "properties", MetadefTag: "tags"}

    def write(tx: Tx) -> None:
        found = _unprotected(cloud, tx, ctx, name)
        metadefs.clear(tx, kind, found.id)
        topic = f"{events.NAMESPACE}.delete_{nouns[kind]}"
        cloud.outbox.publish(tx, topic, events.namespace(found), ctx.request_id)

    cloud.db.write(write)


def lock(tx: Tx) -> None:
    """Let nobody else write definitions until the end of the transaction."""
    tx.lock(_LOCK)


def make(words: Mapping[str, Any], *, owner: str | None) -> Namespace:
    """The namespace that the words describe."""
    now = clock.utcnow()
    return Namespace(
        id=ids.new_uuid(),
        namespace=words["namespace"],
        display_name=words.get("display_name"),
        description=words.get("description"),
        visibility=words.get("visibility") or "private",
        protected=words.get("protected") or False,
        owner=owner,
        created_at=now,
        updated_at=now,
    )


def contents(namespace: Namespace, words: Mapping[str, Any]) -> Inside:
    """What the words name inside a namespace, checked already by `metadefs_schemas.cleaned`; Conflict for twins."""
    now = Clock()
    found = Inside(
        associations=[association(namespace.id, each, now()) for each in words.get("resource_type_associations", ())],
        objects=[metadef_object(namespace.id, each, now()) for each in words.get("objects", ())],
        properties=[
            MetadefProperty(namespace.id, name, schema, moment := now(), moment)
            for name, schema in words.get("properties", {}).items()
        ],
        tags=[MetadefTag(namespace.id, each["name"], moment := now(), moment) for each in words.get("tags", ())],
    )
    refuse_twins(namespace, found.objects, found.tags, found.associations)
    return found


def metadef_object(namespace_id: str, words: Mapping[str, Any], now: datetime) -> MetadefObject:
    """The object that the words describe."""
    required, properties = words.get("required") or [], words.get("properties") or {}
    return MetadefObject(namespace_id, words["name"], words.get("description"), required, properties, now, now)


def association(namespace_id: str, words: Mapping[str, Any], now: datetime) -> Association:
    """The association that the words describe."""
    return Association(namespace_id, words["name"], words.get("prefix"), words.get("properties_target"), now, now)


def refuse_twins(namespace: Namespace, *groups: list[Any]) -> None:
    """Conflict where two of a group have one name."""
    for group in groups:
        names: set[str] = set()
        for each in group:
            if each.name in names:
                raise metadefs_schemas.taken(type(each), each.name, namespace.namespace)
            names.add(each.name)


def _fill(cloud: Cloud, tx: Tx, ctx: Context, namespace: Namespace, content: Inside) -> None:
    name = namespace.namespace
    for each in content.associations:
        metadefs.know_resource_type(tx, each.name, each.created_at)
    metadefs.add(tx, *content.associations, *content.objects, *content.tags, *content.properties)
    told = [
        *((events.RESOURCE_TYPE, events.association(name, each)) for each in content.associations),
        *((events.OBJECT, events.metadef_object(name, each)) for each in content.objects),
        *((events.TAG, events.metadef_tag(name, each)) for each in content.tags),
        *((events.PROPERTY, events.metadef_property(name, each)) for each in content.properties),
    ]
    for kind, payload in told:
        cloud.outbox.publish(tx, f"{kind}.create", payload, ctx.request_id)


def _unprotected(cloud: Cloud, tx: Tx, ctx: Context, name: str) -> Namespace:
    lock(tx)
    found = get(cloud, tx, ctx, name)
    if found.protected:
        raise Forbidden(f"Metadata definition namespace {name} is protected and cannot be deleted.")
    return found


def _is_visible(cloud: Cloud, ctx: Context, found: Namespace) -> bool:
    owned = ctx.project_id is not None and found.owner == ctx.project_id
    open_to_all = found.owner is None or found.visibility == "public"
    return (ctx.is_admin or owned or open_to_all) and _passes(cloud, ctx, found)


def _passes(cloud: Cloud, ctx: Context, found: Namespace) -> bool:
    return cloud.allows(SERVICE, "get_metadef_namespace", ctx, target(found))
