# SPDX-License-Identifier: Apache-2.0
"""The clouds that are judged: on fake drivers for the score `api`, on real QEMU, fabric and files for `guest`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from conformance import swift
from conformance.lists import List
from cumulet.kernel import lock
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.settings import FILE_NAME
from support.real_cloud import RealCloud, free_port, until
from support.two_hosts import SECOND, TwoHosts

FAKES = {"compute.driver": "fake", "network.driver": "fake", "block_storage.driver": "fake"}
# The rules of accounts, which Tempest is told (`tempest.py`): its users' passwords keep to the expression.
RULES = {
    "security_compliance.lockout_failure_attempts": "2",
    "security_compliance.lockout_duration": "5",
    "security_compliance.unique_last_password_count": "2",
    "security_compliance.password_regex": r"^(?=.*\d)(?=.*[a-zA-Z]).{7,}$",
    "security_compliance.password_regex_description": "a letter, a digit, and seven characters at least",
}
# Images are imported from a web server of the judge's, on this machine, and from this region as if it were another.
IMPORTS = {
    "image_import.methods": "glance-direct,web-download,copy-image,glance-download",
    "image_import.allowed_hosts": "127.0.0.1",
    "image_import.allowed_ports": "",
}
# Heavier first is also the order of their names, which Tempest's waiters go by.
STORES = """[image]
show_multiple_locations = true
show_image_direct_url = true

[[image.stores]]
type = "file"
id = "local"
weight = 10

[[image.stores]]
type = "file"
id = "second"

[[image.stores]]
type = "http"
id = "web"
"""
# Tests of the object store ask for the second by this name.
POLICIES = """
[[object_store.policies]]
number = 0
name = "gold"
default = true

[[object_store.policies]]
number = 1
name = "silver"
"""
# Containers are sent to other ones of this store.
SYNC = """
[object_store.api.filters.container_sync]
interval = 5
allowed_sync_hosts = "127.0.0.1"
realms.realm1 = {{ key = "realm1key", cluster_name1 = "{url}/v1" }}
"""
# Volumes move from one to the other.
BACKENDS = """
[[block_storage.backends]]
driver = "{driver}"
name = "{driver}"

[[block_storage.backends]]
driver = "{driver}"
name = "other"
"""
STOP = 30.0  # seconds that an agent is given to leave


def make(folder: Path, wanted: List) -> FakeCloud | OneHost | TwoRealHosts:
    """The cloud that `wanted` asks for, in `folder/state`; `open` starts it, `close` takes it away."""
    made: FakeCloud | OneHost | TwoRealHosts
    if wanted.score == "api":
        made = FakeCloud(folder, wanted.hosts)
    else:
        made = OneHost(folder / "state") if wanted.hosts == 1 else TwoRealHosts(folder / "state")
    state = made.settings.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    driver = "fake" if isinstance(made, FakeCloud) else "file"
    own = swift.settings() if wanted.judge == "swift" else ""
    sync = SYNC.format(url=made.settings.objects_url)
    (state / FILE_NAME).write_text(STORES + BACKENDS.format(driver=driver) + POLICIES + sync + own)
    made.use({**RULES, **IMPORTS, **wanted.settings})
    return made


class OneHost(RealCloud):
    """Real servers on this machine."""

    def open(self) -> None:
        self.command("up")

    def close(self) -> None:
        self.command("down")


class TwoRealHosts(TwoHosts):
    """Real servers on this machine, and on a second one that is a network namespace."""

    def open(self) -> None:
        self.up()
        with self.connect() as api:
            until("both hosts to be there", lambda: len(list(api.compute.hypervisors())) == 2)

    def close(self) -> None:
        self.down()


class FakeCloud(RealCloud):
    """Fake drivers, on so many hosts; a second data process, at `other_data_url`, on the same state."""

    def __init__(self, folder: Path, hosts: int) -> None:
        super().__init__(folder / "state")
        self.use(FAKES)
        self._folder = folder
        self._hosts = hosts
        self._closing = ExitStack()
        port = free_port()
        self._other_data = {"replica": "second", "data.port": str(port)}
        self.other_data_url = f"http://127.0.0.1:{port}"

    def open(self) -> None:
        """Start everything, and wait for every host."""
        self._closing.callback(self.command, "down")
        self.command("up")
        self._begin("second-data", "data", self._other_data)
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
        self._begin(host, "agent", {"state": str(state), "run": str(self.settings.run), "host": host})

    def _begin(self, name: str, part: str, own: Mapping[str, str]) -> None:
        """One more process of the cloud, until this is closed."""
        argv = [sys.executable, "-m", "cumulet.cli"]
        for setting, value in {**self.flags, **own}.items():
            argv += ["--set", f"{setting}={value}"]
        log = self._closing.enter_context((self.settings.state / "log" / f"{name}.log").open("w"))
        begun = subprocess.Popen(
            [*argv, part, "--parent", str(os.getpid())], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self._closing.callback(begun.wait, STOP)
        self._closing.callback(begun.terminate)


def remove_left_behind(folder: Path) -> None:
    """Stop the cloud that an ended run left, or that was kept for a look, and remove its files."""
    state, second = folder / "state", folder / "state2"
    if second.is_dir():
        _remove_second(second)
    if state.is_dir():
        _command(state, "down")
    shutil.rmtree(folder, ignore_errors=True)


def _remove_second(state: Path) -> None:
    """The second host's agent, its servers, and the namespace that was the host."""
    agent = lock.owner(state / lock.AGENT)
    place = _namespace_of(agent) if agent else None
    if agent:
        os.kill(agent, signal.SIGTERM)
        until("the second agent's end", lambda: lock.owner(state / lock.AGENT) is None)
    _command(state, "agent", "--drain", host=SECOND)
    if place is not None:
        place.delete()


def _namespace_of(process: int) -> Namespace | None:
    mine = Path(f"/proc/{process}/ns/net").stat().st_ino
    named = [path for path in Path("/run/netns").iterdir() if path.stat().st_ino == mine]
    return Namespace(named[0].name) if named else None


def _command(state: Path, *words: str, host: str = "") -> None:
    settings = ["--set", f"host={host}"] if host else []
    command = [sys.executable, "-m", "cumulet.cli", "--state", str(state), *settings, *words]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=300)
