# SPDX-License-Identifier: Apache-2.0
"""A Cumulet of the driver's own: new state, ports that nobody else has, fake drivers or real ones; gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

PATIENCE = 300.0  # seconds that starting or stopping may take
DRIVERS = ("compute", "network", "block_storage")


class NotStarted(Exception):
    """The command failed; the message quotes it."""


class OwnCloud:
    """Use as a context manager; `keep` leaves the state directory for a look. One that is `real` has real servers."""

    def __init__(self, *, keep: bool = False, real: bool = False) -> None:
        self._keep = keep
        self._up = ("up",) if real else ("up", "--no-seed")
        self._folder = Path(tempfile.mkdtemp(prefix="cumulet-bench-"))
        self.state = self._folder / "state"
        self._flags = {
            "state": str(self.state),
            "control.port": str(free_port()),
            "data.port": str(free_port()),
            "objects.port": str(free_port()),
            **{f"{service}.driver": "fake" for service in DRIVERS if not real},
        }

    @property
    def clouds(self) -> Path:
        """The `clouds.yaml` of its administrator; the cloud in it is called `cumulet`."""
        return self.state / "clouds.yaml"

    def __enter__(self) -> OwnCloud:
        try:
            self._command(*self._up)
        except BaseException:
            with contextlib.suppress(NotStarted):  # the first failure is the one to tell
                self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._command("down")
        if self._keep:
            print(f"kept: {self._folder}")
        else:
            shutil.rmtree(self._folder)

    def _command(self, *words: str) -> None:
        flags = [word for name, value in self._flags.items() for word in ("--set", f"{name}={value}")]
        # Settings of the caller's own cloud are none of this one's.
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CUMULET_")}
        argv = [sys.executable, "-m", "cumulet.cli", *flags, *words]
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise NotStarted(f"cumulet {' '.join(words)}: {done.stdout}\n{done.stderr}")


def free_port() -> int:
    """A TCP port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
