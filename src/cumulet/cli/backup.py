# SPDX-License-Identifier: Apache-2.0
"""`cumulet backup`: everything that this machine keeps, into one file, with the cloud at work or down."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cumulet import __version__
from cumulet.cli import Call

if TYPE_CHECKING:
    from cumulet.kernel.backup.archive import Writer
    from cumulet.kernel.backup.keeper import Keeper
    from cumulet.settings import Settings

LOCK = "backup.lock"
FOLDER = "backup"  # in the state directory, with what is under way
PLAIN = "plain"  # in it, the files that nobody answers for
# What is made anew by every start, or is somebody's for the moment only.
LEFT_OUT = ("log", FOLDER, "cumulet.db", "cumulet.db-wal", "cumulet.db-shm")

Ask = Callable[..., Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("path", type=Path, help="the file to write; it must not exist")


def run(call: Call) -> int:
    """Exit status 1, and no file, where anything could not be read."""
    from cumulet.kernel import door, lock
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.run import CommandFailed

    if not call.settings.state.is_dir():
        print(f"cumulet: there is nothing at {call.settings.state}", file=sys.stderr)
        return 1
    try:
        with lock.hold(call.settings.state / LOCK):
            members, size = take(call.settings, call.arguments.path)
    except lock.Held as error:
        print(f"cumulet: another backup is under way, or an agent is just starting: {error}", file=sys.stderr)
        return 1
    except (OSError, RuntimeError, TimeoutError, CumuletError, CommandFailed, door.DoorError) as error:
        print(f"cumulet: no backup was made: {error}", file=sys.stderr)
        return 1
    print(f"{call.arguments.path}: {members} files, {size / 1e6:.1f} MB. It holds secrets: keep it as such.")
    outside = _outside(call.settings)
    if outside:
        print(f"Not in it, for they lie outside of the state directory: {', '.join(map(str, outside))}")
    return 0


def take(settings: Settings, path: Path) -> tuple[int, int]:
    """Write the backup; how many files and bytes it has."""
    from cumulet.kernel.backup.archive import Writer

    work = settings.state / FOLDER
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        writer = stack.enter_context(Writer(path))
        ask = stack.enter_context(_host(settings))
        backup = _Backup(settings, writer, work, ask)
        backup.write()
        taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        about = writer.finish(taken_at=taken_at, version=__version__, host=settings.host, database=backup.engine)
    return len(about.members), sum(member.size for member in about.members.values())


class _Backup:
    """One backup under way; `ask` reaches the host's part, None where this machine has none."""

    def __init__(self, settings: Settings, writer: Writer, work: Path, ask: Ask | None) -> None:
        self._settings = settings
        self._writer = writer
        self._work = work
        self._into = work / "into"
        self._ask = ask
        self.engine = ""

    def write(self) -> None:
        """Pin everything at one moment, then copy it, the database first."""
        from cumulet.kernel.backup.keeper import take_pinned

        with ExitStack() as stack:
            held = stack.enter_context(self._hold()) if self._has_database() else None
            keepers = {name: self._pin(name, keeper) for name, keeper in _keepers(self._settings).items()}
            host = self._ask("backup.pin") if self._ask else {"folders": [], "pieces": []}
            taken = [folder for keeper, _ in keepers.values() for folder in keeper.folders] + host["folders"]
            plain = self._pin_plain(tuple(taken))
            if held is not None:
                held.release()
                self._into.mkdir(mode=0o700)
                held.save(self._into)
                self._add_copied()
        for name in plain:
            take_pinned(self._work / PLAIN / name, self._into / name)
            self._add_copied()
        for name, (keeper, pieces) in keepers.items():
            for piece in pieces:
                keeper.copy(piece, self._work / name, self._into)
                self._add_copied()
        for piece in host["pieces"]:
            assert self._ask is not None
            self._ask("backup.copy", timeout=None, piece=piece, into=str(self._into))
            self._add_copied()

    def _has_database(self) -> bool:
        from cumulet.kernel.db.database import FILE_NAME

        return bool(self._settings.database.url) or (self._settings.state / FILE_NAME).is_file()

    @contextmanager
    def _hold(self) -> Iterator[Any]:
        from cumulet.kernel.db.hold import hold

        with hold(self._settings) as held:
            self.engine = held.engine
            yield held

    def _pin(self, name: str, keeper: Keeper) -> tuple[Keeper, list[str]]:
        folder = self._work / name
        folder.mkdir(mode=0o700)
        return keeper, keeper.pin(folder)

    def _pin_plain(self, taken: tuple[str, ...]) -> list[str]:
        """Pin all small files of the state directory that nobody answers for: keys, secrets, settings."""
        from cumulet.kernel.backup.keeper import files, pin_file

        state, found = self._settings.state, []
        for path in files(state):
            name = path.relative_to(state)
            if name.parts[0] in LEFT_OUT or path.suffix in (".lock", ".new", ".door"):
                continue
            if any(name.is_relative_to(folder) for folder in taken):
                continue
            if any(path.is_relative_to(folder) for folder in (self._settings.run, self._settings.cache)):
                continue
            if pin_file(path, self._work / PLAIN / name):
                found.append(str(name))
        return found

    def _add_copied(self) -> None:
        """Move what lies in `into` to the archive, so that no more than one piece takes room twice."""
        from cumulet.kernel.backup.keeper import files

        for path in files(self._into):
            name = str(path.relative_to(self._into))
            size = self._writer.add(name, path)
            path.unlink()
            if size > 1 << 20:
                print(f"  {name}: {size / 1e6:.1f} MB", flush=True)


def _outside(settings: Settings) -> list[Path]:
    """What the cloud needs and no backup of its state directory holds."""
    from cumulet.settings import SYSTEM_FILE

    needed = [settings.master_key, settings.policy_dir, SYSTEM_FILE]
    return [path for path in needed if path.exists() and not path.is_relative_to(settings.state)]


def _keepers(settings: Settings) -> dict[str, Keeper]:
    """The control side's keepers, by service."""
    from cumulet.app import SERVICES
    from cumulet.kernel.manifest import read_all

    found = {}
    for service in read_all(SERVICES):
        if room := service.room("backup"):
            found[service.package] = room.keeper(settings)
    return found


@contextmanager
def _host(settings: Settings) -> Iterator[Ask | None]:
    """The way to this machine's agent, or to its parts where none runs; None where it never was a host.

    Raises NotReady where an agent should run and does not answer.
    """
    from cumulet.kernel import door, lock

    with ExitStack() as stack:
        ask: Ask | None = None
        if _agent_answers(settings):
            ask = functools.partial(door.ask, _door(settings))
        elif (settings.state / "agent").is_dir():
            stack.enter_context(lock.hold(settings.state / lock.AGENT))
            ask = _ask_parts(settings)
        if ask is not None:
            stack.callback(ask, "backup.end")
        yield ask


def _door(settings: Settings) -> Path:
    from cumulet.kernel import door

    return door.path_of(settings.run, f"agent-{settings.host}")


def _agent_answers(settings: Settings) -> bool:
    from cumulet.cli import parts
    from cumulet.kernel import door, lock
    from cumulet.kernel.errors import NotReady

    running = lock.owner(settings.state / lock.AGENT) is not None or parts.supervisor_pid(settings) is not None
    if not running and not _door(settings).exists():
        return False
    try:
        door.ask(_door(settings), "log.level")
    except NotReady:
        if running:
            raise
        return False
    return True


def _ask_parts(settings: Settings) -> Ask:
    """The host's keepers in this process, which takes the agent's place meanwhile."""
    from cumulet.agent import Agent

    verbs = Agent(settings).backup.verbs
    return lambda verb, *, timeout=None, **words: verbs[verb](words)
