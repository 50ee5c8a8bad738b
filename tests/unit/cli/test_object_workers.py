# SPDX-License-Identifier: Apache-2.0
"""Several workers of the object store: they share a port, count together, and one that dies is started anew."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet import cli
from cumulet.cli import parts
from cumulet.kernel import lock
from cumulet.kernel.metrics_of_many import together
from cumulet.settings import Settings, load
from support.waiting import until

BODY = os.urandom(200_000)  # too large for a row of the catalogue
COUNT = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Store:
    """Two workers with a device each, whose users are those of the settings: nobody has to be asked about them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_port()
        for name in ("a", "b"):
            (state / name).mkdir()
        devices = "".join(
            f'[[object_store.devices]]\nname = "{each}"\nfolder = "{state / each}"\n' for each in ("a", "b")
        )
        (state / "cumulet.toml").write_text(
            f"""
            [objects]
            port = {self.port}
            [object_store]
            workers = {COUNT}
            part_power = 4
            [object_store.temp_auth]
            users = ["user_test_tester = testing .admin"]
            [object_store.api.filters.ratelimit]
            account_ratelimit = 1000
            container_ratelimit_0 = 1000
            {devices}
            """
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        return load(environ={}, overrides={"state": str(self.state)})

    def start(self) -> None:
        with (self.state / "words").open("ab") as words:
            argv = [sys.executable, "-m", "cumulet.cli", "--state", str(self.state), "objects"]
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        until(self.are_all_there)

    def are_all_there(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.words()
        return all(parts.reaches_others(self.settings, name) for name in self.names) and parts.objects_answer(
            self.settings
        )

    @property
    def names(self) -> list[str]:
        return [each.name for each in parts.workers(self.settings)]

    def pid(self, name: str) -> int | None:
        return lock.owner(parts.lock_path(self.settings, name))

    def words(self) -> str:
        logs = [self.state / "words", *sorted((self.state / "log").glob("*.log"))]
        return "".join(path.read_text() for path in logs if path.exists())

    def ask(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        """By a connection of its own, so that each worker has its turn."""
        return httpx.request(method, f"{self.url}{path}", headers={"x-auth-token": token}, timeout=30, **more)

    def token(self) -> tuple[str, str]:
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = httpx.get(f"{self.url}/auth/v1.0", headers=headers)
        assert answer.status_code == 200
        return answer.headers["x-auth-token"], answer.headers["x-storage-url"].removeprefix(self.url)

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("workers"))
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_each_worker_serves_what_any_of_them_took(store: Store) -> None:
    token, account = store.token()
    assert store.ask("PUT", f"{account}/box", token).status_code == 201
    for number in range(12):
        assert store.ask("PUT", f"{account}/box/{number}", token, content=BODY).status_code == 201
    for number in range(12):
        assert store.ask("GET", f"{account}/box/{number}", token).content == BODY
    assert len(store.ask("GET", f"{account}/box", token).text.split()) == 12
    for each in ("a", "b"):  # two replicas
        assert len(list((store.state / each).rglob("*"))) > 12
    assert not [line for line in store.words().splitlines() if '"level":"error"' in line]


def test_what_they_count_is_summed(store: Store) -> None:
    def puts() -> float:
        lines = store.ask("GET", "/metrics").text.splitlines()
        return sum(
            float(each.split()[-1]) for each in lines if each.startswith('cumulet_object_requests_total{method="PUT"')
        )

    token, account = store.token()
    before = puts()
    for number in range(10):
        store.ask("PUT", f"{account}/counted-{number}", token)
    until(lambda: puts() == before + 10)  # a worker counts when its answer is on its way
    page = store.ask("GET", "/metrics").text
    for number in range(COUNT):
        assert f'cumulet_process_resident_memory_bytes{{worker="{number}"}}' in page
    assert page.count("# TYPE cumulet_object_requests_total counter") == 1


def test_one_that_dies_is_started_anew_and_the_others_go_on(store: Store) -> None:
    token, account = store.token()
    store.ask("PUT", f"{account}/kept", token)
    assert store.ask("PUT", f"{account}/kept/a", token, content=BODY).status_code == 201
    for name in store.names:
        before, other = store.pid(name), [store.pid(each) for each in store.names if each != name]
        assert before
        os.kill(before, signal.SIGKILL)
        until(lambda name=name, before=before: store.pid(name) not in (None, 0, before))
        until(store.are_all_there)
        assert [store.pid(each) for each in store.names if each != name] == other
        assert store.ask("GET", f"{account}/kept/a", token).content == BODY


def test_what_they_log_is_changed_for_all(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--state", str(store.state), "log-level", "--part", "objects"]
    assert cli.main([*words, "cumulet.services", "debug"]) == 0
    said = capsys.readouterr().out
    assert [line.partition(":")[0] for line in said.splitlines()] == store.names
    assert cli.main([*words, "cumulet.services", "reset"]) == 0


def test_they_are_their_owners_alone(store: Store) -> None:
    run = store.settings.run
    assert run.stat().st_mode & 0o777 == 0o700
    for number in range(COUNT):
        assert (run / f"objects-{number}.sock").stat().st_mode & 0o777 == 0o600


def test_there_are_no_more_than_the_settings_say(store: Store) -> None:
    argv = [sys.executable, "-m", "cumulet.cli", "--state", str(store.state), "objects"]
    for words, said in (((), "holds"), (("--worker", "0"), "holds"), (("--worker", "2"), "there are 2 workers")):
        done = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert said in done.stderr


def test_all_leave_together(store: Store) -> None:
    assert store.process is not None
    store.process.terminate()
    assert store.process.wait(30) == 0
    assert [store.pid(name) for name in store.names] == [None] * COUNT
    store.start()
    assert cli.main(["--state", str(store.state), "down"]) == 0
    assert [store.pid(name) for name in store.names] == [None] * COUNT


def test_pages_of_several() -> None:
    page = '# HELP c_total Counted.\n# TYPE c_total counter\nc_total{m="a b"} 2\n# HELP g Now.\n# TYPE g gauge\ng 1.5\n'
    more = page + '# HELP h_s Spread.\n# TYPE h_s histogram\nh_s_bucket{le="+Inf"} 3\nh_s_sum 0.25\nh_s_count 3\n'
    assert together({"0": page, "1": more}) == (
        '# HELP c_total Counted.\n# TYPE c_total counter\nc_total{m="a b"} 4\n'
        '# HELP g Now.\n# TYPE g gauge\ng{worker="0"} 1.5\ng{worker="1"} 1.5\n'
        '# HELP h_s Spread.\n# TYPE h_s histogram\nh_s_bucket{le="+Inf"} 3\nh_s_sum 0.25\nh_s_count 3\n'
    )
