# SPDX-License-Identifier: Apache-2.0
"""Those who keep bytes outside of the database, as a backup asks them.

First everything is pinned while no transaction can commit: an instant's work, by hard links, so that what is deleted
from then on can still be read. Then it is copied piece by piece, for as long as that takes, with the cloud at work.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from cumulet.kernel.errors import Conflict


class Keeper(Protocol):
    """One keeper: `HasKeeper` on a host; on the control side `keeper(settings)` of a service's room `backup`."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that it answers for, relative to the state directory: nobody else copies what is in them."""

    def pin(self, folder: Path) -> list[str]:
        """Hold on, below the empty `folder`, to all that there is; the names of the pieces.

        What is half made is left out: whoever was making it will make it anew.
        """

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        """Write the piece, as it is at one moment after the pinning, below `into`.

        Paths below `into` are those below the state directory; `folder` is that of `pin`. A piece that was copied
        with another one writes nothing.
        """


@runtime_checkable
class HasKeeper(Protocol):
    """What a host service adds that keeps files on the host."""

    @property
    def keeper(self) -> Keeper: ...


class NothingToKeep:
    """The keeper of folders whose content is made again by whoever needs it."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.folders = folders

    def pin(self, folder: Path) -> list[str]:
        return []

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        """There are no pieces."""


def pin_files(source: Path, folder: Path) -> list[str]:
    """Link every regular file below `source` into `folder`; their paths relative to it."""
    found = []
    for path in files(source):
        name = path.relative_to(source)
        if pin_file(path, folder / name):
            found.append(str(name))
    return found


def pin_file(path: Path, target: Path) -> bool:
    """Link the file at `path` to `target`; False where it went meanwhile.

    Where they are on two file systems, `target` only points to it: `take_pinned` then needs the file to be there still.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.link(path, target)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        target.symlink_to(path)
    return True


def take_pinned(pinned: Path, target: Path) -> None:
    """Have what was pinned at `target`. Conflict where it only pointed to a file, and that has gone."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not pinned.is_symlink():
        os.link(pinned, target)
        return
    try:
        shutil.copy(pinned, target)
    except FileNotFoundError as error:
        words = f"{pinned.readlink()} was deleted during the backup, which cannot hold on to other file systems' files."
        raise Conflict(f"{words} Begin anew.") from error


def files(folder: Path) -> Iterator[Path]:
    """Every regular file below `folder` that can be read, in order; no links, sockets or devices."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
