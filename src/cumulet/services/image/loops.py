# SPDX-License-Identifier: Apache-2.0
"""The image service's periodic work."""

from __future__ import annotations

from cumulet.kernel.periodic import Periodic
from cumulet.services.image.logic import abandoned, cache, copies

LOOPS = (
    Periodic("image.abandoned", 60.0, abandoned.put_right),
    Periodic("image.cache", 2.0, cache.work, everywhere=True),
    Periodic("image.cache.tidy", 600.0, cache.tidy, everywhere=True),
    Periodic("image.copies", 3600.0, copies.tidy),
)
