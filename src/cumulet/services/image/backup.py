# SPDX-License-Identifier: Apache-2.0
"""Images' bytes in a backup: whole ones only, which never change; an upload under way begins anew.

LIMITATIONS: what stores keep outside of the state directory (folders of their own, buckets) is for the operator to back
up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cumulet.kernel.backup.keeper import Keeper, pin_file, take_pinned
from cumulet.settings import Settings

FIRST, OTHERS, CACHE = "images", "image-stores", "image-cache"


class ImagesKeeper:
    """`Keeper` of the folders of file stores in the state directory."""

    folders = (FIRST, OTHERS, CACHE)  # what is in the cache is fetched again

    def __init__(self, state: Path) -> None:
        self._state = state

    def pin(self, folder: Path) -> list[str]:
        found = []
        for path in self._whole():
            piece = str(path.relative_to(self._state))
            if pin_file(path, folder / piece):
                found.append(piece)
        return found

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        take_pinned(folder / piece, into / piece)

    def _whole(self) -> Iterator[Path]:
        """What is published, in every store; drafts are in folders below."""
        for store in (self._state / FIRST, *sorted((self._state / OTHERS).glob("*"))):
            yield from (path for path in sorted(store.glob("*")) if path.is_file())


def keeper(settings: Settings) -> Keeper:
    """The keeper of this machine's images."""
    return ImagesKeeper(settings.state)
