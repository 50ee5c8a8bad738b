# SPDX-License-Identifier: Apache-2.0
"""What must be there before the first request: the ranges that networks are numbered out of, as the settings say."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.network.logic import segment_ranges


def run(cloud: Cloud) -> None:
    """Let the default ranges follow the settings; nothing changes the second time."""
    cloud.db.write(lambda tx: segment_ranges.follow(cloud, tx))
