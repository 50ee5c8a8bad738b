# SPDX-License-Identifier: Apache-2.0
"""Places of death on a real host, taken from what its agent does: nobody lists them.

While it is told to, a process notes each thing that it does to the world: files made, synced, renamed and removed,
programs started and ended, words said to a QEMU, a storage daemon or `tgtd`, questions to the control plane. Each has a
name that is the same in every run (`rename volumes/A.qcow2`, `say blockdev-add`, with `~2` for the second of that name)
and is a place before it and one after it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cumulet.kernel.qmp
import cumulet.services.block_storage.drivers.tgt

BEFORE, AFTER = "before", "after"
FILE, PROGRAM, SAY, ASK = "file", "program", "say", "ask"
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_RANDOM = re.compile(r"\.[0-9a-f]{8,}\b")


class Event(NamedTuple):
    """Something that was done: `words` are paths, or a program's arguments, or what was said."""

    kind: str
    name: str
    words: tuple[str, ...]


class Places:
    """Notes what this process does, and calls `arrived(place)` at each place while it is told to look."""

    def __init__(self, root: Path, names: Mapping[str, str], arrived: Callable[[str], None]) -> None:
        self._root, self._names, self._arrived = str(root.resolve()), names, arrived
        self._guard = threading.RLock()
        self._inside = threading.local()
        self._counts: Counter[str] = Counter()
        self.looking = False
        self.events: list[Event] = []
        self.places: list[str] = []
        self.children: list[subprocess.Popen[bytes]] = []
        self._patch()

    @contextlib.contextmanager
    def look(self) -> Iterator[None]:
        self.looking = True
        try:
            yield
        finally:
            self.looking = False

    def shorten(self, word: str) -> str:
        """Without what is of this run alone."""
        for value, name in self._names.items():
            word = word.replace(value, name)
        word = word.replace(f"{self._root}/", "").replace("block_storage/", "")
        return _RANDOM.sub(".*", word)

    @contextlib.contextmanager
    def around(self, kind: str, words: tuple[str, ...], name: str) -> Iterator[None]:
        """Something is about to be done, and was."""
        if not self.looking or getattr(self._inside, "busy", False):
            yield
            return
        with self._guard:
            short = self.shorten(name)
            self._counts[short] += 1
            if (number := self._counts[short]) > 1:
                short = f"{short} ~{number}"
            self.events.append(Event(kind, short, words))
        self._come_by(f"{short}:{BEFORE}")
        self._inside.busy = kind == FILE  # the parts of a file operation are none of their own
        try:
            yield
        finally:
            self._inside.busy = False
        self._come_by(f"{short}:{AFTER}")

    def _come_by(self, place: str) -> None:
        if self.looking:
            with self._guard:
                self.places.append(place)
            self._arrived(place)

    # -- what is noted -----------------------------------------------------------------------------------------------

    def _patch(self) -> None:
        for name in ("unlink", "remove", "mkdir", "rmdir", "truncate", "symlink", "link", "rename", "replace"):
            setattr(os, name, self._file(name, getattr(os, name)))
        self._patch_handles()
        self._patch_open()
        self._patch_programs()
        self._patch_words()

    def _path(self, path: Any, words: Mapping[str, Any]) -> str | None:
        """What lies below the host's folder; None for all else."""
        if isinstance(path, int):
            path = _of_handle(path)
        folder = next((words[key] for key in ("dir_fd", "src_dir_fd") if words.get(key) is not None), None)
        whole = os.fsdecode(path)
        if folder is not None:
            whole = f"{_of_handle(folder)}/{whole}"
        whole = os.path.realpath(os.path.dirname(whole)) + "/" + os.path.basename(whole)  # noqa: PTH119, PTH120
        return whole if whole.startswith(self._root + "/") else None

    def _file(self, verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def work(path: Any, *rest: Any, **words: Any) -> Any:
            found = self._path(path, words) if self.looking else None
            if found is None:
                return real(path, *rest, **words)
            other = [os.fsdecode(rest[0])] if verb in ("rename", "replace") else []
            shown = other[0] if other else found
            with self.around(FILE, (verb, found, *other), f"{verb} {shown}"):
                return real(path, *rest, **words)

        return work

    def _patch_handles(self) -> None:
        def wrap(verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(real)
            def work(handle: int, *rest: Any) -> Any:
                found = self._path(handle, {}) if self.looking else None
                if found is None:
                    return real(handle, *rest)
                with self.around(FILE, (verb, found), f"{verb} {found}"):
                    return real(handle, *rest)

            return work

        for verb in ("fsync", "ftruncate", "pwrite"):
            setattr(os, verb, wrap(verb, getattr(os, verb)))

    def _patch_open(self) -> None:
        real_open, real_os_open = io.open, os.open

        @functools.wraps(real_open)
        def open_file(file: Any, mode: str = "r", *rest: Any, **words: Any) -> Any:
            found = None
            if self.looking and not isinstance(file, int) and set(mode) & set("wax+"):
                found = self._path(file, {})
            if found is None:
                return real_open(file, mode, *rest, **words)
            with self.around(FILE, ("write", found), f"write {found}"):
                return real_open(file, mode, *rest, **words)

        @functools.wraps(real_os_open)
        def open_handle(path: Any, flags: int, *rest: Any, **words: Any) -> int:
            found = self._path(path, words) if self.looking and flags & _CHANGING else None
            if found is None:
                return real_os_open(path, flags, *rest, **words)
            with self.around(FILE, ("write", found), f"write {found}"):
                return real_os_open(path, flags, *rest, **words)

        io.open, os.open = open_file, open_handle  # type: ignore[assignment]

    def _patch_programs(self) -> None:
        real = subprocess.Popen.__init__
        real_wait = subprocess.Popen.communicate

        @functools.wraps(real)
        def start(process: Any, argv: Any, *rest: Any, **words: Any) -> None:
            said = tuple(str(word) for word in argv)
            name = f"start {' '.join(_telling(said))}"
            with self.around(PROGRAM, said, name):
                real(process, argv, *rest, **words)
                if self.looking:
                    self.children.append(process)

        @functools.wraps(real_wait)
        def communicate(process: Any, *rest: Any, **words: Any) -> Any:
            said = tuple(str(word) for word in process.args)
            found = real_wait(process, *rest, **words)
            with self.around(PROGRAM, said, f"end {' '.join(_telling(said))}"):
                return found

        subprocess.Popen.__init__ = start  # type: ignore[method-assign]
        subprocess.Popen.communicate = communicate  # type: ignore[method-assign]

    def _patch_words(self) -> None:
        monitor, tgt = cumulet.kernel.qmp.Monitor, cumulet.services.block_storage.drivers.tgt.Tgt
        real_send, real_ask = monitor.send, tgt.ask

        @functools.wraps(real_send)
        async def send(its: Any, command: str, arguments: Mapping[str, Any], **words: Any) -> Any:
            with self.around(SAY, (command, json.dumps(arguments)), f"say {command}"):
                return await real_send(its, command, arguments, **words)

        @functools.wraps(real_ask)
        def ask(its: Any, op: Any, mode: Any, *rest: Any, **words: Any) -> str:
            with self.around(SAY, (op.name, mode.name), f"say {op.name} {mode.name}"):
                return real_ask(its, op, mode, *rest, **words)

        monitor.send, tgt.ask = send, ask  # type: ignore[method-assign]


def reads(name: str) -> bool:
    """Whether what was done changes nothing: as before it, so after it."""
    return name.startswith(("say query", "say SHOW", "say qom-list", "say qmp_capabilities", "start qemu-img info"))


def _telling(argv: tuple[str, ...]) -> list[str]:
    """A program's name, what it is to do, and on which file."""
    name = Path(argv[0]).name
    if name != "qemu-img":
        return [name]
    files = [word for word in argv[2:] if "/" in word and not word.startswith(("secret,", "tls-", "json:"))]
    return [name, argv[1], *files[-1:]]


def _of_handle(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())
