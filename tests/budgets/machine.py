# SPDX-License-Identifier: Apache-2.0
"""How fast the machine is at the moment: what shares its processors may halve it from one hour to the next."""

from __future__ import annotations

import time

ROUNDS = 1_000_000
USUAL = 0.05  # seconds of CPU for the rounds on a quiet machine


def slowness() -> float:
    """How many times as long as usual the interpreter takes now; at least 1."""
    began = time.thread_time()
    total = 0
    for number in range(ROUNDS):
        total += number * number
    return max(1.0, (time.thread_time() - began) / USUAL)
