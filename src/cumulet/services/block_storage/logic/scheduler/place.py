# SPDX-License-Identifier: Apache-2.0
"""A back end as filters and weighers see it; what costs a query is looked up when the first of them wants it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from cumulet.services.block_storage.logic import pools
from cumulet.services.block_storage.logic.pools import Room, Used
from cumulet.services.block_storage.types import Backend


class Facts(Protocol):
    """What there is to know of all back ends, looked up once a choice, when it is first wanted."""

    def used(self, backend: Backend) -> Used:
        """What is on it."""

    @property
    def pools_of(self) -> Mapping[str, str]:
        """Where the volumes are that the hints name: pools by their ids, of those that the project may know of."""

    def host_of(self, server_id: str) -> str:
        """The host of a server; "" where there is none."""


class Place:
    """One back end."""

    def __init__(self, backend: Backend, facts: Facts) -> None:
        self.backend = backend
        self.facts = facts

    @property
    def name(self) -> str:
        """`host@backend#pool`"""
        return self.backend.pool

    @cached_property
    def used(self) -> Used:
        return self.facts.used(self.backend)

    @cached_property
    def room(self) -> Room:
        return pools.room(self.backend, self.used)

    @cached_property
    def capabilities(self) -> dict[str, Any]:
        return pools.capabilities(self.backend, self.used)

    @cached_property
    def state(self) -> dict[str, Any]:
        """Under the names by which functions (`stats.`) and the hint `query` ask for it."""
        said = self.capabilities
        names = (
            "volume_backend_name", "vendor_name", "driver_version", "storage_protocol", "QoS_support",
            "total_capacity_gb", "allocated_capacity_gb", "free_capacity_gb", "provisioned_capacity_gb",
            "reserved_percentage", "thin_provisioning_support", "multiattach",
        )  # fmt: skip
        return {
            "host": self.name,
            "backend_id": self.name,
            "cluster_name": None,
            "updated": said["timestamp"],
            "max_over_subscription_ratio": self.room.ratio,
            **{name: said[name] for name in names},
        }
