# SPDX-License-Identifier: Apache-2.0
"""The agent process with toy services: order, the link, leaving and taking away."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.agent import Agent, drain
from cumulet.kernel import lock
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.link.controller import Hosts
from cumulet.kernel.link.names import SOCKET_NAME, NotJoined
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.loop import Loop
from cumulet.settings import Settings

MANIFEST = 'type = "{name}"\nnickname = "{name}"\nsummary = "A toy"\nroot = "{name}"\nagent = {agent}\n'

CODE = """
from pathlib import Path
AFTER = {after}
class Part:
    def __init__(self, host):
        self.host = host
        self.verbs = {{"{name}.echo": lambda body: {{"{name}": body, "host": host.name}}}}
    def note(self, word):
        with (self.host.state / "diary").open("a") as diary:
            diary.write("{name} " + word + "\\n")
    def start(self):
        self.note("start")
    def stop(self):
        self.note("stop")
        {stop}
    def report(self):
        return {{"truth": "{name}"}}
    {shutdown}
def create(host):
    return Part(host)
"""


def write(folder: Path, name: str, *, after: tuple[str, ...] = (), stop: str = "", lasting: bool = False) -> None:
    room = folder / name / "agent"
    room.mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "manifest.toml").write_text(MANIFEST.format(name=name, agent="true"))
    shutdown = "def shutdown(self): self.note('shutdown')" if lasting else ""
    (room / "__init__.py").write_text(CODE.format(name=name, after=after, stop=stop, shutdown=shutdown))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of services: `alpha` builds on `beta`; `gamma` has no part on hosts."""
    name = f"toys_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / "lib" / name
    write(folder, "alpha", after=("beta", "absent"), lasting=True)
    write(folder, "beta", stop="1 / 0", lasting=True)
    (folder / "gamma").mkdir()
    (folder / "gamma" / "manifest.toml").write_text(MANIFEST.format(name="gamma", agent="false"))
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "lib")
    importlib.invalidate_caches()
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state", host="here")


@pytest.fixture
def hosts(settings: Settings) -> Iterator[Hosts]:
    settings.run.mkdir(parents=True)
    loop = Loop()
    db = Database.sqlite(settings.state / "cloud.db", durable=False)
    migrate.migrate(db, {})
    hosts = Hosts(loop, settings.run / SOCKET_NAME, Registry(db, "here/control"))
    hosts.start()
    yield hosts
    hosts.stop()
    loop.close()
    db.close()


def diary(settings: Settings) -> list[str]:
    return (settings.state / "agent" / "diary").read_text().split("\n")[:-1]


def test_services_are_found_started_in_order_and_served(package: str, settings: Settings, hosts: Hosts) -> None:
    reports: list[object] = []
    hosts.on_connect(lambda _info, report: reports.append(report))
    agent = Agent(settings, package)
    agent.start()
    assert hosts.wait_for("here", 10)
    assert hosts.call("here", "alpha.echo", {"a": 1}) == {"alpha": {"a": 1}, "host": "here"}
    assert hosts.connected()[0].capabilities["processors"] >= 1
    agent.stop()
    assert reports == [{"alpha": {"truth": "alpha"}, "beta": {"truth": "beta"}}]
    assert diary(settings) == ["beta start", "alpha start", "alpha stop", "beta stop"]


def test_one_verb_has_one_owner(package: str, settings: Settings, tmp_path: Path) -> None:
    room = tmp_path / "lib" / package / "beta" / "agent" / "__init__.py"
    room.write_text(room.read_text().replace("beta.echo", "alpha.echo"))
    with pytest.raises(ValueError, match=r"alpha.echo, which another service offers"):
        Agent(settings, package)


def test_drain_takes_away_without_starting(package: str, settings: Settings) -> None:
    assert drain(settings, package)
    assert diary(settings) == ["alpha shutdown", "beta shutdown"]


def test_the_process_leaves_at_sigterm_and_is_alone(package: str, settings: Settings, hosts: Hosts) -> None:
    code = (
        "from pathlib import Path; from cumulet.agent import run; from cumulet.settings import Settings; "
        f"run(Settings(state=Path({str(settings.state)!r}), host='here'), {package!r})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    try:
        assert hosts.wait_for("here", 30)
        assert lock.owner(settings.state / lock.AGENT) == process.pid
        with pytest.raises(lock.Held):
            drain(settings, package)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        _, words = process.communicate()
    assert diary(settings)[-2:] == ["alpha stop", "beta stop"], words.decode()
    assert lock.owner(settings.state / lock.AGENT) is None


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import time; from pathlib import Path; from cumulet.kernel import lock\n"
    code += f"with lock.hold(Path({str(path)!r})): print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert lock.owner(path) == process.pid
    finally:
        process.kill()
        process.communicate()
    end = time.monotonic() + 5
    while lock.owner(path) is not None and time.monotonic() < end:
        time.sleep(0.01)
    with lock.hold(path):
        assert lock.owner(path) == os.getpid()
    assert lock.owner(path) is None
    assert lock.owner(tmp_path / "none") is None


def test_a_host_whose_certificate_has_ended_still_drains(package: str, settings: Settings) -> None:
    folder = settings.state / "agent" / "link"
    folder.mkdir(parents=True)
    (folder / "host.pem").write_text("of no use any more")
    (folder / "urls").write_text("https://127.0.0.1:9\n")
    with pytest.raises(NotJoined, match="join again"):
        Agent(settings, package).start()
    assert drain(settings, package)
