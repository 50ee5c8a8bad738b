# SPDX-License-Identifier: Apache-2.0
"""The error body of the network service: `{"NeutronError": {"type": ..., "message": ..., "detail": ""}}`."""

from __future__ import annotations

import re

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Reply, Request

# What a refusal without a name of its own is called: the HTTP error's class upstream.
_NAMES = {
    400: "HTTPBadRequest",
    403: "HTTPForbidden",
    404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed",
    409: "HTTPConflict",
    412: "HTTPPreconditionFailed",
    413: "HTTPRequestEntityTooLarge",
    500: "HTTPInternalServerError",
    501: "HTTPNotImplemented",
    503: "HTTPServiceUnavailable",
}
_KERNEL_CODES = frozenset({"NoSuchPath", "NoSuchVersion", "NoSuchAction", "MissingBody", "MalformedRequestBody"})
# Errors that are Python's own and not Neutron's are called by their name.
_OF_PYTHON = frozenset({"NotImplementedError"})
_OF_POLICY = re.compile(r"Policy doesn't allow (\S+) to be performed\.")


class NetworkDialect:
    """Words the kernel's errors as Neutron does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        name = error.code if error.code and error.code not in _KERNEL_CODES else _NAMES.get(error.status, "HTTPError")
        body = {"type": name, "message": _words(error), "detail": ""}
        return Reply(error.status, {name if name in _OF_PYTHON else "NeutronError": body}, error.headers)


def _words(error: CumuletError) -> str:
    """The message, in Neutron's words where the kernel has only its own."""
    if error.code == "MalformedRequestBody":
        return "Body contains invalid data"
    forbidden = _OF_POLICY.fullmatch(error.message)
    return f"rule:{forbidden[1]} is disallowed by policy" if forbidden else error.message
