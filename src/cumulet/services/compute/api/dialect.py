# SPDX-License-Identifier: Apache-2.0
"""The compute service's versions and its error body: `{"itemNotFound": {"code": 404, "message": "..."}}`."""

from __future__ import annotations

from typing import ClassVar

from cumulet.kernel.http.errors import FaultDialect
from cumulet.kernel.http.microversions import Microversions

MICROVERSIONS = Microversions(name="compute", least=(2, 1), most=(2, 104), legacy_header="X-OpenStack-Nova-API-Version")
UNNAMED = {406, 410}  # statuses for which compute has no word of its own


class ComputeDialect(FaultDialect):
    """Words the kernel's errors as Nova does."""

    names: ClassVar[dict[int, str]] = {
        status: name for status, name in FaultDialect.names.items() if status not in UNNAMED
    }
