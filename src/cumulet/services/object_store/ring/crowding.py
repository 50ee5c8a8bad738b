# SPDX-License-Identifier: Apache-2.0
"""Replicas of one partition that are close to each other."""

from __future__ import annotations

import numpy as np

from cumulet.services.object_store.ring.plan import Floats, Ints


def alike(places: Ints) -> Ints:
    """Of each place `[replica, partition]` how many replicas of its partition are in the same; 0 for those below 0."""
    result = np.zeros(places.shape, np.int64)
    for row, own in enumerate(places):
        result[row] = (places == own).sum(axis=0)
    result[places < 0] = 0
    return result


def excess(places: Ints, most: Ints) -> Floats:
    """How many replicas of each partition are where there are `most[place]` already."""
    together = alike(places)
    over = np.maximum(0, together - most[places])
    result: Floats = (over / np.maximum(together, 1)).sum(axis=0)
    return result
