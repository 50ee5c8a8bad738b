# SPDX-License-Identifier: Apache-2.0
"""What is asked of two makers of rings: the standard library alone, as either's Python loads it."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

ZONES = 10
PREFIX, SUFFIX = "bench-", "-rings"
ADDED, REMOVED = 10, 5
FIRST, ADD, REMOVE = "first rebalance", f"{ADDED} devices more, rebalance", f"{REMOVED} devices less, rebalance"
WRITE, READ = "write the ring", "read the ring"
FIND, AGAIN, CONTAINER = "an object's devices, the first time", "the same again", "a container's devices"
HANDOFFS, HASH = "the first 3 handoffs of a partition", "MD5 alone"
NAMES, PARTS = 200_000, 3_000


def device(number: int) -> dict[str, Any]:
    """The words of a device, those that both know."""
    zone, rest = number % ZONES, number // ZONES
    return {
        "id": number,
        "region": 1,
        "zone": zone,
        "ip": f"10.{zone}.{rest % 100}.{rest // 100 % 10}",
        "port": 6200,
        "replication_ip": "10.0.0.1",
        "replication_port": 6200,
        "device": f"d{number}",
        "weight": 100.0,
        "meta": "",
    }


class Record:
    """CPU seconds of each step, and what else there is to say."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.notes: dict[str, Any] = {}

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Do the work; its result."""
        began = time.process_time()
        result = work()
        self.seconds[name] = time.process_time() - began
        return result

    def lookups(
        self, find: Callable[..., Any], handoffs: Callable[[int], Any], ids: Callable[[Any], Any], parts: int
    ) -> None:
        """Time look-ups: `find(account, container[, name])`, `handoffs(part)`; `ids(found)` are part and ids."""
        names = [f"object-{number}" for number in range(NAMES)]
        self.step(FIND, lambda: [find("AUTH_test", "container", name) for name in names])
        self.step(AGAIN, lambda: [find("AUTH_test", "container", name) for name in names])
        self.step(CONTAINER, lambda: [find("AUTH_test", name) for name in names])
        self.step(HANDOFFS, lambda: [handoffs(number % parts) for number in range(PARTS)])
        found = [ids(find("AUTH_test", "container", name)) for name in names[:5000]]
        self.notes["found"] = hashlib.sha256(json.dumps(found).encode()).hexdigest()

    def print(self) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"seconds": self.seconds, "notes": {**self.notes, "peak": peak}}))
