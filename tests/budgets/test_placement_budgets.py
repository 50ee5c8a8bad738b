# SPDX-License-Identifier: Apache-2.0
"""What a search among 100,000 providers may cost, in CPU and in memory; about four times what it needs."""

from __future__ import annotations

import gc
import time
import tracemalloc
from itertools import islice

import pytest

from cumulet.kernel import ids
from cumulet.services.placement.logic.memory import Memory
from cumulet.services.placement.logic.nodes import Maker, Stock
from cumulet.services.placement.logic.search import Group, Query
from cumulet.services.placement.logic.walk import walk

PROVIDERS = 100_000
LIMIT = 1000
SEARCH = 0.1  # seconds of CPU
BYTES = 1000  # of one provider
ROOM = {"VCPU": 64, "MEMORY_MB": 262_144, "DISK_GB": 2000}
TRAITS = frozenset(f"CUSTOM_{number}" for number in range(40))


def remembered(count: int) -> Memory:
    """Hosts of equal size, each used otherwise; one is empty."""
    maker, nodes = Maker(), {}
    stock = [Stock(name, total, 0, 1.0, 1, total, 1) for name, total in sorted(ROOM.items())]
    for number in range(count):
        uuid = ids.new_uuid()
        used = {"VCPU": 1 + number % 60, "MEMORY_MB": 512 * (1 + number % 97), "DISK_GB": number % 101}
        used = {} if number == count // 2 else used
        nodes[uuid] = maker.node((uuid, f"host-{number}.example.org", None, uuid), stock, used, TRAITS, ())
    memory = Memory()
    memory.take_over(list(nodes), nodes)
    return memory


@pytest.fixture(scope="module")
def memory():
    return remembered(PROVIDERS)


def cpu_of(memory: Memory, resources: dict[str, int], found: int) -> float:
    query = Query({"": Group(resources, required=[frozenset({"CUSTOM_1"})])})
    began = time.thread_time()
    assert len(list(islice(walk(memory, query), LIMIT))) == found
    return time.thread_time() - began


def test_the_first_of_many_are_found_in_no_time(memory):
    assert min(cpu_of(memory, {"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}, LIMIT) for _ in range(3)) < SEARCH / 10


def test_one_in_a_hundred_thousand_is_found_in_a_tenth_of_a_second(memory):
    assert min(cpu_of(memory, ROOM, 1) for _ in range(3)) < SEARCH


def test_a_provider_takes_little_memory():
    few = PROVIDERS // 10
    tracemalloc.start()
    try:
        kept = remembered(few)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] / few < BYTES
        assert len(kept.trees) == few
    finally:
        tracemalloc.stop()
