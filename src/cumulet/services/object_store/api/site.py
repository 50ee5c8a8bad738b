# SPDX-License-Identifier: Apache-2.0
"""What filters and handlers work with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.services.object_store.engine.base import Engine
from cumulet.services.object_store.logic.access import Rules
from cumulet.services.object_store.logic.identity import Identity
from cumulet.services.object_store.logic.limits import Limits
from cumulet.services.object_store.logic.rates import Here
from cumulet.services.object_store.logic.recon import Recon
from cumulet.services.object_store.logic.temp_tokens import TempAuth


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose of the API; names and defaults are Swift's.

    `filters` are the settings of filters, by their names. `owner_headers` are shown to the account's owner alone.
    """

    account_autocreate: bool = True
    allow_account_management: bool = False
    max_containers_per_account: int = 0
    max_containers_whitelist: tuple[str, ...] = ()
    strict_cors_mode: bool = True
    cors_allow_origin: tuple[str, ...] = ()
    cors_expose_headers: tuple[str, ...] = ()
    allow_open_expired: bool = False
    region: str = "RegionOne"
    owner_headers: tuple[str, ...] = (
        "x-container-read",
        "x-container-write",
        "x-container-sync-key",
        "x-container-sync-to",
        "x-account-meta-temp-url-key",
        "x-account-meta-temp-url-key-2",
        "x-container-meta-temp-url-key",
        "x-container-meta-temp-url-key-2",
        "x-account-access-control",
    )
    filters: Mapping[str, Mapping[str, Any]] = {}

    def of(self, name: str) -> Mapping[str, Any]:
        """The settings of a filter."""
        return self.filters.get(name, {})

    def has(self, name: str) -> bool:
        """Whether the operator wants a filter that is not there by itself."""
        return name in self.filters


def words(said: str | Iterable[str]) -> tuple[str, ...]:
    """What a setting lists: a sequence, or words with spaces between."""
    return tuple(said.split() if isinstance(said, str) else said)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """`looks` is what monitoring asks, where this process has devices; `rates` counts what may not come too often."""

    engine: Engine
    identity: Identity
    options: Options = Options()
    limits: Limits = Limits()
    rules: Rules = Rules()
    temp_auth: TempAuth | None = None
    looks: Recon | None = None
    rates: Here = Here()
