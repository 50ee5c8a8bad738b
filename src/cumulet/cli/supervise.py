# SPDX-License-Identifier: Apache-2.0
"""The supervisor: starts the parts, starts again what dies, gives up loudly, keeps the logs small.

SIGTERM stops all parts; servers go on running. SIGHUP tries again the parts that it has given up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cumulet.cli import Call
from cumulet.cli.parts import (
    SUPERVISOR,
    Overview,
    Part,
    PartStatus,
    command,
    lock_path,
    log_path,
    of,
    overview_path,
)
from cumulet.kernel import lock
from cumulet.kernel import run as programs
from cumulet.kernel.bell import Bell
from cumulet.settings import Settings
from cumulet.settings.processes import Log

FIRST_PAUSE = 0.2  # seconds before a part that died is started again; doubled each time, up to LAST_PAUSE
LAST_PAUSE = 10.0
QUICK = 5.0  # a part that dies within so many seconds of its start has died quickly
PATIENCE = 5  # quick deaths in a row after which a part is given up
STOP_TIMEOUT = 20.0  # seconds that a part is given to leave
# glibc gives threads heaps of their own, which keep what is free in them; threads that share the GIL need few.
ARENAS = "MALLOC_ARENA_MAX"
ROUND = 5.0  # seconds between two looks at the logs


class Keeper:
    """One part: its process, and when to start it again."""

    def __init__(self, part: Part, argv: list[str], log: Path) -> None:
        self.part = part
        self.status = PartStatus(name=part.name)
        self.log = log
        self._argv = argv
        self._process: programs.Process | None = None
        self._quick_deaths = 0
        self._due = 0.0

    def start(self) -> None:
        """Start the process now."""
        self._process = programs.spawn(self._argv, log=self.log, env={ARENAS: os.environ.get(ARENAS, "2")})
        self.status.pid = self._process.pid
        self.status.since = time.time()
        self.status.state = "running"

    def retry(self) -> None:
        """Forget earlier deaths and start, if it was given up."""
        if self.status.state == "failed":
            self._quick_deaths = 0
            self.start()

    def look(self) -> bool:
        """Notice a death, or start again what is due; True where something changed."""
        now = time.monotonic()
        if self._process is not None and (code := self._process.poll()) is not None:
            self._bury(code, now)
            return True
        if self.status.state == "waiting" and self._due <= now:
            self.status.restarts += 1
            self.start()
            return True
        return False

    @property
    def pause(self) -> float:
        """Seconds until this part wants to be looked at."""
        return max(0.0, self._due - time.monotonic()) if self.status.state == "waiting" else ROUND

    def ask_to_leave(self) -> None:
        """Send SIGTERM, and never start again."""
        if self._process is not None:
            self._process.terminate()
        self.status.state = "stopped"

    def see_off(self, deadline: float) -> None:
        """Wait for the end, and force it at `deadline`."""
        if self._process is None:
            return
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._process.poll() is None:
            self._say(f"{self.part.title} did not leave within {STOP_TIMEOUT:g} s and is killed")
            self._process.kill()
            self._process.wait()
        self._process, self.status.pid = None, None

    def _bury(self, code: int, now: float) -> None:
        self._process, self.status.pid, self.status.last_exit = None, None, code
        lived = time.time() - self.status.since
        self._quick_deaths = self._quick_deaths + 1 if lived < QUICK else 1
        if code == -signal.SIGKILL:  # somebody's deed, which says nothing of whether the part can start
            self._quick_deaths = min(self._quick_deaths, PATIENCE - 1)
        if self._quick_deaths >= PATIENCE:
            self.status.state = "failed"
            self._say(f"{self.part.title} died {PATIENCE} times in a row and is given up; see {self.log}")
            return
        pause = min(FIRST_PAUSE * 2 ** (self._quick_deaths - 1), LAST_PAUSE)
        self.status.state, self._due = "waiting", now + pause
        self._say(f"{self.part.title} ended ({_ending(code)}) after {lived:.1f} s; starting it again in {pause:g} s")

    def _say(self, text: str) -> None:
        print(time.strftime("%Y-%m-%dT%H:%M:%S%z"), text, file=sys.stderr, flush=True)


class Supervisor:
    """The processes `parts` of one cloud on one machine, each with its command line; `name` is its own."""

    def __init__(self, settings: Settings, parts: Sequence[tuple[Part, list[str]]], name: str = SUPERVISOR) -> None:
        self._settings = settings
        self._name = name
        self._keepers = [Keeper(part, argv, log_path(settings, part.name)) for part, argv in parts]
        self._wake = Bell()
        self._stopping = False
        self._retrying = False

    def run(self) -> None:
        """Keep the parts running until SIGTERM or SIGINT. Raises lock.Held where another supervisor does so."""
        (self._settings.state / "log").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock.hold(lock_path(self._settings, self._name)):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, self._on_signal)
            for keeper in self._keepers:
                keeper.start()
            self._write_down()
            while not self._stopping:
                self._round()
            self._stop()

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stopping = self._stopping or number in (signal.SIGTERM, signal.SIGINT)
        self._retrying = self._retrying or number == signal.SIGHUP
        self._wake.ring()

    def _round(self) -> None:
        self._wake.wait(min(keeper.pause for keeper in self._keepers))
        changed = [keeper.look() for keeper in self._keepers]
        if self._retrying:
            self._retrying = False
            for keeper in self._keepers:
                keeper.retry()
            changed.append(True)
        if any(changed):
            self._write_down()
        for keeper in self._keepers:
            rotate(keeper.log, self._settings.log)
        rotate(log_path(self._settings, self._name), self._settings.log)

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT
        for keeper in self._keepers:
            keeper.ask_to_leave()
        for keeper in self._keepers:
            keeper.see_off(deadline)
        overview_path(self._settings, self._name).unlink(missing_ok=True)

    def _write_down(self) -> None:
        path = overview_path(self._settings, self._name)
        draft = path.with_suffix(".new")
        parts = [keeper.status for keeper in self._keepers]
        draft.write_bytes(msgspec.json.encode(Overview(pid=os.getpid(), parts=parts)))
        draft.rename(path)


def rotate(path: Path, limits: Log) -> None:
    """Keep a log small: past its size it is copied away and emptied, for its writer holds it open.

    A line that is written between the copy and the emptying is lost.
    """
    try:
        if path.stat().st_size < limits.size:
            return
    except FileNotFoundError:
        return
    for number in range(limits.keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def supervise(settings: Settings, flags: tuple[str, ...]) -> None:
    """Keep a whole cloud running in this process until SIGTERM. Raises lock.Held."""
    keep(settings, flags, of(settings), SUPERVISOR)


def keep(settings: Settings, flags: tuple[str, ...], parts: Sequence[Part], name: str) -> None:
    """Keep these parts running in this process, the supervisor `name`, until SIGTERM. Raises lock.Held."""
    me = str(os.getpid())
    lines = [(part, command(flags, part.command, *part.words, "--parent", me)) for part in parts]
    Supervisor(settings, lines, name).run()


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(call: Call) -> int:
    """Supervise in the foreground."""
    try:
        supervise(call.settings, call.flags)
    except lock.Held as error:
        print(f"cumulet: this cloud runs already: {error}", file=sys.stderr)
        return 1
    return 0
