# SPDX-License-Identifier: Apache-2.0
"""Errors on the wire: what is common to all services, and the dialect that several share."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http.message import Reply, Request


def unauthenticated(request: Request, message: str = "The request you have made requires authentication.") -> Reply:
    """The answer to a missing or invalid token, the same from every service (keystonemiddleware's)."""
    body = {"error": {"message": message, "code": 401, "title": "Unauthorized"}}
    settings = request.cloud.settings
    # The data process does not serve identity.
    origin = settings.control_url if request.origin == settings.data_url else request.origin
    return Reply(401, body, {"WWW-Authenticate": f'Keystone uri="{origin}/identity/v3"'})


class FaultDialect:
    """`{"itemNotFound": {"code": 404, "message": "..."}}`: compute and block storage."""

    names: ClassVar[dict[int, str]] = {
        400: "badRequest",
        401: "unauthorized",
        403: "forbidden",
        404: "itemNotFound",
        405: "badMethod",
        406: "notAcceptable",
        409: "conflictingRequest",
        410: "gone",
        413: "overLimit",
        415: "badMediaType",
        429: "overLimit",
        501: "notImplemented",
        503: "serviceUnavailable",
    }

    def error(self, error: CumuletError, request: Request) -> Reply:
        name = self.names.get(error.status, "computeFault")
        return Reply(error.status, {name: {"code": error.status, "message": error.message}}, error.headers)


def title(status: int) -> str:
    """`Not Found`: the standard words for a status."""
    return HTTPStatus(status).phrase
