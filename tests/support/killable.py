# SPDX-License-Identifier: Apache-2.0
"""A whole cloud on fake drivers whose parts are processes of their own, quick to kill and quick to come back.

Either the embedded one (control plane, data process and agent of one machine), or with a `database` (the URL of an
empty PostgreSQL database) several replicas and hosts, which join them by mTLS.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from cumulet import settings as settings_module
from cumulet.kernel.db import Database
from cumulet.kernel.injection import FILE
from cumulet.kernel.link.admission import Admission
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.secrets import Secrets
from cumulet.kernel.vault import Vault
from cumulet.settings import Settings
from support import kill_wishes
from support.cloud import FAKES, IMPORTS
from support.waiting import until

NURSERY = Path(__file__).with_name("nursery.py")
START = 240.0  # seconds that all parts may take to start on a busy machine
TOKEN_LIFETIME = 600  # seconds
# What is deleted can be had back for longer than any test takes; `World.remove_server` ends it for good.
LIVES = {"compute.reclaim_instance_interval": "86400"}
# Images come packed, or from web servers of the test at whatever port is free.
IMAGES = {
    "image.stores": [{"id": "local", "type": "file"}, {"id": "web", "type": "http"}],
    "image_import.plugins": "image_decompression",
    "image_import.allowed_hosts": "127.0.0.1",
    "image_import.allowed_ports": "",
}
# Volumes move from one of the first two to the other; on the third are those that ask for it.
BACKENDS = {
    "block_storage.backends": [
        {"name": "fake", "driver": "fake"},
        {"name": "other", "driver": "fake"},
        {"name": "san", "driver": "fake", "iscsi": True, "filter_function": "extra.volume_backend_name == 'san'"},
    ]
}


class KillableCloud:
    """The cloud in `folder`. `controls` are the settings of each replica, the first's are the cloud's own."""

    def __init__(self, folder: Path, database: str = "", replicas: int = 1, hosts: int = 1) -> None:
        self.faults = folder / "faults"
        self.seen = folder / "faults.seen"
        self.logs = folder / "log"
        self.logs.mkdir(parents=True)
        self._folder = folder
        self._pids: dict[str, list[int]] = {}
        self._parts: dict[str, dict[str, Any]] = {}
        # One for all: to make one reads all the world's certificates, unless it is told not to.
        self._http = httpx.Client(timeout=5, verify=False)
        self._nursery: subprocess.Popen[str] | None = None
        self._database: Database | None = None
        self.scaled = bool(database)
        self.hosts = [f"host-{number}" for number in range(1, hosts + 1)]
        self.controls = self._plan_scaled(database, replicas) if self.scaled else self._plan_embedded()
        self.settings = self.controls[0]

    @property
    def replicas(self) -> list[str]:
        return self._named("control")

    @property
    def agents(self) -> list[str]:
        return self._named("agent")

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
                [sys.executable, str(NURSERY), json.dumps(list(self._parts.values()))],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        for name in (*self.replicas, *self._named("data")):
            self._say(f"start {name}")
        if self.scaled:
            until(lambda: all(self.answers(control.control_url) for control in self.controls), START)
            self._join()
        for name in self.agents:
            self._say(f"start {name}")
        until(self.is_ready, START)

    def stop(self) -> None:
        self._http.close()
        if self._database is not None:
            self._database.close()
        if self._nursery is not None:
            assert self._nursery.stdin is not None
            self._nursery.stdin.close()
            self._nursery.wait(120)

    def answers(self, url: str, page: str = "/healthz") -> bool:
        """Whether the process there answers well."""
        assert self._nursery is not None
        assert self._nursery.poll() is None, self.last_words()
        try:
            return bool(self._http.get(f"{url}{page}").status_code == 200)
        except httpx.HTTPError:
            return False

    def is_ready(self) -> bool:
        """Whether every control plane, the data process and every agent are there."""
        if not all(self.answers(control.control_url, "/readyz") for control in self.controls):
            return False
        if not self.scaled:
            return True
        told = Admission(self.db, Vault(self.db, self.settings.master_key), 1).hosts()
        return sorted(host.name for host in told if host.reported_at is not None) == self.hosts

    def kill(self, part: str) -> None:
        """`kill -9`, if it lives; the part is started again at once, unless the cloud is held."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(part), signal.SIGKILL)

    def hold(self) -> None:
        """From now on, what dies stays dead."""
        self._say("hold")

    def release(self) -> None:
        """Start again what has died, now and from now on."""
        self._say("release")

    def pid(self, part: str) -> int:
        return self._pids[part][-1]

    def starts(self, part: str) -> int:
        """How often the part was started."""
        return len(self._pids[part])

    def wish(self, *wishes: str) -> None:
        """Have whoever comes by these places killed there; see `kernel.faults`."""
        kill_wishes.wish(self.faults, *wishes)

    def ungranted(self, late: float = kill_wishes.LATE) -> list[str]:
        """The wishes that have not come true; they are taken back."""
        return kill_wishes.ungranted(self.faults, late)

    def trouble(self, faults: str) -> None:
        """Give the fake drivers of all hosts these faults, in the words of `kernel.injection`; none for ""."""
        for state in self._states_of_hosts:
            draft = state / f"{FILE}.new"
            draft.write_text(faults)
            draft.rename(state / FILE)

    @property
    def states(self) -> list[Path]:
        """The folders in which the parts keep what they have."""
        return [*{self.settings.state, *self._states_of_hosts}]

    @property
    def _states_of_hosts(self) -> list[Path]:
        return [self._folder / host for host in self.hosts] if self.scaled else [self.settings.state]

    def last_words(self) -> str:
        """The ends of all logs, for a failing test's report."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.logs.glob("*.log"))
        )

    def _plan_embedded(self) -> list[Settings]:
        own = {"state": str(self._folder / "s"), "host": self.hosts[0], **_ports("control", "data")}
        return [self._part(role, role, own) for role in ("control", "data", "agent")][:1]

    def _plan_scaled(self, database: str, replicas: int) -> list[Settings]:
        shared = {"state": str(self._folder / "s"), "host": "here", "database.url": database, **_ports("data")}
        controls = []
        for number in range(1, replicas + 1):
            own = {**shared, "replica": f"control-{number}", "link.host": "127.0.0.1", **_ports("control", "link")}
            controls.append(self._part(f"control-{number}", "control", own))
            # Clients know the first data process; the others are there for the sagas that it leaves.
            first = number == 1
            self._part("data" if first else f"data-{number}", "data", own if first else {**own, **_ports("data")})
        for host in self.hosts:
            self._part(f"agent-{host}", "agent", {"state": str(self._folder / host), "host": host})
        return controls

    def _part(self, name: str, role: str, own: dict[str, str]) -> Settings:
        usual = {"cache": str(self._folder / "cache"), "identity.bcrypt_rounds": "4", **FAKES, **IMPORTS}
        overrides = {**usual, **IMAGES, **LIVES, **BACKENDS, **own}
        log = str(self.logs / f"{name}.log")
        self._parts[name] = {"name": name, "role": role, "settings": overrides, "log": log}
        return settings_module.load(environ={}, overrides=overrides)

    def _join(self) -> None:
        admission = Admission(self.db, Vault(self.db, self.settings.master_key), 30 * 86_400)
        urls = [f"https://127.0.0.1:{control.link.port}" for control in self.controls]
        for host in self.hosts:
            join(admission.new_token(TOKEN_LIFETIME), urls, host, Membership(self._folder / host / "agent"))

    def _named(self, role: str) -> list[str]:
        return [name for name, part in self._parts.items() if part["role"] == role]

    def _say(self, words: str) -> None:
        """Whole lines arrive at once: a pipe takes so few bytes in one piece."""
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(f"{words}\n")
        self._nursery.stdin.flush()

    def _listen(self) -> None:
        assert self._nursery is not None
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            name, pid = line.split()
            self._pids.setdefault(name, []).append(int(pid))


def _ports(*names: str) -> dict[str, str]:
    """Settings that give each of the listeners a port that is free now."""
    with ExitStack() as open_ones:
        probes = {name: open_ones.enter_context(socket.socket()) for name in names}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {f"{name}.port": str(probe.getsockname()[1]) for name, probe in probes.items()}
