# SPDX-License-Identifier: Apache-2.0
"""A disk that forgets, when the power is cut, what was not flushed; made of a trace of system calls.

A name is there for good when its folder was flushed behind its making, bytes when their file was. Of what was not, any
part may be there.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

CALLS = "write,writev,pwrite64,fsync,fdatasync,unlink,unlinkat,ftruncate,fallocate"
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})+|[^>]*)>")
_NUMBER = re.compile(r", (\d+)(?=\)| <unfinished|,|$)")
_SECTOR = 512


@dataclass
class Event:
    """`kind` is say, write, size, unlink or flush; `file` is named from the device's folder on.

    `since`: how many events there were when a flush began.
    """

    kind: str
    file: str = ""
    at: int = 0
    data: bytes = b""
    since: int = 0
    kept: bool = False

    @property
    def line(self):
        return json.loads(self.data)


def events(trace, root):
    """What the process said and did to the files below `root`, in order."""
    found, flushes, ends = [], {}, {}
    for line in Path(trace).read_text().splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, call, rest = match.groups()
        if " resumed>" in line:
            if thread in flushes and "sync" in call:
                found.append(flushes.pop(thread))
            continue
        event = _event(call, rest, root)
        if event is None:
            continue
        if event.kind == "flush":
            event.since = len(found)
            if "<unfinished" in rest:
                flushes[thread] = event
                continue
        if event.kind == "write" and call != "pwrite64":
            event.at = ends.get(event.file, 0)
            ends[event.file] = event.at + len(event.data)
        found.append(event)
    return found


def _event(call, rest, root):
    path = _FILE.match(rest)
    place = Path(_plain(path[1])) if path else Path("/")
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _QUOTED.findall(rest)]
    if "unlink" in call:
        place = place / texts[0].decode()
    if not place.is_relative_to(root):
        return Event("say", data=texts[0]) if call == "write" and texts and texts[0].startswith(b'{"') else None
    file = str(place.relative_to(root))
    numbers = [int(number) for number in _NUMBER.findall(rest[max(rest.rfind('"'), rest.find(">")) :])]
    if file.endswith(("-shm", "lock")):
        return None
    if "sync" in call:
        return Event("flush", file)
    if "unlink" in call:
        return Event("unlink", file)
    if call in ("ftruncate", "fallocate"):
        return Event("size", file, numbers[-1])
    return Event("write", file, numbers[-1] if call == "pwrite64" else 0, b"".join(texts))


def cut(base, happened, target, luck):
    """Make of the folder `base` what a cut after what `happened` leaves: without `luck` no more than it must."""
    shutil.copytree(base, target)
    safe = _flushed(happened)

    def chance():
        return luck is not None and luck.random() < 0.5

    named = {}
    for event in happened:
        if event.kind in ("say", "flush"):
            continue
        file = target / event.file
        if event.kind == "unlink":
            if event.kept or chance():
                file.unlink(missing_ok=True)
            continue
        if event.file not in named:
            named[event.file] = file.exists() or event.file in safe or chance()
        if named[event.file]:
            file.touch()
            _write(file, event, chance)


def _flushed(happened):
    """Mark what is there for good; the names that are."""
    safe = set()
    for event in happened:
        event.kept = False
    for flush in happened:
        if flush.kind != "flush":
            continue
        for event in happened[: flush.since]:
            if event.kind in ("write", "size") and event.file == flush.file:
                event.kept = True
            elif event.kind in ("write", "size", "unlink") and str(Path(event.file).parent) == flush.file:
                safe.add(event.file)
                event.kept |= event.kind == "unlink"
    return safe


def _write(file, event, chance):
    with file.open("r+b") as opened:
        if event.kind == "size":
            if event.kept or chance():
                opened.truncate(event.at)
            return
        for start in range(0, len(event.data), len(event.data) if event.kept else _SECTOR):
            if event.kept or chance():
                opened.seek(event.at + start)
                opened.write(event.data[start : start + (len(event.data) if event.kept else _SECTOR)])


def _plain(text):
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text
