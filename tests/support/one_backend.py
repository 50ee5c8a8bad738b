# SPDX-License-Identifier: Apache-2.0
"""A host with one back end, for tests of what is around it."""

from __future__ import annotations

from cumulet.services.block_storage.agent.backends import Backends, Kept
from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.settings.block_storage import FakeVolumeBackend

NAME = "fake"


def alone(backend: VolumeBackend) -> Backends:
    """The back end as the one of its host, under NAME."""
    return Backends([Kept(FakeVolumeBackend(name=NAME), backend)])
