# SPDX-License-Identifier: Apache-2.0
"""The error body of the identity service: `{"error": {"code": 404, "message": "...", "title": "Not Found"}}`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import title, unauthenticated
from cumulet.services.identity.logic.receipts import Insufficient
from cumulet.services.identity.logic.scopes import lacks


class IdentityDialect:
    """Words the kernel's errors as Keystone does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        if isinstance(error, Insufficient):
            return _receipt(error)
        shown: dict[str, Any] = {"code": error.status, "message": _message(error), "title": title(error.status)}
        headers = dict(error.headers)
        if error.status == 401:
            headers.update(unauthenticated(request).headers)
            if "identity" in error.fields:
                shown["identity"] = error.fields["identity"]
        return Reply(error.status, {"error": shown}, headers)


def _receipt(error: Insufficient) -> Reply:
    """What was proven so far, and what else there has to be."""
    user, domain, receipt = error.user, error.domain, error.receipt
    shown = {
        "receipt": {
            "methods": list(error.methods),
            "user": {
                "id": user.id,
                "name": user.name,
                "domain": {"id": user.domain_id, "name": domain.name if domain is not None else ""},
            },
            "expires_at": clock.iso_micro_z(clock.from_seconds(receipt.expires_at)),
            "issued_at": clock.iso_micro_z(clock.from_seconds(int(receipt.issued_at))),
        },
        "required_auth_methods": error.required,
    }
    return Reply(401, shown, {"Openstack-Auth-Receipt": error.text})


def _message(error: CumuletError) -> str:
    if error.code == "PolicyNotAuthorized":
        return f"You are not authorized to perform the requested action: {error.fields['rule']}."
    if error.code == "MalformedRequestBody":
        return lacks("valid JSON", "request body").message
    return error.message
