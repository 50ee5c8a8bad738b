# SPDX-License-Identifier: Apache-2.0
"""Periodic work of placement; loaded at each start, so it loads no more itself until it works."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic

DAY = 86_400.0  # seconds


def forget_removed(cloud: Cloud) -> None:
    """Remove the notes on providers that were gone a day ago already: every memory has heard of it, or is read anew."""
    from cumulet.services.placement.logic import notes

    notes.forget_removed(cloud)


LOOPS = (Periodic("placement.forget_removed", DAY, forget_removed),)
