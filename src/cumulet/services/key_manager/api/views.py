# SPDX-License-Identifier: Apache-2.0
"""Secrets, containers and orders as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cumulet.kernel.http import Request
from cumulet.services.key_manager.api.common import ref
from cumulet.services.key_manager.logic import payloads
from cumulet.services.key_manager.types import (
    ACTIVE,
    Container,
    ContainerConsumer,
    ContainerSecret,
    Order,
    OrderStatus,
    Secret,
    SecretConsumer,
)

CONSUMERS = (1, 1)  # the version since which secrets show them


def times(row: Any) -> dict[str, Any]:
    """`created`, `updated` and `status`, which all things have."""
    return {
        "created": row.created_at.isoformat(),
        "updated": row.updated_at.isoformat(),
        "status": getattr(row, "status", ACTIVE),
    }


def secret(request: Request, row: Secret, consumers: Sequence[SecretConsumer] | None) -> dict[str, Any]:
    """A secret; with None for its consumers, without them."""
    view = {
        **times(row),
        "name": row.name,
        "secret_type": row.secret_type,
        "expiration": _iso(row.expiration),
        "algorithm": row.algorithm,
        "bit_length": row.bit_length,
        "mode": row.mode,
        "creator_id": row.creator_id,
        "secret_ref": ref(request, "secrets", row.id),
    }
    types = payloads.content_types(row.content_type)
    if types is not None:
        view["content_types"] = types
    if consumers is not None:
        view["consumers"] = [_secret_consumer(one) for one in consumers]
    return view


def secret_consumer(row: SecretConsumer) -> dict[str, Any]:
    return {**times(row), **_secret_consumer(row)}


def container(
    request: Request, row: Container, held: Sequence[ContainerSecret], consumers: Sequence[ContainerConsumer]
) -> dict[str, Any]:
    return {
        **times(row),
        "name": row.name,
        "type": row.type,
        "creator_id": row.creator_id,
        "secret_refs": [{"name": one.name, "secret_ref": ref(request, "secrets", one.secret_id)} for one in held],
        "consumers": [_container_consumer(one) for one in consumers],
        "container_ref": ref(request, "containers", row.id),
    }


def container_consumer(row: ContainerConsumer) -> dict[str, Any]:
    return {**times(row), **_container_consumer(row)}


def order(request: Request, row: Order) -> dict[str, Any]:
    view = {
        **times(row),
        "type": row.type,
        "meta": row.meta,
        "creator_id": row.creator_id,
        "order_ref": ref(request, "orders", row.id),
    }
    if row.secret_id:
        view["secret_ref"] = ref(request, "secrets", row.secret_id)
    if row.container_id:
        view["container_ref"] = ref(request, "containers", row.container_id)
    if row.status == OrderStatus.ERROR:
        view |= {"error_status_code": row.error_status_code, "error_reason": row.error_reason}
    if row.status == OrderStatus.ACTIVE:
        view |= {"sub_status": "Unknown", "sub_status_message": "Unknown"}
    return view


def _secret_consumer(row: SecretConsumer) -> dict[str, str]:
    return {"service": row.service, "resource_type": row.resource_type, "resource_id": row.resource_id}


def _container_consumer(row: ContainerConsumer) -> dict[str, str]:
    return {"name": row.name, "URL": row.url}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
