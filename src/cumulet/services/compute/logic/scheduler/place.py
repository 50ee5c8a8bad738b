# SPDX-License-Identifier: Apache-2.0
"""A host as filters and weighers see it; what costs a query is looked up when the first of them wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from cumulet.services.compute.types import Aggregate, ComputeHost, Parts, Server
from cumulet.services.placement.contract import Candidate, Room

MIB_A_GIB = 1024


class Facts(Protocol):
    """What there is to know of all hosts, looked up once a choice, when it is first wanted."""

    @property
    def busy(self) -> Mapping[str, int]:
        """How many servers are being built, or moved as wholes, by their hosts' names."""

    @property
    def held(self) -> Mapping[str, list[Parts]]:
        """What servers have for themselves of hosts, by the hosts' names."""

    def servers(self, host: str) -> list[Server]:
        """The servers on a host."""


class Place:
    """One host, and the ways in which placement would have the server there.

    `room` is what can be claimed of it by class.
    """

    def __init__(
        self,
        host: ComputeHost,
        ways: Sequence[Candidate],
        aggregates: Sequence[Aggregate],
        room: Mapping[str, Room],
        facts: Facts,
    ) -> None:
        self.host = host
        self.ways = ways
        self.aggregates = aggregates
        self._room = room
        self._facts = facts

    @property
    def name(self) -> str:
        return self.host.name

    @cached_property
    def servers(self) -> list[Server]:
        return self._facts.servers(self.name)

    @property
    def held(self) -> list[Parts]:
        """What of it servers have for themselves."""
        return self._facts.held.get(self.name, [])

    @property
    def version(self) -> int:
        return int(self.host.capabilities["version"])

    @property
    def busy(self) -> int:
        """How many of its servers are being built, or moved as wholes."""
        return self._facts.busy.get(self.name, 0)

    def left(self, name: str) -> float:
        """How much of a resource class can still be claimed."""
        found = self._room.get(name)
        return 0.0 if found is None else float(found.capacity - found.used)

    def taken(self, name: str) -> int:
        """How much of a resource class is claimed."""
        found = self._room.get(name)
        return 0 if found is None else found.used

    def said(self, key: str) -> list[str]:
        """What its aggregates say under a key, each value once."""
        return list(dict.fromkeys(each.metadata[key] for each in self.aggregates if key in each.metadata))

    @cached_property
    def words(self) -> dict[str, set[str]]:
        """All that its aggregates say; a value with commas is several."""
        found: dict[str, set[str]] = {}
        for aggregate in self.aggregates:
            for key, value in aggregate.metadata.items():
                found.setdefault(key, set()).update(part.strip() for part in value.split(","))
        return found

    def facts(self) -> dict[str, Any]:
        """The host under the names by which flavors and hints ask for its properties."""
        able = self.host.capabilities
        return {
            "uuid": self.host.id,
            "host": self.name,
            "nodename": self.name,
            "hypervisor_hostname": self.name,
            "hypervisor_type": able["hypervisor"],
            "hypervisor_version": self.version,
            "cpu_info": {
                "arch": able["architecture"],
                "model": able["cpu_model"],
                "vendor": able["cpu_vendor"],
                "features": list(able["features"]),
            },
            "free_ram_mb": int(self.left("MEMORY_MB")),
            "total_usable_ram_mb": int(able["memory"]),
            "free_disk_mb": int(self.left("DISK_GB")) * MIB_A_GIB,
            "total_usable_disk_gb": int(able["disk"]),
            "disk_mb_used": self.taken("DISK_GB") * MIB_A_GIB,
            "vcpus_total": int(able["vcpus"]),
            "vcpus_used": self.taken("VCPU"),
            "num_instances": len(self.servers),
            "num_io_ops": self.busy,
            "failed_builds": self.host.failed_builds,
        }
