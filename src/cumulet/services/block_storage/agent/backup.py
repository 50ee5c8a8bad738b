# SPDX-License-Identifier: Apache-2.0
"""Volumes and snapshots of this host in a backup."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from cumulet.kernel.backup.keeper import take_pinned
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.drivers.base import CopyByOpener, VolumeBackend

FOLDER = "agent/block_storage"
PATIENCE = 120.0  # seconds that other work on a disk, or a server that is about to open it, is given
PAUSE = 1.0


class VolumesKeeper:
    """`kernel.backup.keeper.Keeper`. A volume that a server has open is copied with that server's other disks."""

    folders = (FOLDER,)

    def __init__(self, backends: Backends, by_opener: Callable[[ExitStack, str], CopyByOpener]) -> None:
        self._backends = backends
        self._by_opener = by_opener
        self._done: set[str] = set()
        self._lock = threading.Lock()

    def pin(self, folder: Path) -> list[str]:
        with self._lock:
            self._done.clear()
        found = []
        for each in self._backends:
            found += [str(Path(each.place) / name) for name in each.driver.pin(folder / each.place)]
        return found

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        *place, kind, name = Path(piece).parts
        volume_id = name.partition(".")[0]
        backend = next(each.driver for each in self._backends if Path(each.place).parts == tuple(place))
        target = into / FOLDER / piece
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if kind == "snapshots":
            take_pinned(folder / piece, target)
            return
        with self._lock:
            if volume_id in self._done:
                return
        try:
            self._copy_now(backend, volume_id, target)
        except NotFound:
            # It was deleted after the pinning, so nobody has it open.
            target.unlink(missing_ok=True)
            take_pinned(folder / piece, target)

    def target(self, volume_id: str, into: Path) -> Path | None:
        """See `contract.HostVolumes.copy_target`."""
        try:
            found = self._backends.holding(volume_id)
            folder = into / FOLDER / found.place / "volumes"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = found.driver.empty_copy(volume_id, folder)
        except NotFound:
            return None
        if path is not None:
            with self._lock:
                self._done.add(volume_id)
        return path

    def discard(self, volume_id: str, into: Path) -> None:
        """See `contract.HostVolumes.discard_copy`."""
        with self._lock:
            self._done.discard(volume_id)
        for each in self._backends:
            for path in (into / FOLDER / each.place / "volumes").glob(f"{volume_id}.*"):
                path.unlink()

    def _copy_now(self, backend: VolumeBackend, volume_id: str, target: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        target_format: Literal["qcow2", "raw"] = "raw" if target.suffix == ".raw" else "qcow2"
        while True:
            try:
                with ExitStack() as held:
                    backend.export(volume_id, target, target_format, self._by_opener(held, volume_id))
                return
            except NotReady:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)
