# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in processes of its own, on real QEMU, fabric and files, which a test may kill where it likes."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cumulet import settings as settings_module
from cumulet.cli import seed

PATIENCE = 180.0  # seconds that anything may take on a busy machine


class RealCloud:
    """The cloud in `state`; its external network is a /24 of its own, so that several can stand beside each other.

    `prefix` stands before its commands.
    """

    def __init__(self, state: Path, prefix: Sequence[str] = ()) -> None:
        self._prefix = prefix
        net = f"10.{200 + zlib.crc32(str(state).encode()) % 50}.{os.getpid() % 250}"
        self.faults = state.parent / "faults"
        self.flags = {
            "state": str(state),
            "control.port": str(free_port()),
            "data.port": str(free_port()),
            "objects.port": str(free_port()),
            "network.external_cidr": f"{net}.0/24",
            "network.external_gateway": f"{net}.1",
            "network.external_allocation": f"{net}.10-{net}.200",
        }
        self.settings = settings_module.load(environ={}, overrides=self.flags)

    def use(self, flags: Mapping[str, str]) -> None:
        """Set further settings, before the cloud is up."""
        self.flags.update(flags)
        self.settings = settings_module.load(environ={}, overrides=self.flags)

    def command(self, *words: str) -> str:
        """Run `cumulet WORDS` on this cloud; what it printed. AssertionError where it fails."""
        environment = {**os.environ, "CUMULET_FAULTS": str(self.faults)}
        done = subprocess.run(
            self.argv(*words), env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"cumulet {' '.join(words)}: {done.stdout}\n{done.stderr}\n{self.last_words()}"
        return done.stdout

    def argv(self, *words: str) -> list[str]:
        """The program and its arguments for `cumulet WORDS` on this cloud."""
        flags = [word for name, value in self.flags.items() for word in ("--set", f"{name}={value}")]
        return [*self._prefix, sys.executable, "-m", "cumulet.cli", *flags, *words]

    def last_words(self) -> str:
        """The ends of all logs, for a failing test's report."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}"
            for path in sorted((self.settings.state / "log").glob("*.log"))
        )

    def connect(self) -> Any:
        """An openstacksdk connection as the admin."""
        return seed.connect(self.settings)

    def pid(self, part: str) -> int:
        """The process id of `control`, `agent` or `data`."""
        overview = json.loads((self.settings.run / "supervisor.json").read_text())
        return next(item["pid"] for item in overview["parts"] if item["name"] == part)

    def kill(self, part: str) -> None:
        """`kill -9`; the supervisor starts the part again."""
        os.kill(self.pid(part), signal.SIGKILL)

    def die_at(self, place: str) -> None:
        """Have whichever process comes by `place` next killed there."""
        self.faults.write_text(place)

    def died(self) -> bool:
        """Whether the place asked for was reached."""
        return not self.faults.exists()

    def tables(self) -> sqlite3.Connection:
        """The database, read only."""
        return sqlite3.connect(f"file:{self.settings.state / 'cumulet.db'}?mode=ro", uri=True)


def until(what: str, ask: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for `ask` to answer something true; an API that is away for the moment is asked again."""
    deadline = time.monotonic() + seconds
    problem: object = None
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except AssertionError:
            raise
        except Exception as error:
            problem, answer = error, None
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen in {seconds:g} s ({problem})")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
