# SPDX-License-Identifier: Apache-2.0
"""What a write has come to, of what the devices say that it was sent to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Outcome, Verdict, Version

Rule = Callable[[Version | None], tuple[Verdict, Version | None]]

_REFUSED = (Verdict.NEWER, Verdict.MISMATCH)


def of(outcomes: Sequence[Outcome], quorum: int, rule: Rule) -> Outcome:
    """Of a PUT or a DELETE, which `rule` tells of a state that was there before.

    Where a quorum took it, the verdict is that on all that was known before: a replica that had missed a deletion, or
    the object, does not decide alone. Else what is newest there refuses it. Unavailable for too few.
    """
    taken = [each for each in outcomes if each.verdict not in _REFUSED]
    if len(taken) >= quorum:
        before = merged([each.before for each in taken])
        verdict, _ = rule(before)
        if verdict in _REFUSED or all(each.verdict is taken[0].verdict for each in taken):
            verdict = taken[0].verdict
        return Outcome(verdict, before, merged([each.now for each in taken]))
    if len(outcomes) < quorum:
        raise Unavailable("Too few devices answered.")
    refused = [each for each in outcomes if each.verdict in _REFUSED]
    return max(refused, key=lambda each: (each.verdict is Verdict.NEWER, each.now.stamp if each.now else 0))


def merged(versions: Sequence[Version | None]) -> Version | None:
    """What is there when all have been heard of."""
    known = [each for each in versions if each is not None]
    return reduce(objects.merge, known) if known else None
