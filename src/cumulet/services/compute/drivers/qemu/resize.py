# SPDX-License-Identifier: Apache-2.0
"""Disks that grow with their server's flavor, and can be what they were: an internal snapshot keeps the old state.

Nothing is copied, neither when a disk grows nor when it goes back; to forget the old state frees its clusters.
"""

from __future__ import annotations

import struct
from pathlib import Path

from cumulet.kernel import run
from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.drivers.qemu.drives import ROOT_DISK
from cumulet.services.compute.drivers.qemu.overlay import GIB, IMAGE_TOOL, overlay_size
from cumulet.services.compute.types import LocalDisk, ServerSpec

KEPT = "before-resize"
SWAP = "swap"
MIB = 1 << 20
_COUNT_OFFSET = 60  # of the number of internal snapshots, in a qcow2 header


def grow(folder: Path, before: ServerSpec, after: ServerSpec) -> None:
    """Make the disks those of `after`, save new ones, which are left to `build`; what they were can be brought back.

    Does nothing where that is done. Raises Conflict (`ResizeError`) where a disk would shrink.
    """
    for path, size in _sizes(folder, before, after).items():
        if size < overlay_size(path):
            raise Conflict("Unable to resize disk down.", code="ResizeError")
        if not _is_kept(path):
            _snapshot("-c", path)
        if size > overlay_size(path):
            run.run([IMAGE_TOOL, "resize", "-q", "-f", "qcow2", path, str(size)], timeout=600)
    _drop_unlike(folder, before.disks, after.disks, swap=True)


def go_back(folder: Path, before: ServerSpec, after: ServerSpec) -> None:
    """Make the disks what they were before `grow`, save swap space, which is left to `build`."""
    for path in _kept(folder):
        _snapshot("-a", path)
        _snapshot("-d", path)
    _drop_unlike(folder, after.disks, before.disks, swap=False)


def forget(folder: Path) -> None:
    """What the disks were before is not wanted any more; no process has them open."""
    for path in _kept(folder):
        _snapshot("-d", path)


async def forget_live(monitor: Monitor) -> None:
    """The same while the server runs."""
    for entry in await monitor.execute("query-named-block-nodes"):
        if any(each["name"] == KEPT for each in entry.get("image", {}).get("snapshots", [])):
            await monitor.execute("blockdev-snapshot-delete-internal-sync", device=entry["node-name"], name=KEPT)


def _snapshot(work: str, path: Path) -> None:
    """Make (`-c`), apply (`-a`) or delete (`-d`) the snapshot of a disk that is never guessed to be anything else."""
    image = f"driver=qcow2,file.driver=file,file.filename={str(path).replace(',', ',,')}"
    run.run([IMAGE_TOOL, "snapshot", "--image-opts", work, KEPT, image], timeout=600)


def _sizes(folder: Path, before: ServerSpec, after: ServerSpec) -> dict[Path, int]:
    """The disks that stay, and how large they are to be in bytes."""
    sizes: dict[Path, int] = {}
    root = folder / ROOT_DISK
    if root.exists():
        # A disk of no size of its own stays as large as it is.
        sizes[root] = after.disk * GIB if after.disk else 0 if before.disk else overlay_size(root)
    wanted = {disk.name: disk.size * MIB for disk in after.disks}
    sizes.update({_path(folder, disk): wanted.get(disk.name, 0) for disk in before.disks if disk.name != SWAP})
    return sizes


def _drop_unlike(folder: Path, there: list[LocalDisk], wanted: list[LocalDisk], *, swap: bool) -> None:
    """Remove disks that are not wanted in the size that they have: swap space alone, or any."""
    sizes = {disk.name: disk.size * MIB for disk in wanted}
    for disk in there:
        path = _path(folder, disk)
        if path.exists() and overlay_size(path) != sizes.get(disk.name) and (disk.name == SWAP or not swap):
            path.unlink()


def _path(folder: Path, disk: LocalDisk) -> Path:
    return folder / f"{disk.name}.qcow2"


def _kept(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.qcow2")) if _is_kept(path)]


def _is_kept(path: Path) -> bool:
    """Whether the disk has an internal snapshot: there is none but ours on a server's own disks."""
    with path.open("rb") as source:
        source.seek(_COUNT_OFFSET)
        return bool(struct.unpack(">I", source.read(4))[0])
