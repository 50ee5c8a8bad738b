# SPDX-License-Identifier: Apache-2.0
"""The secret stores: there is one, the cloud's own database, which a project may prefer by name."""

from __future__ import annotations

from datetime import datetime

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import NotFound
from cumulet.services.key_manager.store import stores as store


class SecretStore(msgspec.Struct, frozen=True):
    """A place where payloads are kept."""

    id: str
    name: str
    store_plugin: str
    crypto_plugin: str | None
    since: datetime


_SINCE = datetime(2026, 11, 21, 0, 0, 0, 1)  # shown with microseconds, as all times are
OWN = SecretStore("5f1b7b8e-6f0a-4f5b-9a52-1d2c7f0c9d11", "Cumulet database", "store_crypto", "vault", _SINCE)


def find_all() -> list[SecretStore]:
    return [OWN]


def get(store_id: str) -> SecretStore:
    if store_id != OWN.id:
        raise NotFound("Not Found. Secret store not found.")
    return OWN


def preferred(cloud: Cloud, ctx: Context) -> SecretStore:
    """What the caller's project has chosen."""
    if store.preferred(cloud.db, ctx.project_id or "") is None:
        raise _none()
    return OWN


def prefer(cloud: Cloud, ctx: Context, store_id: str) -> None:
    get(store_id)
    cloud.db.write(lambda tx: store.prefer(tx, ctx.project_id or "", store_id))


def forget(cloud: Cloud, ctx: Context, store_id: str) -> None:
    get(store_id)
    if not cloud.db.write(lambda tx: store.remove(tx, ctx.project_id or "")):
        raise _none()


def _none() -> NotFound:
    return NotFound("Not Found. No preferred secret store defined for this project.")
