# SPDX-License-Identifier: Apache-2.0
"""The rows of flavors and service profiles."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Flavor(msgspec.Struct, frozen=True):
    """A kind of service that users may choose; its first profile says who provides it."""

    id: str
    name: str
    description: str | None
    service_type: str
    enabled: bool
    created_at: datetime


class ServiceProfile(msgspec.Struct, frozen=True):
    """A driver, and words for it (`metainfo`) that nobody here reads."""

    id: str
    description: str | None
    driver: str
    metainfo: str
    enabled: bool
    created_at: datetime


class FlavorProfile(msgspec.Struct, frozen=True):
    """A profile of a flavor."""

    flavor_id: str
    service_profile_id: str
    created_at: datetime
