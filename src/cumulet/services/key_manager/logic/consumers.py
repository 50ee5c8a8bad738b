# SPDX-License-Identifier: Apache-2.0
"""Who needs a secret or a container: registered, listed, forgotten. To register twice is to register once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden
from cumulet.services.key_manager.logic import containers, quotas, secrets
from cumulet.services.key_manager.logic.refusals import bad_id, no_consumer
from cumulet.services.key_manager.store import consumers as store
from cumulet.services.key_manager.store import containers as container_store
from cumulet.services.key_manager.store import secrets as secret_store
from cumulet.services.key_manager.store.consumers import T
from cumulet.services.key_manager.types import Container, ContainerConsumer, Page, Secret, SecretConsumer

QUOTA = "consumers"


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """Consumers of secrets, or of containers.

    `words` are the fields that tell one from another, `owner` finds what they need, `touch` notes when that changed.
    """

    row: type[T]
    words: tuple[str, ...]
    owner: Callable[[Source, str], Secret | Container]
    touch: Callable[[Tx, str, datetime], None]


OF_SECRET = Kind(
    SecretConsumer,
    ("service", "resource_type", "resource_id"),
    secrets.get,
    lambda tx, secret_id, now: secret_store.change(tx, secret_id, {"updated_at": now}),
)
OF_CONTAINER = Kind(ContainerConsumer, ("name", "url"), containers.get, container_store.touch)


def find_all(cloud: Cloud, kind: Kind[T], owner_id: str, wanted: Page) -> tuple[list[T], int]:
    return store.page(cloud.db, kind.row, owner_id, wanted)


def of(source: Source, kind: Kind[T], owners: Iterable[Secret | Container]) -> Mapping[str, list[T]]:
    """The consumers of several secrets or containers, by the owner's id."""
    return store.find_all(source, kind.row, [owner.id for owner in owners])


def check_id(consumer_id: str) -> None:
    """Raises NotFound for what is no id at all."""
    if not secrets.is_id(consumer_id):
        raise bad_id("consumer")


def get(cloud: Cloud, kind: Kind[T], owner_id: str, consumer_id: str) -> T:
    check_id(consumer_id)
    found = store.find(cloud.db, kind.row, owner_id, id=consumer_id)
    if found is None:
        raise no_consumer()
    return found


def add(cloud: Cloud, tx: Tx, ctx: Context, kind: Kind[T], owner_id: str, words: Mapping[str, Any]) -> None:
    """Register who `words` describe. Raises OverQuota."""
    project_id = ctx.project_id or ""
    kind.owner(tx, owner_id)
    quotas.enforce(cloud, tx, project_id, QUOTA, lambda source, project: store.count(source, kind.row, project))
    if _find(tx, kind, owner_id, words) is not None:
        return
    now = clock.utcnow()
    row: Callable[..., T] = kind.row
    store.add(tx, row(ids.new_uuid(), owner_id, project_id, *(words[name] for name in kind.words), now, now))
    kind.touch(tx, owner_id, now)


def remove(tx: Tx, ctx: Context, kind: Kind[T], owner_id: str, words: Mapping[str, Any]) -> None:
    """Forget a consumer; the project that registered it may, and the owner's."""
    found = _find(tx, kind, owner_id, words)
    if found is None:
        raise no_consumer()
    if ctx.project_id not in (found.project_id, kind.owner(tx, owner_id).project_id):
        raise Forbidden("Not Allowed. Sorry, only the creator of a consumer can delete it.")
    store.remove(tx, found)


def forget(tx: Tx, kind: Kind[T], owner_id: str, words: Mapping[str, Any]) -> None:
    """Forget a consumer on the word of the service that had registered it; one that is not there is no matter."""
    found = _find(tx, kind, owner_id, words)
    if found is not None:
        store.remove(tx, found)


def _find(source: Source, kind: Kind[T], owner_id: str, words: Mapping[str, Any]) -> T | None:
    return store.find(source, kind.row, owner_id, **{name: words[name] for name in kind.words})
