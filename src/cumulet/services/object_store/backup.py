# SPDX-License-Identifier: Apache-2.0
"""The object store in a backup: its secret and its rings, without which nothing on its devices is found, and devices.

LIMITATIONS: devices outside of the state directory are not in a backup: their objects have replicas instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cumulet.kernel.backup.keeper import Keeper, pin_file, take_pinned
from cumulet.services.object_store.drivers.local.snapshot import Snapshot
from cumulet.settings import Settings

KEPT = ("secret.json", "rings/*.builder", "rings/*.ring.gz")
DEVICES = ".devices"  # where those are pinned; no file that is kept begins so
OWN = "device"  # the one that the store makes in its folder where the settings name none


class ObjectsKeeper:
    """`Keeper` of the store's own folder and of `devices`, where they are in the state directory.

    Each file of the store's own is replaced whole. That a device was made once is not kept: at the next start the
    folders are made again that it had no files in.
    """

    def __init__(self, state: Path, folder: Path, devices: Mapping[str, Path]) -> None:
        self._state, self._folder = state, folder
        self._is_inside = folder.is_relative_to(state) and folder != state
        self._devices = {name: root for name, root in devices.items() if root.is_relative_to(state) and root != state}
        self._snapshot = Snapshot(self._devices)
        own = (folder,) if self._is_inside else ()
        self.folders = tuple(str(each.relative_to(state)) for each in (*own, *self._devices.values()))

    def pin(self, folder: Path) -> list[str]:
        found = []
        for path in (each for pattern in KEPT for each in sorted(self._folder.glob(pattern)) if self._is_inside):
            piece = str(path.relative_to(self._state))
            if pin_file(path, folder / piece):
                found.append(piece)
        return found + [f"{DEVICES}/{name}" for name in self._snapshot.take(folder / DEVICES)]

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        top, _, name = piece.partition("/")
        if top == DEVICES:
            root = self._devices[name].relative_to(self._state)
            self._snapshot.write(name, folder / DEVICES, into / root)
        else:
            take_pinned(folder / piece, into / piece)


def keeper(settings: Settings) -> Keeper:
    """The keeper of this machine's object store."""
    folder = settings.objects_folder
    devices = {each.name: each.folder.absolute() for each in settings.object_store.devices}
    return ObjectsKeeper(settings.state, folder, devices or {OWN: folder / OWN})
