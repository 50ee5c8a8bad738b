# SPDX-License-Identifier: Apache-2.0
"""What must be there before the first request: the default volume type."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.block_storage.logic import volume_types


def run(cloud: Cloud) -> None:
    """Make what is missing; nothing changes the second time."""
    volume_types.ensure_default(cloud)
