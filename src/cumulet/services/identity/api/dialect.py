# SPDX-License-Identifier: Apache-2.0
"""The error body of the identity service: `{"error": {"code": 404, "message": "...", "title": "Not Found"}}`."""

from __future__ import annotations

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import title


class IdentityDialect:
    """Words the kernel's errors as Keystone does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        message = error.message
        if error.code == "PolicyNotAuthorized":
            message = f"You are not authorized to perform the requested action: {error.fields['rule']}."
        body = {"error": {"code": error.status, "message": message, "title": title(error.status)}}
        return Reply(error.status, body, error.headers)
