# SPDX-License-Identifier: Apache-2.0
"""Choosing among places: who is refused by what, and who is best."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence, Set

import msgspec

from cumulet.services.compute.logic.scheduler import plugins
from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.place import Place
from cumulet.services.compute.logic.scheduler.weighers import Weigher


class Verdicts(msgspec.Struct):
    """The places that are left, and by which filter each other host was refused."""

    left: list[Place]
    refused: dict[str, str]


def judge(places: Iterable[Place], asked: Asked, *, without: Set[str] = frozenset()) -> Verdicts:
    """Let the filters, `without` some, look at each place in the order of the settings until one refuses it."""
    found = plugins.find_filters(asked.settings.enabled_filters)
    filters = {name: passes for name, passes in found.items() if name not in without}
    verdicts = Verdicts([], {})
    for place in places:
        by = next((name for name, passes in filters.items() if not passes(place, asked)), None)
        if by is None:
            verdicts.left.append(place)
        else:
            verdicts.refused[place.name] = by
    return verdicts


def best(places: Sequence[Place], asked: Asked) -> Place:
    """The place of most weight, or any of the best few that `host_subset_size` says."""
    if len(places) == 1:
        return places[0]
    weights = weigh(places, asked)
    settings = asked.settings
    ranked = sorted(places, key=lambda place: weights[place.name], reverse=True)
    top = weights[ranked[0].name]
    if settings.host_subset_size > 1:
        return secrets.choice(ranked[: settings.host_subset_size])
    return secrets.choice([each for each in ranked if weights[each.name] == top])


def weigh(places: Sequence[Place], asked: Asked) -> dict[str, float]:
    """The sum of all weights by the hosts' names, each weigher's between 0 and 1 before its multiplier."""
    sums = dict.fromkeys((place.name for place in places), 0.0)
    for weigher in plugins.find_weighers(asked.settings.weight_classes).values():
        multipliers = [_multiplier(weigher, place, asked) for place in places]
        if not any(multipliers):
            continue
        raw = [weigher.weigh(place, asked) for place in places]
        least, span = min(raw), max(raw) - min(raw)
        if span == 0:
            continue
        for place, value, multiplier in zip(places, raw, multipliers, strict=True):
            sums[place.name] += (value - least) / span * multiplier
    return sums


def _multiplier(weigher: Weigher, place: Place, asked: Asked) -> float:
    usual = float(getattr(asked.settings, weigher.multiplier))
    try:
        value = min((float(each) for each in place.said(weigher.multiplier)), default=usual)
    except ValueError:
        value = usual
    return -value if weigher.against else value
