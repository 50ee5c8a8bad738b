# SPDX-License-Identifier: Apache-2.0
"""A whole ring at once: which device has which replica of which partition, where none has any yet.

From the root down each tier's partitions are dealt out to its children. A child with the target t gets floor(t) or
ceil(t) replicas of each partition, and in sum as many as its devices' quotas say, exactly. Everything is a handful of
operations on arrays for each tier.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cumulet.services.object_store.ring.plan import NEARLY, Ints, Plan
from cumulet.services.object_store.ring.shape import Tier

NONE = -1  # in a table: no device
MIXINGS = 4  # rounds in which dealt cards are exchanged, for each replica


def lay_out(plan: Plan, counts: Ints, random: np.random.Generator) -> npt.NDArray[np.int32]:
    """The table `[replica, partition]` of positions in the plan's shape; `counts` are each partition's replicas."""
    parts: list[Ints] = []
    holders: list[Ints] = []
    waiting = [(plan.shape.root, np.arange(len(counts)), counts)]
    while waiting:
        tier, own, amounts = waiting.pop()
        if not tier.children:
            parts.append(own)
            holders.append(np.full(len(own), tier.start))
            continue
        waiting += _deal(plan, tier, own, amounts, random)
    return _table(np.concatenate(parts), np.concatenate(holders), counts, random)


def _deal(
    plan: Plan, tier: Tier, own: Ints, amounts: Ints, random: np.random.Generator
) -> list[tuple[Tier, Ints, Ints]]:
    """Each child with its partitions and how many replicas of each it has."""
    children = tier.children
    base = np.array([math.floor(plan.target(child) + NEARLY) for child in children])
    quotas = np.array([int(plan.quotas[child.start : child.end].sum()) for child in children]) - base * len(own)
    extra = amounts - base.sum()
    cards = _cards(quotas, extra, random)
    dealt = []
    for number, child in enumerate(children):
        has = base[number] + (cards == number).sum(axis=1)
        rows = np.flatnonzero(has)
        dealt.append((child, own[rows], has[rows]))
    return dealt


def _cards(quotas: Ints, extra: Ints, random: np.random.Generator) -> Ints:
    """Deal `quotas[n]` cards of each kind n to rows that take `extra` cards, no row two of a kind: `[row, card]`.

    Rows with more cards come first. Dealt round by round, a kind's cards, which lie side by side, meet no row twice,
    as there are not more of them than rows.
    """
    rows, width = len(extra), int(extra.max(initial=0))
    order = np.lexsort((random.random(rows), -extra))
    kinds = random.permutation(len(quotas))
    stack = np.repeat(kinds, quotas[kinds])
    result = np.full((rows, width), NONE, np.int64)
    at = 0
    for card in range(width):
        takers = order[: int((extra > card).sum())]
        result[takers, card] = stack[at : at + len(takers)]
        at += len(takers)
    if width > 1:
        for _ in range(MIXINGS * width):
            _mix(result, extra, random)
    return result


def _mix(cards: Ints, extra: Ints, random: np.random.Generator) -> None:
    """Let pairs of rows exchange a card each where neither then has two of a kind: else few kinds would ever meet."""
    pairs = random.permutation(len(cards))[: len(cards) // 2 * 2].reshape(2, -1)
    pairs = pairs[:, (extra[pairs] > 0).all(axis=0)]
    one, other = pairs
    own = (random.random(len(one)) * extra[one]).astype(np.int64)
    theirs = (random.random(len(one)) * extra[other]).astype(np.int64)
    given, taken = cards[one, own], cards[other, theirs]
    fits = ~(cards[one] == taken[:, None]).any(axis=1) & ~(cards[other] == given[:, None]).any(axis=1)
    cards[one[fits], own[fits]] = taken[fits]
    cards[other[fits], theirs[fits]] = given[fits]


def _table(parts: Ints, holders: Ints, counts: Ints, random: np.random.Generator) -> npt.NDArray[np.int32]:
    """Number the replicas of each partition at random."""
    order = np.lexsort((random.random(len(parts)), parts))
    parts, holders = parts[order], holders[order]
    starts = np.cumsum(counts) - counts
    replicas = np.arange(len(parts)) - starts[parts]
    table = np.full((int(counts.max()), len(counts)), NONE, np.int32)
    table[replicas, parts] = holders
    return table
