# SPDX-License-Identifier: Apache-2.0
"""An object store of four processes with a device each, whose clocks are apart, and clients that write down what they
are told."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx

from histories.judge import ABSENT, DONE, MAYBE, NONE, Op, Seen, judge, settled
from support.small_disk import SmallDisk, small_disk
from support.waiting import until

AHEAD = [0.0, 0.4, -0.7, 0.0]  # seconds that the clocks of the processes are ahead
COUNT = len(AHEAD)
SMALL = COUNT - 1  # the device on a disk of its own
MIB = 16
NAMES = ["o0", "o1", "o2", "o3", "o4", "o5"]
SIZES = [20, 5000, 70_000, 200_000]
VERBS = ["put"] * 5 + ["get"] * 5 + ["delete"] * 2 + ["post"] * 2 + ["list"] * 2
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


class Clients:
    """They work between `begin` and `end`; `history` is what they were told."""

    def __init__(self, workers: Workers, seed: str) -> None:
        self.workers, self.seed = workers, seed
        self.history: list[Op] = []
        self.failed: list[str] = []
        self._numbers = itertools.count()
        self._stamps: dict[str, float] = {}
        self._over = threading.Event()
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = httpx.get(f"{workers.url}/auth/v1.0", headers=headers)
        self._token = answer.headers["x-auth-token"]
        self.box = f"{answer.headers['x-storage-url']}/box-{seed}"
        until(self._begins)

    def _begins(self) -> bool:
        """A process that has just come does not reach the others yet."""
        answer = httpx.put(self.box, headers={"x-auth-token": self._token}, timeout=30)
        assert answer.status_code in (201, 202, 503), answer.text
        return answer.status_code != 503

    @contextlib.contextmanager
    def at_work(self, count: int = 4) -> Iterator[Callable[[int], None]]:
        """Yields who waits until so many more requests have been answered."""

        def more(number: int) -> None:
            end = len(self.history) + number
            until(lambda: len(self.history) >= end or self.failed)

        with ThreadPoolExecutor(count) as pool:
            jobs = [pool.submit(self._work, str(number)) for number in range(count)]
            try:
                yield more
            finally:
                self._over.set()
            for job in jobs:
                job.result()
        self._over.clear()

    def _work(self, who: str) -> None:
        luck = Random(f"{self.seed} {who} {len(self.history)}")
        while not self._over.is_set():
            self.one(who, luck.choice(VERBS), luck.choice(NAMES), luck, newest=luck.random() < 0.5)

    def one(self, who: str, verb: str, name: str, luck: Random, *, newest: bool, strict: bool = False) -> Op:
        """By a connection of its own, so that each process has its turn."""
        op = Op(who, verb, "" if verb == "list" else name, begun=time.time(), strict=strict or newest)
        op.stamp = op.begun + min(AHEAD) - 0.001, float("inf")
        try:
            getattr(self, f"_{verb}")(op, luck, newest)
        except httpx.TransportError:
            pass
        except Exception as error:
            self.failed.append(f"{op}: {error!r}")
        op.ended = time.time()
        op.stamp = op.stamp[0], op.ended + max(AHEAD) + 0.001
        if verb in ("put", "delete", "post") or op.seen is not None:
            self.history.append(op)
        return op

    def _ask(self, op: Op, method: str, path: str, expected: tuple[int, ...], newest: bool = False, **more):
        headers = {"x-auth-token": self._token, **more.pop("headers", {})}
        if newest:
            headers["x-newest"] = "true"
        answer = httpx.request(method, f"{self.box}{path}", headers=headers, timeout=20, **more)
        if answer.status_code not in (*expected, 503):
            raise AssertionError(f"{answer.status_code} {answer.text}")
        return answer

    def _put(self, op, luck, newest) -> None:
        number = next(self._numbers)
        size = luck.choice(SIZES)
        body = (hashlib.sha256(f"{self.seed} {number}".encode()).digest() * (size // 32 + 1))[:size]
        op.value, op.word = hashlib.md5(body).hexdigest(), f"w{number}"
        headers = {"x-object-meta-w": op.word, "content-type": "text/plain"}
        answer = self._ask(op, "PUT", f"/{op.key}", (201, 202), content=body, headers=headers)
        op.fate = DONE if answer.status_code == 201 else MAYBE

    def _delete(self, op, luck, newest) -> None:
        answer = self._ask(op, "DELETE", f"/{op.key}", (204, 404, 409))
        op.fate = DONE if answer.status_code in (204, 404) else MAYBE

    def _post(self, op, luck, newest) -> None:
        op.word = f"w{next(self._numbers)}"
        headers = {"x-object-meta-w": op.word}
        answer = self._ask(op, "POST", f"/{op.key}", (202, 404, 409), headers=headers)
        op.fate = {202: DONE, 404: NONE}.get(answer.status_code, MAYBE)

    def _get(self, op, luck, newest) -> None:
        answer = self._ask(op, "GET", f"/{op.key}", (200, 404), newest)
        if answer.status_code == 200:
            op.seen = Seen(hashlib.md5(answer.content).hexdigest(), answer.headers["x-object-meta-w"])
            self._stamps[op.seen.word] = float(answer.headers["x-timestamp"])
        elif answer.status_code == 404:
            op.seen = ABSENT

    def _list(self, op, luck, newest) -> None:
        op.strict = op.strict and not newest  # a list is read from one replica
        answer = self._ask(op, "GET", "?format=json", (200,), newest)
        if answer.status_code == 200:
            op.seen = [(row["name"], Seen(row["hash"])) for row in json.loads(answer.content)]

    def judge(self) -> list[str]:
        """What is wrong up to now. Answers of reads have told some of the stamps."""
        for op in self.history:
            if op.word in self._stamps:
                op.stamp = (self._stamps[op.word],) * 2
        return self.failed + judge(self.history)

    def end(self) -> list[str]:
        """What is wrong when all is well again; asked until nothing is, for repair takes a while."""
        wrong = self.judge()
        if wrong:
            return wrong
        kept = len(self.history)
        deadline = time.monotonic() + 40

        while True:
            wrong = self._look()
            if not wrong or time.monotonic() > deadline:
                return wrong
            del self.history[kept:]

    def _look(self) -> list[str]:
        luck = Random(0)
        wrong: list[str] = []
        for turn in range(3):  # several processes
            found = {name: self.one("end", "get", name, luck, newest=turn == 0, strict=True).seen for name in NAMES}
            listed = self.one("end", "list", "", luck, newest=False, strict=True).seen
            if listed is None or None in found.values():
                return ["not all was told"]
            wrong += settled({name: Seen(seen.value) for name, seen in found.items()}, listed)
        return wrong + self.judge()
