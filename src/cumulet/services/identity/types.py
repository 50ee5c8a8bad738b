# SPDX-License-Identifier: Apache-2.0
"""The rows of the identity service: the one definition of each resource."""

from __future__ import annotations

import msgspec


class Region(msgspec.Struct, frozen=True):
    """A geographic or other division of the cloud; regions form trees."""

    id: str
    description: str
    parent_region_id: str | None
