# SPDX-License-Identifier: Apache-2.0
"""What must be there before the first request: the default volume type, and the type of consistency groups."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.block_storage.logic import group_types, volume_types


def run(cloud: Cloud) -> None:
    """Make what is missing; nothing changes the second time."""
    volume_types.ensure_default(cloud)
    group_types.ensure_consistent(cloud)
