# SPDX-License-Identifier: Apache-2.0
"""How many replicas of a partition each device is to have, as a fraction, and how many partitions that makes.

By weight alone each device has its share. By dispersion alone replicas are spread over tiers as evenly as these have
devices, whatever the weights. Where the two differ, `overload` says how much more than its share a device may
be given: 0.1 is a tenth. So Swift's builder has it (swift/common/ring/builder.py, "replica plan").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from cumulet.services.object_store.ring.shape import Shape, Tier

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEARLY = 1e-9
HALVINGS = 100


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is aimed at, by device in a shape's order; `required` is the overload with which all is dispersed."""

    shape: Shape
    targets: Floats  # replicas of one partition
    quotas: Ints  # partitions
    required: float
    parts: int

    def most(self, tier: Tier) -> int:
        """How many replicas of one partition a tier should have at the most."""
        return math.ceil(self.target(tier) - NEARLY)

    def target(self, tier: Tier) -> float:
        return float(self.targets[tier.start : tier.end].sum())


def make(shape: Shape, replicas: float, overload: float, parts: int, slots: int) -> Plan:
    """A plan for `slots` replicas of `parts` partitions; all devices of the shape have a weight."""
    by_weight = weighted(shape, replicas)
    spread = dispersed(shape, by_weight, replicas)
    required = float(np.max((spread - by_weight) / by_weight))
    targets = spread
    if required > NEARLY:
        targets = by_weight + (spread - by_weight) * min(1.0, overload / required)
    quotas = _quotas(shape, targets, parts, slots)
    return Plan(shape=shape, targets=targets, quotas=quotas, required=max(0.0, required), parts=parts)


def weighted(shape: Shape, replicas: float) -> Floats:
    """Each device's share by weight; none has more than one replica, and what that leaves the others share."""
    weights = np.array([device.weight for device in shape.devices])
    return _fill(weights, np.zeros(len(weights)), np.ones(len(weights)), replicas)


def dispersed(shape: Shape, by_weight: Floats, replicas: float) -> Floats:
    """Each device's share where each tier has its even share of replicas, rounded, if it has the devices for it."""
    result = np.zeros(len(shape.devices))
    waiting = [(shape.root, replicas)]
    while waiting:
        tier, amount = waiting.pop()
        if not tier.children:
            result[tier.start] = amount
            continue
        children = tier.children
        room = np.array([float(child.end - child.start) for child in children])
        even = amount / len(children)
        most = np.minimum(math.ceil(even - NEARLY), room)
        least = np.minimum(math.floor(even + NEARLY), room)
        if most.sum() < amount:
            most = room
        weights = np.array([by_weight[child.start : child.end].sum() for child in children])
        shares = _fill(weights, least, most, amount)
        waiting += [(child, float(share)) for child, share in zip(children, shares, strict=True)]
    return result


def _fill(weights: Floats, least: Floats, most: Floats, amount: float) -> Floats:
    """Shares of `amount` in proportion to the weights, none below its least or above its most."""
    shares: Floats = weights * (amount / weights.sum())
    if (shares >= least).all() and (shares <= most).all():
        return shares
    low, high = 0.0, max(1.0, float(np.max(most / weights)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if np.clip(weights * middle, least, most).sum() < amount:
            low = middle
        else:
            high = middle
    return np.clip(weights * high, least, most)


def _quotas(shape: Shape, targets: Floats, parts: int, slots: int) -> Ints:
    """Whole numbers that sum up to `slots`; each tier's differs by less than one from its target."""
    result = np.zeros(len(targets), np.int64)
    waiting = [(shape.root, slots)]
    while waiting:
        tier, amount = waiting.pop()
        if not tier.children:
            result[tier.start] = amount
            continue
        wanted = np.array([targets[child.start : child.end].sum() * parts for child in tier.children])
        waiting += [(child, int(n)) for child, n in zip(tier.children, rounded(wanted, amount), strict=True)]
    return result


def rounded(wanted: Sequence[float] | Floats, total: int) -> Ints:
    """Whole numbers near those wanted, which sum up to `total`: the largest remainders are rounded up."""
    wanted = np.asarray(wanted)
    result = np.floor(wanted + NEARLY).astype(np.int64)
    missing = total - int(result.sum())
    order = np.argsort(result - wanted, kind="stable")
    if missing > 0:
        result[np.resize(order, missing)] += 1
    elif missing < 0:
        result[order[missing:]] -= 1
    return result
