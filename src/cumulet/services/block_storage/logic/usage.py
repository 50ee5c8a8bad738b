# SPDX-License-Identifier: Apache-2.0
"""How much of a back end each project uses."""

from __future__ import annotations

from collections import defaultdict

from cumulet.kernel.db import Source
from cumulet.services.block_storage.store import snapshots, volumes

Words = dict[str, str]


def on_backend(source: Source, host: str, backend: str) -> tuple[Words, list[Words]]:
    """In all, then of each project: number and GiB of volumes and snapshots, as texts."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for volume in volumes.on_backend(source, host, backend):
        _count(counts[volume.project_id], 0, volume.size)
    for snapshot in snapshots.on_backend(source, host, backend):
        _count(counts[snapshot.project_id], 2, snapshot.size)
    totals = [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0, 0]
    return _words("(total)", totals), [_words(project, numbers) for project, numbers in sorted(counts.items())]


def _count(numbers: list[int], at: int, size: int) -> None:
    numbers[at] += 1
    numbers[at + 1] += size


def _words(project: str, numbers: list[int]) -> Words:
    names = ("volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    return {"project": project, **{name: str(number) for name, number in zip(names, numbers, strict=True)}}
