# SPDX-License-Identifier: Apache-2.0
"""The clouds that are judged: on fake drivers for the score `api`, on real QEMU, fabric and files for `guest`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from conformance.lists import List
from support.real_cloud import RealCloud, until

FAKES = {"compute.driver": "fake", "network.driver": "fake", "block_storage.driver": "fake"}
STOP = 30.0  # seconds that an agent is given to leave


class JudgedCloud(RealCloud):
    """The cloud in `folder/state` with what `wanted` needs; `close` takes it away."""

    def __init__(self, folder: Path, wanted: List) -> None:
        super().__init__(folder / "state")
        if wanted.score == "api":
            self.use(FAKES)
        self._folder = folder
        self._hosts = wanted.hosts
        self._closing = ExitStack()

    def open(self) -> None:
        """Start everything, and wait for every host."""
        self._closing.callback(self.command, "down")
        self.command("up")
        for number in range(2, self._hosts + 1):
            self._join(f"host-{number}")
        with self.connect() as api:
            until("every host to be there", lambda: len(list(api.compute.hypervisors())) == self._hosts)

    def close(self) -> None:
        """Stop everything."""
        self._closing.close()

    def _join(self, host: str) -> None:
        """A further agent beside the first, with a state directory of its own."""
        state = self._folder / host
        state.mkdir()
        flags = {**self.flags, "state": str(state), "run": str(self.settings.run), "host": host}
        argv = [sys.executable, "-m", "cumulet.cli"]
        for name, value in flags.items():
            argv += ["--set", f"{name}={value}"]
        log = self._closing.enter_context((self.settings.state / "log" / f"{host}.log").open("w"))
        agent = subprocess.Popen(
            [*argv, "agent", "--parent", str(os.getpid())], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self._closing.callback(agent.wait, STOP)
        self._closing.callback(agent.terminate)


def remove_left_behind(folder: Path) -> None:
    """Stop the cloud that an ended run left, or that was kept for a look, and remove its files."""
    state = folder / "state"
    if state.is_dir():
        command = [sys.executable, "-m", "cumulet.cli", "--state", str(state), "down"]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=300)
    shutil.rmtree(folder, ignore_errors=True)
