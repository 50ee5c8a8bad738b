# SPDX-License-Identifier: Apache-2.0
"""Clients of an object store of real processes: they write down what they are told, for the judge of histories."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

import httpx

from histories.judge import ABSENT, DONE, MAYBE, NONE, Op, Seen, judge, settled
from support.waiting import until

NAMES = ("o0", "o1", "o2", "o3", "o4", "o5")
SIZES = (20, 5000, 70_000, 200_000)
VERBS = ["put"] * 5 + ["get"] * 5 + ["delete"] * 2 + ["post"] * 2 + ["list"] * 2
WRITES = ("put", "delete", "post")
REPAIR = 60.0  # seconds in which all has to be well again


class Door(Protocol):
    """Where a client asks. A request goes by a connection of its own, so that each process behind has its turn."""

    def ask(self, method: str, path: str, token: str = "", **more) -> httpx.Response: ...

    def token(self) -> tuple[str, str]:
        """And the path of its account."""


class Box(NamedTuple):
    """A container, of the policy with this name ("": the usual one), and the names that are used in it."""

    name: str
    policy: str = ""
    names: Sequence[str] = NAMES


class Clients:
    """They work while `at_work`; `history` is what they were told. Clocks of the store are `ahead` by so many seconds.

    Without `sure` a read of the newest is as any other: two sides of a store may each have taken what they were given.
    """

    def __init__(self, doors: Sequence[Door], ahead: Sequence[float], seed: str, box: Box) -> None:
        self.doors, self.seed, self.box = doors, seed, box
        self.history: list[Op] = []
        self.failed: list[str] = []
        self.sure = True
        self._ahead = min(ahead) - 0.001, max(ahead) + 0.001
        self._numbers = itertools.count()
        self._stamps: dict[str, float] = {}
        self._over = threading.Event()
        self._token, account = doors[0].token()
        self.path = f"{account}/{box.name}"
        # A process that has just come does not reach the others yet.
        until(lambda: self.put_box(doors[0]) != 503)

    def put_box(self, door: Door) -> int:
        """Make the container, or say again that it is to be there. The status."""
        headers = {"x-storage-policy": self.box.policy} if self.box.policy else {}
        answer = door.ask("PUT", self.path, self._token, headers=headers)
        assert answer.status_code in (201, 202, 503), answer.text
        return answer.status_code

    @contextlib.contextmanager
    def at_work(self, count: int = 4) -> Iterator[Callable[[int], None]]:
        """Yields who waits until so many more requests have been answered."""
        with ThreadPoolExecutor(count) as pool:
            jobs = [pool.submit(self._work, str(number)) for number in range(count)]
            try:
                yield self.more
            finally:
                self._over.set()
            for job in jobs:
                job.result()
        self._over.clear()

    def more(self, number: int) -> None:
        """Wait until they were told so many more things."""
        end = len(self.history) + number
        until(lambda: len(self.history) >= end or self.failed)

    def acknowledged(self, begin: int = 0) -> int:
        """How many writes were, since `history` had this length."""
        return sum(op.fate == DONE for op in self.history[begin:])

    def _work(self, who: str) -> None:
        luck = Random(f"{self.seed} {who} {len(self.history)}")
        while not self._over.is_set():
            verb, name, newest = luck.choice(VERBS), luck.choice(self.box.names), luck.random() < 0.5
            self.one(who, verb, name, luck, luck.choice(self.doors), newest=newest)

    def one(self, who: str, verb: str, name: str, luck: Random, door: Door, *, newest: bool, strict: bool = False):
        """What came of it, as an `Op`."""
        op = Op(who, verb, "" if verb == "list" else name, begun=time.time())
        sure = self.sure
        try:
            getattr(self, f"_{verb}")(op, luck, partial(self._ask, door, newest and verb not in WRITES))
        except httpx.TransportError:
            pass
        except Exception as error:
            self.failed.append(f"{op}: {error!r}")
        op.ended = time.time()
        # A list is read from one replica.
        op.strict = strict or (newest and verb != "list" and sure and self.sure)
        op.stamp = op.begun + self._ahead[0], op.ended + self._ahead[1]
        if verb in WRITES or op.seen is not None:
            self.history.append(op)
        return op

    def _ask(self, door: Door, newest: bool, method: str, path: str, expected: tuple[int, ...], **more):
        headers = more.pop("headers", {}) | ({"x-newest": "true"} if newest else {})
        answer = door.ask(method, f"{self.path}{path}", self._token, headers=headers, **more)
        if answer.status_code not in (*expected, 503):
            raise AssertionError(f"{answer.status_code} {answer.text}")
        return answer

    def _put(self, op, luck, ask) -> None:
        number = next(self._numbers)
        size = luck.choice(SIZES)
        body = (hashlib.sha256(f"{self.seed} {number}".encode()).digest() * (size // 32 + 1))[:size]
        op.value, op.word = hashlib.md5(body).hexdigest(), f"w{number}"
        headers = {"x-object-meta-w": op.word, "content-type": "text/plain"}
        answer = ask("PUT", f"/{op.key}", (201, 202), content=body, headers=headers)
        op.fate = DONE if answer.status_code == 201 else MAYBE

    def _delete(self, op, luck, ask) -> None:
        answer = ask("DELETE", f"/{op.key}", (204, 404, 409))
        op.fate = DONE if answer.status_code in (204, 404) else MAYBE

    def _post(self, op, luck, ask) -> None:
        op.word = f"w{next(self._numbers)}"
        answer = ask("POST", f"/{op.key}", (202, 404, 409), headers={"x-object-meta-w": op.word})
        op.fate = {202: DONE, 404: NONE}.get(answer.status_code, MAYBE)

    def _get(self, op, luck, ask) -> None:
        answer = ask("GET", f"/{op.key}", (200, 404))
        if answer.status_code == 200:
            op.seen = Seen(hashlib.md5(answer.content).hexdigest(), answer.headers["x-object-meta-w"])
            self._stamps[op.seen.word] = float(answer.headers["x-timestamp"])
        elif answer.status_code == 404:
            op.seen = ABSENT

    def _list(self, op, luck, ask) -> None:
        answer = ask("GET", "?format=json", (200,))
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
        self.sure = True
        wrong = self.judge()
        if wrong:
            return wrong
        kept = len(self.history)
        deadline = time.monotonic() + REPAIR
        while True:
            wrong = self._look()
            if not wrong or time.monotonic() > deadline:
                return wrong
            del self.history[kept:]

    def _look(self) -> list[str]:
        """Of each door, and of one door three times, for there are several processes behind."""
        luck = Random(0)
        wrong: list[str] = []
        for turn, door in enumerate(self.doors if len(self.doors) > 1 else self.doors * 3):
            found = {}
            for newest in (False, True) if turn == 0 else (False,):
                for name in self.box.names:
                    found[name] = self.one("end", "get", name, luck, door, newest=newest, strict=True).seen
            listed = self.one("end", "list", "", luck, door, newest=False, strict=True).seen
            if listed is None or None in found.values():
                return ["not all was told"]
            wrong += settled({name: Seen(seen.value) for name, seen in found.items()}, listed)
        return wrong + self.judge()
