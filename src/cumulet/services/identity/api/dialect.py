# SPDX-License-Identifier: Apache-2.0
"""The error body of the identity service: `{"error": {"code": 404, "message": "...", "title": "Not Found"}}`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import title, unauthenticated
from cumulet.services.identity.logic.scopes import lacks


class IdentityDialect:
    """Words the kernel's errors as Keystone does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        shown: dict[str, Any] = {"code": error.status, "message": _message(error), "title": title(error.status)}
        headers = dict(error.headers)
        if error.status == 401:
            headers.update(unauthenticated(request).headers)
            if "identity" in error.fields:
                shown["identity"] = error.fields["identity"]
        return Reply(error.status, {"error": shown}, headers)


def _message(error: CumuletError) -> str:
    if error.code == "PolicyNotAuthorized":
        return f"You are not authorized to perform the requested action: {error.fields['rule']}."
    if error.code == "MalformedRequestBody":
        return lacks("valid JSON", "request body").message
    return error.message
