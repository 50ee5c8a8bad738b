# SPDX-License-Identifier: Apache-2.0
"""Back ends' own functions: `filter_function` says whether a volume may come, `goodness_function` how well it fits."""

from __future__ import annotations

import logging
from typing import Any

from cumulet.services.block_storage.logic.scheduler import evaluator
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.scheduler.place import Place

LOG = logging.getLogger(__name__)

BEST = 100.0


def passes(place: Place, asked: Asked) -> bool:
    """Whether the back end takes the volume; one with a function that cannot be evaluated takes none."""
    function = place.capabilities["filter_function"]
    if function is None:
        return True
    found = _evaluated(function, place, asked)
    return bool(found)


def goodness(place: Place, asked: Asked) -> float:
    """From 0 to 100; 0 without a function, and where it says anything else."""
    function = place.capabilities["goodness_function"]
    found = None if function is None else _evaluated(function, place, asked)
    if isinstance(found, bool):
        return BEST if found else 0.0
    return float(found) if isinstance(found, int | float) and 0 <= found <= BEST else 0.0


def _evaluated(function: str, place: Place, asked: Asked) -> Any:
    names = {
        "stats": place.state,
        "capabilities": place.capabilities,
        "volume": asked.words,
        "extra": asked.extra_specs,
        "qos": asked.qos,
    }
    try:
        return evaluator.evaluate(function, names)
    except evaluator.BadFunction as error:
        LOG.warning("the function %r of back end %s: %s", function, place.name, error)
        return None
