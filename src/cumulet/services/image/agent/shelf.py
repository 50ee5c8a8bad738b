# SPDX-License-Identifier: Apache-2.0
"""The local copies of images on their disk: one file for all images with the same bytes, and which of them may go."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from cumulet.kernel.keyed_locks import KeyedLocks
from cumulet.kernel.link.host import Journal
from cumulet.services.image.agent.backing import named_by

LOG = logging.getLogger(__name__)

GRACE = 3600.0  # seconds for which what was asked for counts as used, whether or not a disk stands on it yet
NOTED = 600.0  # seconds by which the time of the last use in the journal may be behind


class Copy(msgspec.Struct, frozen=True):
    """A local copy, in the journal. `unwanted`: the image is gone, and its copy goes with the last disk above it.

    `file` is the name of the file that holds the bytes (empty: the image's id); `used` is when it was last in use, in
    seconds since the epoch.
    """

    size: int
    sha512: str
    unwanted: bool = False
    file: str = ""
    used: float = 0.0


class Limits(msgspec.Struct, frozen=True):
    """What a host keeps: at most `size` bytes (0: any number), nothing unused for `age` seconds (0: for ever)."""

    size: int = 0
    age: float = 0.0


class Shelf:
    """Copies in `folder`, written down in `journal`; the disks that may stand on them are below `disks`."""

    def __init__(self, folder: Path, journal: Journal, disks: Path) -> None:
        self._folder = folder
        self._journal = journal
        self._disks = disks
        self._locks = KeyedLocks()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """One thread at a time for each name: an image's id, and then a file's."""
        return self._locks.hold(name)

    def sweep(self) -> None:
        """Drop what a crash left half-fetched, and records without their file."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self.all()
        named = self.files(known)
        for path in self._folder.iterdir():
            if path.name not in named:
                path.unlink()
        for image_id, copy in known.items():
            if not self.path(image_id, copy).exists():
                self._journal.delete(image_id)

    def all(self) -> dict[str, Copy]:
        """Every copy by its image's id."""
        return {image_id: msgspec.convert(record, Copy) for image_id, record in self._journal.items().items()}

    def find(self, image_id: str) -> Copy | None:
        record = self._journal.get(image_id)
        copy = None if record is None else msgspec.convert(record, Copy)
        return copy if copy is not None and self.path(image_id, copy).exists() else None

    def files(self, copies: dict[str, Copy]) -> set[str]:
        """The names of the files of these copies."""
        return {copy.file or image_id for image_id, copy in copies.items()}

    def path(self, image_id: str, copy: Copy) -> Path:
        return self._folder / (copy.file or image_id)

    def file(self, name: str) -> Path:
        return self._folder / name

    def keep(self, image_id: str, copy: Copy) -> None:
        self._journal.put(image_id, msgspec.to_builtins(copy))

    def touch(self, image_id: str, copy: Copy) -> None:
        """Write down that a copy is in use now, where that is news."""
        now = time.time()
        if now - copy.used > NOTED:
            self.keep(image_id, msgspec.structs.replace(copy, used=now))

    def drop_unwanted(self) -> None:
        """Remove the copies of images that are gone, as far as no disk stands on them."""
        copies = self.all()
        unwanted = {image_id: copy for image_id, copy in copies.items() if copy.unwanted}
        if not unwanted:
            return
        named = named_by(self._disks)
        for image_id, copy in unwanted.items():
            if self.path(image_id, copy) not in named:
                self._drop(image_id, copy)

    def tidy(self, limits: Limits) -> None:
        """Remove what has not been used for long, or least lately where there is too much; never what is in use."""
        self.drop_unwanted()
        if not limits.size and not limits.age:
            return
        named = named_by(self._disks)
        sharers: dict[Path, dict[str, Copy]] = defaultdict(dict)
        for image_id, copy in self.all().items():
            sharers[self.path(image_id, copy)][image_id] = copy
        total = sum(_room(path) for path in sharers)
        idle = {}
        for path, copies in sharers.items():
            if path in named:
                for image_id, copy in copies.items():
                    self.touch(image_id, copy)
            else:
                idle[path] = time.time() - max(copy.used for copy in copies.values())
        for path, seconds in sorted(idle.items(), key=lambda item: -item[1]):
            too_old = limits.age and seconds > limits.age
            too_much = limits.size and total > limits.size
            if seconds > GRACE and (too_old or too_much):
                total -= _room(path)
                for image_id, copy in sharers[path].items():
                    self._drop(image_id, copy)

    def _drop(self, image_id: str, copy: Copy) -> None:
        """Remove a copy, and its file with the last one that has it; one that was used meanwhile stays."""
        path = self.path(image_id, copy)
        with self.alone(path.name):
            if self.find(image_id) != copy:
                return
            if not any(other != image_id and self.path(other, each) == path for other, each in self.all().items()):
                path.unlink(missing_ok=True)
            self._journal.delete(image_id)
        LOG.info("the copy of image %s is removed", image_id)


def _room(path: Path) -> int:
    """The bytes that a file takes on the disk; 0 for one that has gone."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
