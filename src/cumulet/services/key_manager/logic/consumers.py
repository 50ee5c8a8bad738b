# SPDX-License-Identifier: Apache-2.0
"""Who needs a secret or a container: registered, listed, forgotten. To register twice is to register once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden
from cumulet.services.key_manager.logic import containers, quotas, secrets
from cumulet.services.key_manager.logic.refusals import bad_id, no_consumer
from cumulet.services.key_manager.store import containers as container_store
from cumulet.services.key_manager.store import secrets as secret_store
from cumulet.services.key_manager.types import ContainerConsumer, Page, SecretConsumer

QUOTA = "consumers"


def find_of_secret(cloud: Cloud, secret_id: str, wanted: Page) -> tuple[list[SecretConsumer], int]:
    return secret_store.consumers(cloud.db, secret_id, wanted)


def find_of_container(cloud: Cloud, container_id: str, wanted: Page) -> tuple[list[ContainerConsumer], int]:
    return container_store.consumers(cloud.db, container_id, wanted)


def get_of_secret(cloud: Cloud, secret_id: str, consumer_id: str) -> SecretConsumer:
    if not secrets.is_id(consumer_id):
        raise bad_id("consumer")
    found = secret_store.consumer(cloud.db, secret_id, id=consumer_id)
    if found is None:
        raise no_consumer()
    return found


def get_of_container(cloud: Cloud, container_id: str, consumer_id: str) -> ContainerConsumer:
    if not secrets.is_id(consumer_id):
        raise bad_id("consumer")
    found = container_store.consumer(cloud.db, container_id, id=consumer_id)
    if found is None:
        raise no_consumer()
    return found


def add_to_secret(cloud: Cloud, tx: Tx, ctx: Context, secret_id: str, words: Mapping[str, str]) -> None:
    """Register `service`, `resource_type` and `resource_id` with a secret. Raises OverQuota."""
    project_id = ctx.project_id or ""
    secrets.get(tx, secret_id)
    quotas.enforce(cloud, tx, project_id, QUOTA, secret_store.count_consumers)
    if secret_store.consumer(tx, secret_id, **_of_secret(words)) is not None:
        return
    now = clock.utcnow()
    row = SecretConsumer(
        ids.new_uuid(), secret_id, project_id, words["service"], words["resource_type"], words["resource_id"], now, now
    )
    secret_store.add_consumer(tx, row)
    secret_store.change(tx, secret_id, {"updated_at": now})


def remove_from_secret(tx: Tx, ctx: Context, secret_id: str, words: Mapping[str, str]) -> None:
    """Forget a consumer; the project that registered it may, and the secret's."""
    found = secret_store.consumer(tx, secret_id, **_of_secret(words))
    if found is None:
        raise no_consumer()
    _check_owner(ctx, found.project_id, secrets.get(tx, secret_id).project_id)
    secret_store.remove_consumer(tx, found.id)


def forget(tx: Tx, secret_id: str, words: Mapping[str, str]) -> None:
    """Forget a consumer of a secret on the word of the service that had registered it."""
    found = secret_store.consumer(tx, secret_id, **_of_secret(words))
    if found is not None:
        secret_store.remove_consumer(tx, found.id)


def add_to_container(cloud: Cloud, tx: Tx, ctx: Context, container_id: str, name: str, url: str) -> None:
    """Register somebody with a container. Raises OverQuota."""
    project_id = ctx.project_id or ""
    containers.get(tx, container_id)
    quotas.enforce(cloud, tx, project_id, QUOTA, container_store.count_consumers)
    if container_store.consumer(tx, container_id, name=name, url=url) is not None:
        return
    now = clock.utcnow()
    row = ContainerConsumer(ids.new_uuid(), container_id, project_id, name, url, now, now)
    container_store.add_consumer(tx, row)
    container_store.touch(tx, container_id, now)


def remove_from_container(tx: Tx, ctx: Context, container_id: str, name: str, url: str) -> None:
    """Forget a consumer; the project that registered it may, and the container's."""
    found = container_store.consumer(tx, container_id, name=name, url=url)
    if found is None:
        raise no_consumer()
    _check_owner(ctx, found.project_id, containers.get(tx, container_id).project_id)
    container_store.remove_consumer(tx, found.id)


def _of_secret(words: Mapping[str, str]) -> dict[str, Any]:
    return {name: words[name] for name in ("service", "resource_type", "resource_id")}


def _check_owner(ctx: Context, *owners: str) -> None:
    if ctx.project_id not in owners:
        raise Forbidden("Not Allowed. Sorry, only the creator of a consumer can delete it.")
