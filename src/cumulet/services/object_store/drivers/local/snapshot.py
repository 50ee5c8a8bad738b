# SPDX-License-Identifier: Apache-2.0
"""Devices as they are at one moment, while somebody works on them.

Readers of SQLite see a catalogue as it is when they begin, for as long as they like. The moment is one of all
catalogues where nobody has committed to any of them between the first and the last beginning. Files are then held by
links; where one has gone before it was, the moment is chosen anew, so that in the end each row has its file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from cumulet.kernel.backup.keeper import files, pin_file, take_pinned
from cumulet.kernel.errors import Conflict
from cumulet.services.object_store.drivers.local.device import CATALOGUE
from cumulet.services.object_store.drivers.local.files import DATA, MARKER
from cumulet.services.object_store.drivers.local.index import FILE as INDEX

PATIENCE = 20.0  # seconds in which there has to be a moment without a commit
BOTH = (CATALOGUE, INDEX)
_NAMED = """
SELECT file FROM objects WHERE file IS NOT NULL
UNION SELECT file FROM pending WHERE file IS NOT NULL
UNION SELECT file FROM quarantine WHERE file IS NOT NULL
"""


class Snapshot:
    """Of the devices in the folders `roots`, by name; those that were never used are not in it."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self._roots = {name: root for name, root in roots.items() if (root / MARKER).is_file()}
        self._undo = ExitStack()
        self._readers: dict[tuple[str, str], sqlite3.Connection] = {}
        self._watchers: list[sqlite3.Connection] = []

    def take(self, folder: Path) -> list[str]:
        """Hold on, below `folder`, to all that the devices have now; their names.

        Raises Conflict where there was no such moment, or a device cannot be read.
        """
        with ExitStack() as undo, _told():
            undo.callback(self.close)
            self._open()
            last: set[tuple[str, str]] = set()
            end = time.monotonic() + PATIENCE
            while True:
                self._begin(end)
                gone = set(self._hold(folder))
                # What was not there at two moments is a damaged object, not one that was replaced.
                if gone <= last:
                    break
                last = gone
            undo.pop_all()
        for watcher in self._watchers:
            watcher.close()
        return list(self._roots)

    def write(self, name: str, folder: Path, into: Path) -> None:
        """Have the device `name`, as it was, at `into`."""
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        for each in BOTH:
            reader = self._readers.get((name, each))
            if reader is not None:
                with _told(), closing(_connect(into / each)) as copy:
                    copy.execute("PRAGMA synchronous=OFF")
                    reader.backup(copy)
                reader.close()
        for path in files(folder / name):
            take_pinned(path, into / path.relative_to(folder / name))

    def close(self) -> None:
        self._undo.close()

    def _open(self) -> None:
        for name, root in self._roots.items():
            for each in BOTH:
                if (root / each).exists():
                    self._readers[name, each] = self._undo.enter_context(closing(_connect(root / each)))
                    self._watchers.append(self._undo.enter_context(closing(_connect(root / each))))

    def _begin(self, end: float) -> None:
        """Have all readers see the same moment."""
        while True:
            before = self._versions()
            for reader in self._readers.values():
                if reader.in_transaction:
                    reader.execute("ROLLBACK")
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if time.monotonic() > end:
                raise Conflict("The object store is written to all the time: begin anew when it is quieter.")
            if self._versions() == before:
                return

    def _versions(self) -> list[int]:
        """Something else wherever somebody has committed."""
        return [watcher.execute("PRAGMA data_version").fetchone()[0] for watcher in self._watchers]

    def _hold(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Link what is not linked yet; the files that are not there."""
        for name, root in self._roots.items():
            target = folder / name
            if not (target / MARKER).exists():
                pin_file(root / MARKER, target / MARKER)
            reader = self._readers.get((name, CATALOGUE))
            for (file,) in reader.execute(_NAMED) if reader is not None else ():
                pinned = target / DATA / file
                if not pinned.exists() and not pin_file(root / DATA / file, pinned):
                    yield name, file


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Conflict(f"A device of the object store cannot be read: {error}.") from error
