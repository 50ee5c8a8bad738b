# SPDX-License-Identifier: Apache-2.0
"""Compares what two clouds answered to the same scenario, step by step, after parsing."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cumulet.cli.recording.scenario import Step
from cumulet.cli.recording.stable import THERE, Fact

ABSENT = "<absent>"
_UNSETTLED = ("-request-id", "-api-version")  # headers that some refusals carry and some do not


@dataclass(frozen=True)
class Difference:
    """One place where the answers are not the same; `at` is `status`, `headers.NAME` or `body.PATH`."""

    number: int
    ask: str
    at: str
    recorded: Any
    ours: Any

    def __str__(self) -> str:
        words = f"step {self.number} {self.ask}\n    {self.at}"
        return f"{words}\n      recorded {self.recorded!r}\n      ours     {self.ours!r}"


def differences(steps: Sequence[Step], recorded: Sequence[Fact], ours: Sequence[Fact]) -> list[Difference]:
    """All differences that no step declares as its own nature (`apart`)."""
    found = []
    for number, (step, its, mine) in enumerate(zip(steps, recorded, ours, strict=True), 1):
        for at, left, right in _walk(_answer(its), _answer(mine), ""):
            if at.endswith(_UNSETTLED) and (its.status >= 400 or (left == ABSENT and right == THERE)):
                continue
            if not any(fnmatch.fnmatchcase(at, pattern) for pattern in step.apart):
                found.append(Difference(number, f"{step.ask} ({step.actor} {step.version})", at, left, right))
    return found


def is_of(recorded: Sequence[Fact], steps: Sequence[Step]) -> bool:
    """Whether the recording was made of these very steps."""
    asked = [
        (step.actor, step.service, step.ask, step.version, step.body if step.data is None else step.data)
        for step in steps
    ]
    return asked == [(fact.actor, fact.service, fact.ask, fact.version, fact.sent) for fact in recorded]


def _answer(fact: Fact) -> dict[str, Any]:
    return {"status": fact.status, "headers": fact.headers, "body": msgspec.to_builtins(fact.body)}


def _walk(left: Any, right: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from _walk(left.get(key, ABSENT), right.get(key, ABSENT), f"{at}.{key}" if at else key)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _walk(one, other, f"{at}.{number}")
    elif left != right or isinstance(left, bool) != isinstance(right, bool):
        yield at, left, right
