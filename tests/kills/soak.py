# SPDX-License-Identifier: Apache-2.0
"""Thousands of whole lives of servers on several hosts, while parts are killed at random: `make soak`.

Run as a program. It works in batches: after each the cloud comes to rest and is looked at, with some servers left alive
and again with none. What came of each batch is kept in a file, a line each, so that a run that was stopped goes on with
the next batch when it is started again with the same seed. The page in docs/ is written of all lines.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills import reality
from kills.lives import Busy, Life, Outcome, Stage
from kills.world import COMPUTE, NETWORK, World
from support import postgres
from support.killable import KillableCloud

PAGE = Path(__file__).parents[2] / "docs" / "kills.md"
FAILURES = 0.3  # how many builds fail on their host for each kill
CALM = 900.0  # seconds that the cloud may take to come to rest


class Soak:
    """One cloud that is lived on, batch after batch."""

    def __init__(self, words: argparse.Namespace) -> None:
        self._words = words
        self._database = postgres.Server()
        self._folder = Path(tempfile.mkdtemp(prefix="cumulet-soak-"))
        self.cloud = KillableCloud(self._folder, self._database.new(), replicas=words.replicas, hosts=words.hosts)

    def start(self) -> None:
        self.cloud.start()
        self.world = World(self.cloud)
        self.world.lift_quotas()
        self._busy = Busy(self.world)
        self._flavors = (self.world.flavor, self.world.make_flavor(), self.world.make_flavor())
        self._images = (self.world.image, self.world.make_image(), self.world.make_image())
        self.world.ask("GET", f"{NETWORK}/security-groups")  # makes the default one
        self.world.keep = set(self._images)
        self._groups = tuple(self._make_group(policy) for policy in ("soft-anti-affinity", "soft-affinity"))

    def stop(self) -> None:
        self.cloud.stop()
        self._database.close()

    def batch(self, first: int, count: int) -> dict[str, Any]:
        """Live so many lives; what was counted, and what is wrong."""
        began, outcome, ended = time.monotonic(), Outcome(), threading.Event()
        ledger = reality.Ledger(self.world)
        stage = Stage(self.world, outcome, self._busy, self._flavors, self._images, self._groups)
        killer = threading.Thread(target=self._kill, args=(self._words.seed + first, outcome, ended))
        killer.start()
        try:
            with ThreadPoolExecutor(self._words.workers) as pool:
                list(pool.map(lambda number: Life(stage, self._words.seed * 1_000_000 + number).live(),
                              range(first, first + count)))  # fmt: skip
        finally:
            ended.set()
            killer.join()
        wrong = self._examine(ledger)
        if wrong or outcome.errors:
            print(self.cloud.last_words())
        return {
            "commit": _commit(), "seed": self._words.seed, "first": first, "lives": count,
            "seconds": time.monotonic() - began,
            "kills": dict(outcome.kills), "done": dict(outcome.actions), "refused": dict(outcome.refused),
            "wrong": wrong, "errors": outcome.errors,
        }  # fmt: skip

    def _examine(self, ledger: reality.Ledger) -> list[str]:
        """What is wrong once all is at rest, while some servers live on, and after everything was deleted."""
        self.cloud.ungranted(0)
        self.cloud.release()
        self.world.rest(CALM)
        wrong = [f"at rest: {each}" for each in (*self.world.findings(), *reality.differences(self.world))]
        self.world.clear(CALM)
        wrong += [f"with nothing left: {each}" for each in (*self.world.findings(), *reality.differences(self.world))]
        return [*wrong, *(f"with nothing left: {each}" for each in ledger.left(self.world))]

    def _kill(self, seed: int, outcome: Outcome, ended: threading.Event) -> None:
        """`kill -9` somebody every now and then; some stay dead for a while, so that the others have to take over.

        Now and then a host fails to build a server, which is to go elsewhere then.
        """
        chance = random.Random(seed)
        cloud = self.cloud
        parts = [*cloud.replicas, *cloud.agents, "data"]
        while not ended.wait(chance.uniform(0.3, 1.7) * self._words.pause):
            if chance.random() < FAILURES:
                moment = chance.choice(["before", "inside", "after"])
                cloud.wish(f"server.build:{moment} fail")
                outcome.kills[f"(a host's build fails, {moment})"] += 1
            victim, away = chance.choice(parts), chance.random() < 0.3
            if away:
                cloud.hold()
            cloud.kill(victim)
            outcome.kills[f"{victim}, for some seconds" if away else victim] += 1
            if away:
                ended.wait(chance.uniform(1.0, 6.0))
                cloud.release()

    def _make_group(self, policy: str) -> str:
        wanted = {"server_group": {"name": policy, "policy": policy}}
        return str(self.world.ask("POST", f"{COMPUTE}/os-server-groups", wanted)["server_group"]["id"])


def page(batches: list[dict[str, Any]], hosts: int, replicas: int) -> str:
    """The page for docs/."""
    done, kills, refused = (_sum(batches, name) for name in ("done", "kills", "refused"))
    wrong = [each for batch in batches for each in batch["wrong"]]
    errors = [each for batch in batches for each in batch["errors"]]
    seconds = sum(batch["seconds"] for batch in batches)
    facts = {
        "commit": ", ".join(dict.fromkeys(batch["commit"] for batch in batches)),
        "seed": batches[0]["seed"], "lives": sum(b["lives"] for b in batches),
        "batches, each examined twice": len(batches), "actions": sum(done.values()),
        "refused for a good reason": sum(refused.values()), "kills": sum(kills.values()),
        "minutes": f"{seconds / 60:.1f}", "broken invariants": len(wrong),
        "lives in which the user met what must not be": len(errors),
    }  # fmt: skip
    parts = [
        "# Lives among kills\n",
        "Written by `make soak` ([how](develop/kills.md#soak)): whole lives of servers on several control planes",
        f"({replicas}) and hosts ({hosts}) with fake drivers and PostgreSQL, while parts are killed and builds fail.\n",
        _table("what", "how much", facts),
        _table("killed", "times", kills),
        _table("done", "times", done),
        _table("refused", "times", refused),
    ]
    return "\n".join([*parts, *(f"- {each}" for each in [*wrong, *(error.splitlines()[-1] for error in errors)])])


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _sum(batches: list[dict[str, Any]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for batch in batches:
        total.update(batch[name])
    return total


def _table(left: str, right: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {left} | {right} |", "| --- | --- |", *(f"| {name} | {rows[name]} |" for name in sorted(rows))]
    return "\n".join(lines) + "\n"


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=500, help="lives between two examinations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two kills, on average")
    parser.add_argument("--workers", type=int, default=24, help="lives at once")
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--results", type=Path, help="where the batches' results are kept")
    return parser.parse_args()


def main() -> int:
    words = _words()
    results = words.results or Path(tempfile.gettempdir()) / f"cumulet-soak-{words.seed}.jsonl"
    batches = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    first = max((batch["first"] + batch["lives"] for batch in batches), default=0)
    print(f"the results are kept in {results}; the next life is {first}", flush=True)
    soak = Soak(words)
    try:
        if first < words.lives:
            soak.start()
        while first < words.lives:
            batch = soak.batch(first, min(words.batch, words.lives - first))
            batches.append(batch)
            with results.open("a") as kept:
                kept.write(json.dumps(batch) + "\n")
            first += batch["lives"]
            rate = batch["lives"] / batch["seconds"] * 60
            print(f"{first} lives, {sum(batch['kills'].values())} kills, {rate:.0f} lives a minute", flush=True)
            for each in [*batch["wrong"], *batch["errors"]]:
                print(each, flush=True)
    finally:
        soak.stop()
        if batches:
            words.page.write_text(page(batches, words.hosts, words.replicas))
    return 1 if any(batch["wrong"] or batch["errors"] for batch in batches) else 0


if __name__ == "__main__":
    sys.exit(main())
