# SPDX-License-Identifier: Apache-2.0
"""Many whole lives of servers on two replicas and two hosts, while parts are killed at random: `make lifecycles`.

Run as a program; it writes what came out to docs/kills.md. A life: boot, some of stop, start, reboot, pause, a volume
and a port in and out, a snapshot, then the delete, at once or in the middle of something.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.world import COMPUTE, Refused, World
from support import postgres
from support.killable import KillableCloud
from support.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "kills.md"
WORKERS = 24  # lives at once
LOOK = 0.5  # seconds between two looks at a server: more would keep the cloud busy with answers
SETTLED = ("ACTIVE", "SHUTOFF", "PAUSED", "ERROR")
CALM = 600.0  # seconds that the cloud may take to come to rest in the end
LONGEST = 180.0  # seconds that one step of a life may take


@dataclass
class Outcome:
    """What is counted."""

    lives: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def did(self, action: str) -> None:
        with self.lock:
            self.actions[action] += 1


class Life:
    """One server from its boot to its end, by a user of its own."""

    def __init__(self, world: World, chance: random.Random, outcome: Outcome) -> None:
        self._world = world
        self._chance = chance
        self._outcome = outcome
        self._server = ""

    def live(self) -> None:
        self._server = self._world.begin("POST", f"{COMPUTE}/servers", self._world.server_words())
        self._outcome.did("boot")
        if self._chance.random() < 0.8:
            self._settle()
            for _ in range(self._chance.randrange(4)):
                self._chance.choice([self._power, self._volume, self._port, self._snapshot])()
        self._world.remove_server(self._server)
        self._outcome.did("delete")
        until(lambda: self._world.server(self._server) is None, LONGEST, every=LOOK)

    def _settle(self) -> None:
        def settled() -> bool:
            found = self._world.server(self._server)
            return found is not None and found["status"] in SETTLED and found["OS-EXT-STS:task_state"] is None

        until(settled, LONGEST, every=LOOK)
        found = self._world.server(self._server)
        if found is not None and found["status"] == "ERROR":
            with self._outcome.lock:
                self._outcome.errors.append(f"server {self._server}: {found.get('fault')}")

    def _act(self, action: str, body: object = None) -> None:
        try:
            self._world.act(self._server, action, body)
            self._outcome.did(action)
        except Refused as error:
            if error.status not in (400, 409):
                raise
        if self._chance.random() < 0.9:
            self._settle()

    def _power(self) -> None:
        first, then = self._chance.choice([("os-stop", "os-start"), ("pause", "unpause"), ("reboot", "reboot")])
        body = {"type": self._chance.choice(["HARD", "SOFT"])} if first == "reboot" else None
        self._act(first, body)
        self._act(then, body)

    def _volume(self) -> None:
        root = self._world.volumes_root
        volume = self._world.begin("POST", f"{root}/volumes", {"volume": {"size": 1}})
        until(lambda: (self._world.volume(volume) or {}).get("status") == "available", LONGEST, every=LOOK)
        attached = self._begin("attach", "POST", f"{COMPUTE}/servers/{self._server}/os-volume_attachments",
                               {"volumeAttachment": {"volumeId": volume}})  # fmt: skip
        if attached and self._chance.random() < 0.7:
            until(lambda: self._rests(volume), LONGEST, every=LOOK)
            self._begin("detach", "DELETE", f"{COMPUTE}/servers/{self._server}/os-volume_attachments/{volume}")
            until(lambda: self._rests(volume), LONGEST, every=LOOK)

    def _rests(self, volume: str) -> bool:
        return (self._world.volume(volume) or {}).get("status") in ("available", "in-use", "error")

    def _port(self) -> None:
        port = self._world.make_port()
        words = {"interfaceAttachment": {"port_id": port}}
        self._begin("plug", "POST", f"{COMPUTE}/servers/{self._server}/os-interface", words)

    def _snapshot(self) -> None:
        self._act("createImage", {"name": "k"})

    def _begin(self, name: str, method: str, path: str, body: dict[str, object] | None = None) -> bool:
        try:
            self._world.begin(method, path, body)
        except Refused as error:
            if error.status not in (400, 404, 409):
                raise
            return False
        self._outcome.did(name)
        return True


def killing(
    cloud: KillableCloud, chance: random.Random, pause: float, outcome: Outcome, ended: threading.Event
) -> None:
    """`kill -9` somebody every now and then; some stay dead for a while, so that the others have to take over."""
    while not ended.wait(chance.uniform(0.3, 1.7) * pause):
        victim = chance.choice([*cloud.replicas, *cloud.replicas, *cloud.agents])
        away = chance.random() < 0.3
        if away:
            cloud.hold()
        cloud.kill(victim)
        outcome.kills[f"{victim}, for some seconds" if away else victim] += 1
        if away:
            ended.wait(chance.uniform(1.0, 6.0))
            cloud.release()


def run(lives: int, seed: int, pause: float) -> tuple[Outcome, list[str], float]:
    """All lives; what was counted, what is wrong in the end, and how many seconds it took."""
    outcome, ended, began = Outcome(), threading.Event(), time.monotonic()
    server = postgres.Server()
    folder = Path(tempfile.mkdtemp(prefix="cumulet-lives-"))
    cloud = KillableCloud(folder, server.new(), replicas=2, hosts=2)
    try:
        cloud.start()
        shared = World(cloud)
        shared.lift_quotas()
        chances = [random.Random(seed + number) for number in range(lives)]
        killer = threading.Thread(target=killing, args=(cloud, random.Random(seed), pause, outcome, ended))
        killer.start()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda chance: _live(shared, chance, outcome), chances))
        ended.set()
        killer.join()
        cloud.release()
        shared.rest(CALM)
        wrong = [f"in the end: {each}" for each in shared.findings()]
        shared.clear(CALM)
        wrong += [f"after everything was deleted: {each}" for each in shared.findings()]
        if wrong or outcome.errors:
            print(cloud.last_words())
        return outcome, wrong, time.monotonic() - began
    finally:
        ended.set()
        cloud.stop()
        server.close()


def _live(world: World, chance: random.Random, outcome: Outcome) -> None:
    try:
        Life(world.again(), chance, outcome).live()
    except Exception:
        with outcome.lock:
            outcome.errors.append(traceback.format_exc(limit=6))
    with outcome.lock:
        outcome.lives += 1
        if outcome.lives % 25 == 0:
            print(f"{outcome.lives} lives, {sum(outcome.kills.values())} kills", flush=True)


def page(outcome: Outcome, wrong: list[str], seconds: float, seed: int) -> str:
    """The page for docs/."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    facts = {
        "commit": commit.strip() or "unknown", "seed": seed, "lives": outcome.lives, "minutes": f"{seconds / 60:.1f}",
        "kills": sum(outcome.kills.values()), "broken invariants": len(wrong),
        "lives in which the user met what must not be": len(outcome.errors),
    }  # fmt: skip
    parts = [
        "# Lives among kills\n",
        "Written by `make lifecycles` ([how](develop/kills.md)): whole lives of servers on two replicas and two hosts",
        "(fake drivers, PostgreSQL), while replicas and agents are killed by `kill -9` at random.\n",
        _table("what", "how much", facts),
        _table("killed", "times", outcome.kills),
        _table("done", "times", outcome.actions),
    ]
    return "\n".join(
        [*parts, *(f"- {each}" for each in [*wrong, *(error.splitlines()[-1] for error in outcome.errors)])]
    )


def _table(left: str, right: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {left} | {right} |", "| --- | --- |", *(f"| {name} | {rows[name]} |" for name in sorted(rows))]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two kills, on average")
    parser.add_argument("--page", type=Path, default=PAGE)
    words = parser.parse_args()
    outcome, wrong, seconds = run(words.lives, words.seed, words.pause)
    words.page.write_text(page(outcome, wrong, seconds, words.seed))
    print(f"{outcome.lives} lives, {sum(outcome.kills.values())} kills, {seconds / 60:.1f} min, {len(wrong)} wrong")
    for each in [*wrong, *outcome.errors]:
        print(each)
    return 1 if wrong or outcome.errors else 0


if __name__ == "__main__":
    sys.exit(main())
