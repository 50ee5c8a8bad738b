# SPDX-License-Identifier: Apache-2.0
"""The page of `bench.rings`: the best of the turns, and nothing where the two find different devices."""

from __future__ import annotations

from argparse import Namespace

import pytest
from bench import ring_steps as steps
from bench import rings

WORDS = Namespace(power=18, replicas=3, devices=1000, builds=1, repeats=2)
MADE = {steps.FIRST: 1.0, steps.ADD: 1.5, steps.REMOVE: 1.5, steps.WRITE: 0.1, steps.READ: 0.1}
LOOKED_UP = {steps.FIND: 0.1, steps.AGAIN: 0.08, steps.CONTAINER: 0.07, steps.HANDOFFS: 0.01, steps.HASH: 0.04}
BUILT = {"quality": [0.07, 0.0], "moved": [7790, 3895], "version": "2.38.3"}


def told(times: float, found: str = "same") -> dict:
    turns = [
        {"seconds": {name: seconds * times * turn for name, seconds in LOOKED_UP.items()}, "notes": {"peak": 10 * turn}}
        for turn in (2, 1, 3)
    ]
    made = {name: seconds * times for name, seconds in MADE.items()}
    return rings.best([{"seconds": made, "notes": {**BUILT, "found": found, "peak": 5}}, *turns])


def test_the_page_tells_the_best_of_each_and_their_ratio() -> None:
    text = "\n".join(rings.page(told(1), told(20), WORDS))
    assert f"| {steps.FIRST} | 1.00 | 20.00 | 20.0 |" in text
    assert f"| {steps.AGAIN} | 2,500,000 | 125,000 | 20.0 |" in text
    assert "does 5,000,000 names a second: 40 times what Swift looks up" in text
    assert "| largest process, MB | 30 | 30 |" in text


def test_there_is_no_page_of_two_that_find_different_devices() -> None:
    with pytest.raises(ValueError, match="do not find the same"):
        list(rings.page(told(1), told(20, "other"), WORDS))
