# SPDX-License-Identifier: Apache-2.0
"""What rings may cost: the making of a large one a twentieth of what Swift takes, a look-up little beside its hash."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable

from budgets.machine import slowness
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring, RingFile, quick_md5

SWIFTS_REBALANCE = 65.3  # seconds of CPU, of the ring below
TRIES = 5
NAMES = [f"object-{number}" for number in range(20_000)]


def devices(count: int) -> list[Device]:
    return [
        Device(id=n, zone=n % 10, ip=f"10.{n % 10}.{n // 10 % 100}.1", port=6200, device=f"d{n}", weight=100.0)
        for n in range(count)
    ]


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_large_ring_is_made_twenty_times_as_fast_as_by_swift() -> None:
    builder = Builder(18, 3, 1)
    for each in devices(1000):
        builder.add(each)
    slow = slowness()
    assert cpu(lambda: builder.rebalance(0, seed=1)) / max(slow, slowness()) < SWIFTS_REBALANCE / 20


def test_a_look_up_costs_little_beside_its_hash() -> None:
    rows = [array("I", [(part + replica) % 1000 for part in range(1 << 14)]) for replica in range(3)]
    ring = Ring(RingFile(part_power=14, devices=devices(1000), rows=rows), "prefix-", "-suffix")
    md5, words = quick_md5(), [f"prefix-/AUTH_test/container/{name}-suffix".encode() for name in NAMES]
    found = min(cpu(lambda: [ring.find("AUTH_test", "container", name) for name in NAMES]) for _ in range(TRIES))
    hashed = min(cpu(lambda: [md5(word).digest() for word in words]) for _ in range(TRIES))
    assert found < 5 * hashed
