# SPDX-License-Identifier: Apache-2.0
"""Data that are in a store already become an image's: looked at, then summed.

The subject is the image. Arguments: `task_id`, `url`, and `sums`, which the data are said to have.
"""

from __future__ import annotations

from cumulet.kernel.saga import Flow, Step
from cumulet.services.image.logic import location_imports

FLOW = Flow(
    location_imports.FLOW,
    (Step("place", location_imports.place), Step("sum", location_imports.summed)),
    failed=location_imports.failed,
)
