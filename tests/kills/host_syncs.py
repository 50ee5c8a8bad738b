# SPDX-License-Identifier: Apache-2.0
"""What a power cut would take, which no kill shows: what was changed and never brought to the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kills.host_places import PROGRAM, SAY, Event

# What must be there after a power cut: volumes, what is known of them, and what was stored.
_KEPT = ("/volumes/", "/snapshots/", "/adoption/", "/journal/", "/targets/", "/backups/")
_PASSING = (".log", ".pid", ".sock")


def unsafe(events: Sequence[Event], root: Path, is_open: Callable[[Path], bool]) -> list[str]:
    """In words, what a verb that has ended left to chance; of files that somebody has open that is his affair."""
    found = []
    for number, event in enumerate(events):
        verb, *words = event.words
        if event.kind in (PROGRAM, SAY):
            continue
        later = events[number + 1 :]
        if verb in ("rename", "replace") and _is_kept(words[1]) and not _was_synced(events[:number], words[0]):
            found.append(f"{event.name}: it may come to its place before its content")
        if verb in ("rename", "replace", "unlink", "remove") and _is_kept(words[-1]):
            folders = {str(Path(word).parent) for word in words}
            for folder in sorted(folders):
                if Path(folder).is_dir() and not any(_syncs(each, folder) for each in later):
                    found.append(f"{event.name}: the folder is never synced")
    found += _changed_in_place(events, root, is_open)
    return found


def _changed_in_place(events: Sequence[Event], root: Path, is_open: Callable[[Path], bool]) -> list[str]:
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file() or not _is_kept(str(path)) or is_open(path) or path.name.endswith(_PASSING):
            continue
        changes = [number for number, each in enumerate(events) if _writes(each, str(path))]
        if changes and not any(_syncs(each, str(path)) for each in events[changes[-1] :]):
            found.append(f"{events[changes[-1]].name}: it is never synced")
    return found


def _is_kept(path: str) -> bool:
    return any(part in path for part in _KEPT)


def _writes(event: Event, path: str) -> bool:
    if event.kind == PROGRAM:
        verb = event.words[1] if len(event.words) > 1 else ""
        return (path in event.words) if verb == "resize" else (event.words[-1] == path and verb not in ("info", "map"))
    return event.words[0] in ("write", "truncate", "ftruncate", "pwrite") and path in event.words[1:]


def _was_synced(events: Sequence[Event], path: str) -> bool:
    """After whatever was done to it last, if anything was."""
    last = next((each for each in reversed(events) if path in " ".join(each.words)), None)
    return last is None or _syncs(last, path)


def _syncs(event: Event, path: str) -> bool:
    return event.words[0] == "fsync" and event.words[1] == path
