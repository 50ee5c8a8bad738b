# SPDX-License-Identifier: Apache-2.0
"""A host's part of a backup: its keepers and its journal, asked at the agent's door or, without an agent, in process.

backup.pin   {}                 -> {"folders": [...], "pieces": [...]}: from now on nothing that was there is lost
backup.copy  {"piece", "into"}  -> {}: the piece lies below `into`
backup.end   {}                 -> {}: let go
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cumulet.kernel.backup.keeper import HasKeeper, Keeper, pin_files
from cumulet.kernel.errors import Conflict

JOURNAL = "agent/journal"
FOLDER = "backup"  # in the agent's folder, on the disk where the files are

Body = dict[str, Any]


class HostBackup:
    """The keepers among `parts` (host services by name); `state` is the agent's folder in the state directory."""

    def __init__(self, state: Path, parts: dict[str, Any]) -> None:
        self._state = state
        self._folder = state / FOLDER
        self._parts = parts
        self._pieces: dict[str, tuple[Keeper, Path, str]] = {}
        self._lock = threading.Lock()

    @property
    def verbs(self) -> Mapping[str, Callable[[Body], Body]]:
        """For the door."""
        return {"backup.pin": self.pin, "backup.copy": self.copy, "backup.end": self.end}

    def pin(self, _words: Body) -> Body:
        """Hold on to everything; what a backup that was ended still held is let go."""
        with self._lock:
            self._clear()
            # Those that started last first: a server is copied with the volumes that it uses.
            parts = reversed(self._parts.items())
            keepers = {name: part.keeper for name, part in parts if isinstance(part, HasKeeper)}
            folders = [
                JOURNAL,
                f"agent/{FOLDER}",
                *(folder for keeper in keepers.values() for folder in keeper.folders),
            ]
            for name, keeper in keepers.items():
                self._pin(name, keeper)
            self._pin("journal", _Journal(self._state / "journal", [*keepers.values()]))
            return {"folders": [JOURNAL, f"agent/{FOLDER}", *folders], "pieces": list(self._pieces)}

    def copy(self, words: Body) -> Body:
        """Conflict where nothing of that name is held."""
        with self._lock:
            if words["piece"] not in self._pieces:
                raise Conflict("The agent was started anew during the backup.")
            keeper, folder, piece = self._pieces[words["piece"]]
            keeper.copy(piece, folder, Path(words["into"]))
            return {}

    def end(self, _words: Body) -> Body:
        """Let go of everything; also what a start does, for nobody asks any more."""
        with self._lock:
            self._clear()
            return {}

    def _pin(self, name: str, keeper: Keeper) -> None:
        folder = self._folder / name
        folder.mkdir(parents=True, mode=0o700)
        for piece in keeper.pin(folder):
            self._pieces[f"{name}/{piece}"] = keeper, folder, piece

    def _clear(self) -> None:
        self._pieces = {}
        shutil.rmtree(self._folder, ignore_errors=True)


class _Journal:
    """The journal, of which others answer for parts; its records are replaced, never changed, so links will do."""

    folders = (JOURNAL,)

    def __init__(self, journal: Path, others: Sequence[Keeper]) -> None:
        self._journal = journal
        self._not_ours = tuple(folder for keeper in others for folder in keeper.folders)

    def pin(self, folder: Path) -> list[str]:
        pinned = pin_files(self._journal, folder)
        return ["records"] if pinned else []

    def copy(self, piece: str, folder: Path, into: Path) -> None:
        for path in folder.rglob("*.mp"):
            name = f"{JOURNAL}/{path.relative_to(folder)}"
            if not name.startswith(self._not_ours):
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copyfile(path, target)
