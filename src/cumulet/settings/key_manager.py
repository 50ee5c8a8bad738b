# SPDX-License-Identifier: Apache-2.0
"""Settings of secrets."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cumulet.settings.base import Limit, Section


class KeyManager(Section, frozen=True, kw_only=True):
    """Secrets. A project that has no quota of its own may have so many of each thing; -1: as many as it likes.

    Secrets that expired `purge_expired_after` seconds ago are removed; nobody could reach them since they expired.
    """

    quota_secrets: Limit = -1
    quota_orders: Limit = -1
    quota_containers: Limit = -1
    quota_consumers: Limit = -1
    quota_cas: Limit = -1
    purge_expired_after: Annotated[int, msgspec.Meta(ge=0, le=3_153_600_000)] = 7_776_000
