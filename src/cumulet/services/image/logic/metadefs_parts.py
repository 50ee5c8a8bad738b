# SPDX-License-Identifier: Apache-2.0
"""What a namespace holds by name, got, put in, exchanged and taken out in one way: objects, properties, tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, NotFound
from cumulet.services.image.logic import metadefs_namespaces, metadefs_schemas
from cumulet.services.image.store import metadefs as store
from cumulet.services.image.types import MetadefObject, MetadefProperty, MetadefTag, Namespace

P = TypeVar("P", bound=MetadefObject | MetadefProperty | MetadefTag)


class Parts(Generic[P]):
    """Parts of one `kind`: `noun` is Glance's word for one, `missing` for one that is not there.

    `event` begins the names of their events, `payload` tells of one. `words_of_a_twin` says why a part cannot be given
    a name that another one has: `{name}`, in the namespace `{within}`.
    """

    def __init__(
        self, kind: type[P], noun: str, missing: str, event: str, payload: Callable[..., dict[str, Any]],
        words_of_a_twin: str,
    ) -> None:  # fmt: skip
        self._kind = kind
        self._noun = noun
        self._missing = missing
        self._event = event
        self._payload = payload
        self._words_of_a_twin = words_of_a_twin

    def find_all(self, source: Source, namespace: Namespace) -> list[P]:
        return store.find_all(source, self._kind, namespace.id)

    def get(self, source: Source, namespace: Namespace, name: str) -> P:
        found = store.find(source, self._kind, namespace.id, name)
        if found is None:
            raise NotFound(f"Could not find {self._missing} {name}")
        return found

    def add(self, cloud: Cloud, tx: Tx, ctx: Context, namespace: Namespace, new: P) -> None:
        """Put a part into a locked namespace; Conflict where its name is taken."""
        if store.find(tx, self._kind, namespace.id, new.name) is not None:
            raise metadefs_schemas.taken(self._kind, new.name, namespace.namespace)
        store.add(tx, new)
        self._tell(cloud, tx, ctx, "create", namespace, new)

    def create(self, cloud: Cloud, ctx: Context, within: str, make: Callable[[Namespace], P]) -> P:
        """Put what is made for the namespace `within` into it; Conflict where its name is taken."""

        def write(tx: Tx) -> P:
            metadefs_namespaces.lock(tx)
            namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
            new = make(namespace)
            self.add(cloud, tx, ctx, namespace, new)
            return new

        return cloud.db.write(write)

    def update(self, cloud: Cloud, ctx: Context, within: str, name: str, make: Callable[[P], P]) -> P:
        """Exchange a part for what is made of it; Conflict where the new name is taken."""

        def write(tx: Tx) -> P:
            metadefs_namespaces.lock(tx)
            namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
            new = make(self.get(tx, namespace, name))
            if new.name != name and store.find(tx, self._kind, namespace.id, new.name) is not None:
                raise Conflict(self._words_of_a_twin.format(name=new.name, within=within))
            store.change(tx, self._kind, namespace.id, name, msgspec.structs.asdict(new))
            self._tell(cloud, tx, ctx, "update", namespace, new, old=name)
            return new

        return cloud.db.write(write)

    def delete(self, cloud: Cloud, ctx: Context, within: str, name: str) -> None:
        """Remove a part; Forbidden in a protected namespace."""

        def write(tx: Tx) -> None:
            namespace = metadefs_namespaces.get(cloud, tx, ctx, within)
            found = self.get(tx, namespace, name)
            if namespace.protected:
                raise Forbidden(f"Metadata definition {self._noun} {name} is protected and cannot be deleted.")
            store.remove(tx, self._kind, namespace.id, name)
            self._tell(cloud, tx, ctx, "delete", namespace, found, deleted=True)

        cloud.db.write(write)

    def _tell(
        self, cloud: Cloud, tx: Tx, ctx: Context, verb: str, namespace: Namespace, part: P, **more: object
    ) -> None:
        payload = self._payload(namespace.namespace, part, **more)
        cloud.outbox.publish(tx, f"{self._event}.{verb}", payload, ctx.request_id)
