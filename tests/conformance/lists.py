# SPDX-License-Identifier: Apache-2.0
"""The lists of tests that the judges may be asked for, and how one is cut into shards."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
UNKNOWN = 5.0  # seconds that a test without a known duration is taken for

Score = Literal["api", "guest"]


@dataclass(frozen=True)
class List:
    """A list of `tests` (ids without attributes), its score, and how many hosts its cloud has.

    `settings` are the cloud's own beside those of every list, `told` Tempest's options of it by section. `samples`:
    its tests are of sample images, each behind its test's name in brackets. `judge`: whose tests they are.
    """

    name: str
    score: Score
    hosts: int
    tests: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    samples: bool = False
    judge: Literal["tempest", "swift"] = "tempest"

    @property
    def digest(self) -> str:
        """Changes whenever the list does."""
        return hashlib.sha256("\n".join(self.tests).encode()).hexdigest()[:16]


def load(name: str) -> List:
    """The list called `name` in `lists.toml`. SystemExit names those that are there."""
    known = tomllib.loads((HERE / "lists.toml").read_text())
    if name not in known:
        raise SystemExit(f"there is no list {name}; there are: {', '.join(known)}")
    words = known[name]
    left_out = set(words.get("without", ()))
    tests = (HERE / "lists" / words["tests"]).read_text().split()
    chosen = tuple(sorted(set(tests) - left_out))
    own = {key: words[key] for key in ("settings", "told", "samples", "judge") if key in words}
    return List(name, words["score"], words["hosts"], chosen, **own)


def class_of(test: str) -> str:
    """The class that a test belongs to; its tests share a set-up, so they stay together."""
    return test.rpartition(".")[0]


def shard(tests: Iterable[str], number: int, count: int, seconds: Mapping[str, float]) -> tuple[str, ...]:
    """The tests of shard `number` (from 1) of `count`: whole classes, the longest first to the emptiest shard.

    `seconds`: how long each test took before. The same input gives the same shards everywhere.
    """
    if not 1 <= number <= count:
        raise SystemExit(f"there is no shard {number} of {count}")
    classes: dict[str, list[str]] = {}
    for test in sorted(tests):
        classes.setdefault(class_of(test), []).append(test)
    cost = {name: sum(seconds.get(test, UNKNOWN) for test in members) for name, members in classes.items()}
    loads, shares = [0.0] * count, [[] for _ in range(count)]  # type: tuple[list[float], list[list[str]]]
    for name in sorted(classes, key=lambda name: (-cost[name], name)):
        emptiest = loads.index(min(loads))
        loads[emptiest] += cost[name]
        shares[emptiest] += classes[name]
    return tuple(sorted(shares[number - 1]))
