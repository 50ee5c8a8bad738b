# SPDX-License-Identifier: Apache-2.0
"""Weighers: how well off a volume would be at each place, as a number that only counts beside the others' numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from cumulet.services.block_storage.logic.scheduler import functions
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.scheduler.place import Place


class Weigher(msgspec.Struct, frozen=True):
    """`weigh` says how good a place is; `multiplier` names the setting that says how much this counts ("": once)."""

    multiplier: str
    weigh: Callable[[Place, Asked], float]


def capacity(place: Place, asked: Asked) -> float:
    return place.room.left(thin=asked.thin)


def allocated(place: Place, _asked: Asked) -> float:
    return float(place.room.allocated)


def chance(_place: Place, _asked: Asked) -> float:
    return random.random()  # noqa: S311 - spreads volumes, hides nothing


def goodness(place: Place, asked: Asked) -> float:
    return functions.goodness(place, asked)


def number(place: Place, _asked: Asked) -> float:
    return float(place.used.volumes)


WEIGHERS: dict[str, Weigher] = {
    "CapacityWeigher": Weigher("capacity_weight_multiplier", capacity),
    "AllocatedCapacityWeigher": Weigher("allocated_capacity_weight_multiplier", allocated),
    "ChanceWeigher": Weigher("", chance),
    "GoodnessWeigher": Weigher("", goodness),
    "VolumeNumberWeigher": Weigher("volume_number_multiplier", number),
}
