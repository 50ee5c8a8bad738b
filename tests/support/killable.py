# SPDX-License-Identifier: Apache-2.0
"""A whole cloud on fake drivers whose parts are processes of their own, quick to kill and quick to come back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx

from cumulet import settings as settings_module
from cumulet.kernel.db import Database
from cumulet.kernel.secrets import Secrets
from support.cloud import FAKES
from support.waiting import until

NURSERY = Path(__file__).with_name("nursery.py")


class KillableCloud:
    """The cloud in `folder`; one control plane, one data process, one agent."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.faults = folder / "faults"
        self.seen = folder / "faults.seen"
        self.logs = folder / "log"
        self.logs.mkdir(parents=True)
        self._overrides = {
            "state": str(folder / "s"),
            "cache": str(folder / "cache"),
            "host": "host-1",
            "control.port": str(_free_port()),
            "data.port": str(_free_port()),
            "identity.bcrypt_rounds": "4",
            **FAKES,
            **more,
        }
        self.settings = settings_module.load(environ={}, overrides=self._overrides)
        self._pids: dict[str, list[int]] = {}
        self._nursery: subprocess.Popen[str] | None = None
        self._database: Database | None = None

    @property
    def db(self) -> Database:
        """The database, beside the processes that work on it."""
        if self._database is None:
            self._database = Database.open(self.settings)
        return self._database

    @property
    def admin_password(self) -> str:
        secret = Secrets(self.settings.state).get("admin_password")
        assert secret is not None
        return secret

    def start(self) -> None:
        """Bring all parts up; returns once they are ready."""
        environment = {**os.environ, "CUMULET_FAULTS": str(self.faults)}
        with (self.logs / "nursery.log").open("w") as words:
            self._nursery = subprocess.Popen(
                [sys.executable, str(NURSERY), json.dumps(self._parts())],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        until(self.is_ready)

    def stop(self) -> None:
        if self._database is not None:
            self._database.close()
        if self._nursery is not None:
            assert self._nursery.stdin is not None
            self._nursery.stdin.close()
            self._nursery.wait(30)

    def is_ready(self) -> bool:
        """Whether control plane, data process and agent are all there."""
        assert self._nursery is not None
        assert self._nursery.poll() is None, self.last_words()
        try:
            return bool(httpx.get(f"{self.settings.control_url}/readyz", timeout=5).status_code == 200)
        except httpx.HTTPError:
            return False

    def kill(self, part: str) -> None:
        """`kill -9`; the part is started again at once."""
        os.kill(self.pid(part), signal.SIGKILL)

    def pid(self, part: str) -> int:
        return self._pids[part][-1]

    def starts(self, part: str) -> int:
        """How often the part was started."""
        return len(self._pids[part])

    def wish(self, *wishes: str) -> None:
        """Have whoever comes by these places killed there; see `kernel.faults`."""
        draft = self.faults.with_suffix(".new")
        draft.write_text("".join(f"{wish}\n" for wish in wishes))
        draft.rename(self.faults)

    def ungranted(self) -> list[str]:
        """The wishes that have not come true; they are taken back."""
        try:
            left = self.faults.read_text().splitlines()
            self.faults.unlink()
        except FileNotFoundError:
            return []
        return left

    def last_words(self) -> str:
        """The ends of all logs, for a failing test's report."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.logs.glob("*.log"))
        )

    def _parts(self) -> list[dict[str, Any]]:
        names = ("control", "data", "agent")
        return [
            {"name": name, "role": name, "settings": self._overrides, "log": str(self.logs / f"{name}.log")}
            for name in names
        ]

    def _listen(self) -> None:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            name, pid = line.split()
            self._pids.setdefault(name, []).append(int(pid))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
