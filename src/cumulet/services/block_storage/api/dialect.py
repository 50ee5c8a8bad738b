# SPDX-License-Identifier: Apache-2.0
"""The block storage service's versions and its error body: `{"itemNotFound": {"code": 404, "message": "..."}}`."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, NotAllowed, NotFound, OverQuota
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import FaultDialect
from cumulet.kernel.http.microversions import Microversions

MICROVERSIONS = Microversions(name="volume", least=(3, 0), most=(3, 71))
OVER_LIMIT = 413


class BlockStorageDialect(FaultDialect):
    """Words the kernel's errors as Cinder does.

    A quota that is reached is 413, to be tried again at once; a method that a path does not have is 404.
    """

    def error(self, error: CumuletError, request: Request) -> Reply:
        if isinstance(error, NotAllowed):
            error = NotFound("The resource could not be found.")
        if isinstance(error, OverQuota):
            words = {"code": OVER_LIMIT, "message": error.message, "retryAfter": "0"}
            return Reply(OVER_LIMIT, {"overLimit": words}, error.headers)
        return super().error(error, request)
