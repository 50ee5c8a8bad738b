# SPDX-License-Identifier: Apache-2.0
"""The block storage service's versions and its error body: `{"itemNotFound": {"code": 404, "message": "..."}}`."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError, Invalid, NotAllowed, NotFound, OverQuota
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import FaultDialect
from cumulet.kernel.http.microversions import Microversions

MICROVERSIONS = Microversions(name="volume", least=(3, 0), most=(3, 71))
OVER_LIMIT = 413
NO_SUCH_VERSION = 406


class BlockStorageDialect(FaultDialect):
    """Words the kernel's errors as Cinder does.

    A quota that is reached is 413, to be tried again at once, its name before the words; a method that a path
    does not have is 404; a version that is not served has the name of no error.
    """

    def error(self, error: CumuletError, request: Request) -> Reply:
        if error.status == NO_SUCH_VERSION:
            return Reply(
                error.status, {"computeFault": {"code": error.status, "message": error.message}}, error.headers
            )
        if error.code == "NoSuchAction":
            error = Invalid(f"{error.message}. Verify the request body and Content-Type header and try again.")
        if isinstance(error, NotAllowed):
            error = NotFound("The resource could not be found.")
        if isinstance(error, OverQuota):
            message = f"{error.code}: {error.message}" if error.code else error.message
            words = {"code": OVER_LIMIT, "message": message, "retryAfter": "0"}
            return Reply(OVER_LIMIT, {"overLimit": words}, error.headers)
        return super().error(error, request)
