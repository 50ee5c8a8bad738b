# SPDX-License-Identifier: Apache-2.0
"""A ring's file is brought to where servers read it: each time whole or not at all, and never an older one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cumulet.kernel import lock
from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.object_store.ring import files
from cumulet.services.object_store.ring.ring import RingFile


def deliver(source: Path, places: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Put the ring to each place, a folder or a file: `(file, whether it was not the same already)`.

    All places are looked at first: Conflict where one has a later ring or another one, NotFound where there is no
    such folder; then nothing is written. kernel.lock.Held where somebody else brings a ring there.
    """
    content = source.read_bytes()
    ring = files.parse(content, source)
    return put(content, ring, source, places)


def put(content: bytes, ring: RingFile, source: Path, places: Sequence[Path]) -> list[tuple[Path, bool]]:
    """As `deliver`, of the ring `content` that comes from the file `source`, wherever that is."""
    targets = sorted({place / source.name if place.is_dir() else place for place in places})
    with ExitStack() as held:
        for target in targets:
            held.enter_context(alone(target))
        stale = [_is_stale(target, source, ring, content) for target in targets]
        for target, is_stale in zip(targets, stale, strict=True):
            if is_stale:
                files.replace(target, content)
    return list(zip(targets, stale, strict=True))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile. Raises kernel.lock.Held, or NotFound where there is no such folder."""
    if not path.parent.is_dir():
        raise NotFound(f"There is no folder {path.parent}.")
    with lock.hold(path.with_name(f".{path.name}.lock")):
        yield


def _is_stale(target: Path, source: Path, ring: RingFile, content: bytes) -> bool:
    if not target.exists():
        return True
    if target.read_bytes() == content:
        return False
    there = files.read(target)
    if there.part_power != ring.part_power:
        raise Conflict(f"{target} is another ring: it has 2**{there.part_power} partitions, not 2**{ring.part_power}.")
    if (there.version or 0) > (ring.version or 0):
        raise Conflict(f"{target} is version {there.version}, and {source} is version {ring.version}.")
    if there.version == ring.version and (there.rows, there.devices) != (ring.rows, ring.devices):
        raise Conflict(f"{target} is version {there.version} too, and says something else than {source}.")
    return True
