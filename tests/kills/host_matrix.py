# SPDX-License-Identifier: Apache-2.0
"""Kills of agents, exporters, QEMUs and qemu-img at each place of each verb about volumes, on real drivers.

Run as a program (`make matrix`) it kills at every place, and writes the page in docs/. `--story`, `--place` and
`--victim` choose, `--sample` takes some of each.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Self

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.host_places import AFTER, ASK, BEFORE, FILE, PROGRAM, SAY, reads
from kills.host_stories import STORIES

PAGE = Path(__file__).parents[2] / "docs" / "kills-of-hosts.md"
VICTIMS = ("agent", "given-up", "held", "worker", "exporter", "qemu", "control")


class Death(NamedTuple):
    """Who dies where."""

    place: str
    victim: str


class Stem:
    """The process that forks agents."""

    def __init__(self) -> None:
        argv = [sys.executable, str(Path(__file__).with_name("host_stem.py"))]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)


class Plan:
    """A story in which nobody dies: what is there in the end, and where somebody could."""

    def __init__(self, story: str, told: dict[str, Any]) -> None:
        self.story, self.told = story, told
        self.wrong = [*told.get("wrong", []), *(f"a power cut: {each}" for each in told.get("unsafe", []))]

    def deaths(self) -> list[Death]:
        """Every place for every victim that it can have; of two with nothing between them one is taken."""
        places, kinds = self.told.get("places", []), self.told.get("kinds", {})
        openers = self.told.get("openers", [])
        found: list[Death] = []
        for number, place in enumerate(places):
            name, _, moment = place.rpartition(":")
            kind = kinds.get(name, FILE)
            if moment == AFTER or number == 0 or kind in (SAY, PROGRAM):
                found += [Death(place, "agent")] * (not reads(name))
                found += [Death(place, "given-up")] * (not reads(name) and STORIES[self.story].undo is not None)
                found += [Death(place, opener) for opener in openers if kind != FILE or name == "the verb"]
            if kind == PROGRAM and moment == AFTER and name.startswith("start qemu-img"):
                found.append(Death(place, "worker"))
                found += [Death(place, "held")] * (not reads(name))
            if kind == ASK and moment == BEFORE:
                found.append(Death(place, "control"))
        return found

    def run(self, stem: Stem, death: Death) -> list[str]:
        """What is wrong after it."""
        goal = self.told["seen"]
        told = stem.ask(story=self.story, place=death.place, victim=death.victim, goal=goal)
        wrong: list[str] = told.get("wrong", [])
        # The daemon of iSCSI targets is asked until it answers so: more often or less.
        if told.get("missed") and not (STORIES[self.story].threads or " SHOW " in death.place):
            wrong = [*wrong, "nobody came by"]
        return [*wrong, told.get("log", "")] if wrong else []


def plan(stem: Stem, story: str) -> Plan:
    return Plan(story, stem.ask(story=story))


def main() -> None:
    words = _arguments()
    wanted = [story for story in STORIES if not words.story or story in words.story]
    began = time.monotonic()
    stems: SimpleQueue[Stem] = SimpleQueue()
    made = [Stem() for _ in range(words.at_once)]
    for stem in made:
        stems.put(stem)

    def work(job: Any) -> Any:
        stem = stems.get()
        try:
            return job(stem)
        finally:
            stems.put(stem)

    with ThreadPoolExecutor(words.at_once) as pool:
        plans = list(pool.map(lambda story: work(lambda stem: plan(stem, story)), wanted))
        orders = [(each, death) for each in plans for death in _chosen(each, words)]
        print(f"{len(orders)} deaths", flush=True)
        wrong = list(pool.map(lambda order: _tell(order, work(lambda stem: order[0].run(stem, order[1]))), orders))
    for stem in made:
        stem.__exit__()
    for each in plans:
        for word in each.wrong:
            print(f"{each.story}: {word}")
    failed = [order for order, found in zip(orders, wrong, strict=True) if found]
    print(f"{len(orders)} deaths in {time.monotonic() - began:.0f} s, {len(failed)} with something wrong")
    if words.page:
        part = f"a sample of {words.sample} at each, with seed {words.seed}" if words.sample else "every place"
        words.page.write_text("\n".join(_page(plans, orders, failed, part)) + "\n")
    sys.exit(bool(failed or any(each.wrong for each in plans)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--story", action="append", help="this one alone; may be said again")
    parser.add_argument("--place", default="", help="the places whose names have this in them")
    parser.add_argument("--victim", choices=VICTIMS)
    parser.add_argument("--sample", type=int, default=0, help="so many of each story")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--page", type=Path, default=None, help="where to write the table")
    return parser.parse_args()


def _chosen(each: Plan, words: argparse.Namespace) -> list[Death]:
    found = [death for death in each.deaths() if words.place in death.place and words.victim in (None, death.victim)]
    if words.sample:
        found = random.Random(f"{words.seed} {each.story}").sample(found, min(words.sample, len(found)))
    return found


def _tell(order: tuple[Plan, Death], wrong: list[str]) -> list[str]:
    if wrong:
        print(f"{order[0].story} | {order[1].victim} | {order[1].place}")
        print(*(f"    {line[-600:]}" for line in wrong), sep="\n", flush=True)
    return wrong


def _page(plans: Iterable[Plan], orders: Iterable[tuple[Plan, Death]], failed: list[Any], part: str) -> Iterator[str]:
    counts = Counter((each.story, death.victim) for each, death in orders)
    bad = Counter(each.story for each, _ in failed)
    yield "# Kills of hosts' processes"
    yield ""
    yield "Written by `make matrix` ([how](develop/kills.md#real-hosts)): each verb about volumes was carried out on a"
    yield "host with real drivers, and at its places somebody died"
    yield f"({part}); so often, and with so much wrong afterwards."
    yield ""
    heads = (
        "agent",
        "agent, work given up",
        "agent, its program held",
        "qemu-img",
        "exporter",
        "QEMU",
        "control plane",
    )
    yield f"| verb | what is asked | {' | '.join(heads)} | wrong |"
    yield f"| --- | --- |{' ---: |' * (len(heads) + 1)}"
    total: Counter[str] = Counter()
    for each in plans:
        row = [counts[each.story, victim] for victim in VICTIMS]
        total.update(dict(zip(VICTIMS, row, strict=True)))
        wrong = bad[each.story] + len(each.wrong)
        total["wrong"] += wrong
        cells = " | ".join(str(count or "") for count in row)
        yield f"| `{STORIES[each.story].verb}` | {each.story} | {cells} | {wrong} |"
    yield f"| | all | {' | '.join(str(total[name]) for name in (*VICTIMS, 'wrong'))} |"


if __name__ == "__main__":
    main()
