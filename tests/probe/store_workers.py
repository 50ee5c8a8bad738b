# SPDX-License-Identifier: Apache-2.0
"""An object store of four processes with a device each, whose clocks are apart."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from probe.store_clients import Box, Clients
from support.small_disk import SmallDisk, small_disk
from support.waiting import until

AHEAD = [0.0, 0.4, -0.7, 0.0]  # seconds that the clocks of the processes are ahead
COUNT = len(AHEAD)
SMALL = COUNT - 1  # the device on a disk of its own
MIB = 16
CLOCK = """
import os, time
_time, _ahead = time.time, float(os.environ["CLOCK_AHEAD"])
time.time = lambda: _time() + _ahead
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Workers:
    """The processes. `small` is the disk of device `SMALL`, None where nobody may mount one."""

    def __init__(self, state: Path, small: SmallDisk | None) -> None:
        self.state, self.small = state, small
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        site = state / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(CLOCK)
        devices = ""
        for number in range(COUNT):
            self.folder(number).mkdir(exist_ok=True)
            devices += f'[[object_store.devices]]\nname = "d{number}"\nfolder = "{self.folder(number)}"\n'
        (state / "cumulet.toml").write_text(
            f"""
            [objects]
            port = {self.port}
            [object_store]
            workers = {COUNT}
            part_power = 4
            reserve = 0
            [object_store.upkeep]
            replicator_interval = 1
            [object_store.temp_auth]
            users = ["user_test_tester = testing .admin"]
            {devices}
            """
        )

    def folder(self, number: int) -> Path:
        if number == SMALL and self.small is not None:
            return self.small.path / "device"
        return self.state / f"d{number}"

    def wishes(self, number: int) -> Path:
        """Where a place is told at which the process is to die."""
        return self.state / f"wishes-{number}"

    def start(self, *numbers: int) -> None:
        for number in numbers:
            paths = [str(self.state / "site"), *sys.path]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
            environment |= {"CLOCK_AHEAD": str(AHEAD[number]), "CUMULET_FAULTS": str(self.wishes(number))}
            argv = [sys.executable, "-m", "cumulet.cli", "--state", str(self.state), "objects", "--worker", str(number)]
            with (self.state / f"words-{number}").open("ab") as words:
                self.processes[number] = subprocess.Popen(
                    argv, env=environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words
                )
        for number in numbers:
            until(lambda number=number: self.serves(number))

    def serves(self, number: int) -> bool:
        assert self.processes[number].poll() is None, self.words(number)
        return "serves http" in self.words(number).rpartition("Traceback")[2]

    def words(self, number: int) -> str:
        return (self.state / f"words-{number}").read_text()

    def kill(self, number: int) -> None:
        self.processes[number].send_signal(signal.SIGKILL)
        self.ended(number)

    def ended(self, number: int) -> None:
        assert self.processes[number].wait(60) == -signal.SIGKILL, self.words(number)
        (self.state / f"words-{number}").write_text("")

    def ask(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        """One request to any of them."""
        headers = {"x-auth-token": token, **more.pop("headers", {})}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=30, **more)

    def token(self) -> tuple[str, str]:
        """Of a user of the settings, and the path of the account."""
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = httpx.get(f"{self.url}/auth/v1.0", headers=headers)
        return answer.headers["x-auth-token"], httpx.URL(answer.headers["x-storage-url"]).path

    def clients(self, seed: str) -> Clients:
        return Clients([self], AHEAD, seed, Box(f"box-{seed}"))

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(state: Path) -> Iterator[Workers]:
    """With a small disk where we are root."""
    with contextlib.ExitStack() as undo:
        small = undo.enter_context(small_disk(state / "small", MIB)) if os.geteuid() == 0 else None
        made = Workers(state, small)
        undo.callback(made.close)
        made.start(0)  # it makes rings and devices
        made.start(*range(1, COUNT))
        yield made
