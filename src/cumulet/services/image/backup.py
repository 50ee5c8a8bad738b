# SPDX-License-Identifier: Apache-2.0
"""Images' bytes in a backup: whole ones only, which never change; an upload under way begins anew."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.backup.keeper import Keeper, pin_file, take_pinned
from cumulet.settings import Settings

FOLDER = "images"


class ImagesKeeper:
    """`Keeper` of the folder of the file driver."""

    folders = (FOLDER,)

    def __init__(self, images: Path) -> None:
        self._images = images

    def pin(self, folder: Path) -> list[str]:
        found = []
        for path in sorted(self._images.glob("*")):
            if path.is_file() and pin_file(path, folder / path.name):
                found.append(path.name)
        return found

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        take_pinned(folder / piece, into / FOLDER / piece)


def keeper(settings: Settings) -> Keeper:
    """The keeper of this machine's images."""
    return ImagesKeeper(settings.state / FOLDER)
