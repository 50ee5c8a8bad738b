# SPDX-License-Identifier: Apache-2.0
"""The parts of compute that run in the control plane: each replica conducts (sagas) and schedules."""

from __future__ import annotations

import uuid
import zlib
from datetime import datetime

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud

CONDUCTOR, SCHEDULER = "nova-conductor", "nova-scheduler"
ZONE = "internal"  # where Nova shows whatever takes no servers
_NUMBERS = 1 << 30  # numbers below it are those of hosts
_NAMES = uuid.UUID("6f1d3b52-5a0c-5b8e-9b0a-3f1c1d0e7a44")


class ControlService(msgspec.Struct, frozen=True):
    """One part in one replica; its ids are made of its names, so that they stay while rows of replicas come and go."""

    binary: str
    host: str
    up: bool
    heard_at: datetime

    @property
    def topic(self) -> str:
        return self.binary.removeprefix("nova-")

    @property
    def service_id(self) -> str:
        return str(uuid.uuid5(_NAMES, f"{self.binary}@{self.host}"))

    @property
    def number(self) -> int:
        return _NUMBERS | zlib.crc32(f"{self.binary}@{self.host}".encode()) % _NUMBERS


def find_all(cloud: Cloud) -> list[ControlService]:
    """Both parts of every replica that the kernel knows, those that have fallen silent among them."""
    return [
        ControlService(binary, each.name.partition("/")[0], each.lives, clock.from_seconds(each.heard_at))
        for binary in (CONDUCTOR, SCHEDULER)
        for each in cloud.hosts.replicas()
    ]
