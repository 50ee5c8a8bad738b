# SPDX-License-Identifier: Apache-2.0
"""What has to be right before the first search."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.placement.logic import notes


def run(cloud: Cloud) -> None:
    """Runs at every start; writes nothing but after a restored backup."""
    notes.settle_foreign(cloud)
