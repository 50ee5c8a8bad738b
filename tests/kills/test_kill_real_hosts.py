# SPDX-License-Identifier: Apache-2.0
"""Agents, exporters, QEMUs and qemu-img killed in the middle of verbs about volumes: a seeded part of `make matrix`."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kills.host_machine import RealHost
from kills.host_matrix import Death, Stem, plan
from kills.host_stories import STORIES
from kills.test_kill_matrix_of_hosts import READING
from support.certificates import Authority

pytestmark = pytest.mark.timeout(600)

SEED = int(os.environ.get("MATRIX_SEED", "20261122"))
# Deaths that something came of once; the first two stories take what the faults in tests/planted are about.
KNOWN = {
    "create blank": Death("fsync volumes/B.qcow2.*.new:after", "agent"),
    "reimage": Death("rename volumes/A.qcow2:after", "agent"),
    "create from image": Death("start qemu-img convert volumes/B.qcow2.*.new:after", "held"),
    "back up": Death("write backups/c/one/.data-00000000-0000.*:after", "agent"),
    "clone exported": Death("say blockdev-backup:after", "given-up"),
    "decrypt": Death("start qemu-img map:after", "worker"),
    "attach": Death("say device_add:after", "agent"),
    "swap for a larger one": Death("say block-job-complete:after", "agent"),
}
FEW = sorted({*KNOWN, *random.Random(SEED).sample(sorted(STORIES.keys() - KNOWN), 3)})
ELSEWHERE = {
    "backup.drop_restore": "tests/drivers/block_storage/test_backups.py",
    "volume.stranger": "changes nothing",
}


@pytest.fixture(scope="module")
def stem() -> Iterator[Stem]:
    with Stem() as stem:
        yield stem


@pytest.mark.parametrize("story", FEW)
def test_whoever_dies_the_verb_has_its_end(stem: Stem, story: str) -> None:
    made = plan(stem, story)
    assert made.wrong == []
    deaths = made.deaths()
    if story in KNOWN:
        assert KNOWN[story] in deaths
    death = KNOWN.get(story) or random.Random(f"{SEED} {story}").choice(deaths)
    assert made.run(stem, death) == [], death


def test_every_verb_has_a_story(tmp_path: Path) -> None:
    host = RealHost("near", tmp_path, Authority(), "127.0.0.1", servers=False)
    host.begin()
    host.leave()
    told = {story.verb for story in STORIES.values()}
    assert set(host.verbs) - told - READING - ELSEWHERE.keys() == set()
