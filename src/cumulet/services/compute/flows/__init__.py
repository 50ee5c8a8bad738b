# SPDX-License-Identifier: Apache-2.0
"""The slow actions of the compute service, as sagas."""

from __future__ import annotations

from cumulet.services.compute.flows import (
    assisted_snapshots,
    backup,
    boot,
    cache_images,
    crash_dump,
    create_image,
    delete,
    interfaces,
    power,
    rebuild,
    rescue,
    resize,
    shelve,
    soft_delete,
    suspend,
    volume_move,
    volume_swap,
    volumes,
)

FLOWS = (
    boot.FLOW,
    delete.FLOW,
    rebuild.FLOW,
    backup.FLOW,
    crash_dump.FLOW,
    cache_images.FLOW,
    *create_image.FLOWS,
    *power.FLOWS,
    *volumes.FLOWS,
    volume_move.FLOW,
    volume_swap.FLOW,
    assisted_snapshots.FLOW,
    *interfaces.FLOWS,
    *resize.FLOWS,
    *suspend.FLOWS,
    *rescue.FLOWS,
    *shelve.FLOWS,
    *soft_delete.FLOWS,
)
