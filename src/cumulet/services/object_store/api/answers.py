# SPDX-License-Identifier: Apache-2.0
"""What refusals look like."""

from __future__ import annotations

import math
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api.message import Headers, Response
from cumulet.services.object_store.types import stamps

PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"

_REASONS = {
    413: "Request Entity Too Large",
    416: "Requested Range Not Satisfiable",
    499: "Client Disconnect",
    500: "Internal Error",
}
_WORDS = {
    202: "The request is accepted for processing.",
    400: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    401: "This server could not verify that you are authorized to access the document you requested.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    405: "The method is not allowed for this resource.",
    406: "The resource is not available in a format acceptable to your browser.",
    409: "There was a conflict when trying to complete your request.",
    410: "This resource is no longer available.",
    411: "Content-Length header required.",
    412: "A precondition for this request was not met.",
    413: "The body of your request was too large for this server.",
    416: "The Range requested is not available.",
    422: "Unable to process the contained instructions",
    499: "The client was disconnected during request.",
    501: "The requested method is not implemented by this server.",
    503: "The server is currently unavailable. Please try again at a later time.",
}


def reason(status: int) -> str:
    """The words behind a status."""
    found = _REASONS.get(status)
    return found if found is not None else HTTPStatus(status).phrase


def explained(status: int) -> str:
    """The words behind a status, and what it means."""
    return f"{reason(status)}\n{_WORDS.get(status, '')}".rstrip()


def refusal(status: int, words: str = "", headers: Headers | None = None) -> Response:
    """`words` are for the caller; without them it is told what the status means."""
    found = dict(headers or {})
    if words:
        found.setdefault("content-type", PLAIN)
        return Response(status, found, words.encode())
    found["content-type"] = HTML
    meaning = _WORDS.get(status)
    page = f"<html><h1>{reason(status)}</h1><p>{meaning}</p></html>" if meaning else ""
    return Response(status, found, page.encode())


def of(error: CumuletError) -> Response:
    return refusal(error.status, error.message, {name.lower(): value for name, value in error.headers.items()})


def listing(form: str, headers: Headers, body: bytes, status: int = 200) -> Response:
    """A list in this media type; one without a word is no content."""
    headers["content-type"] = f"{form}; charset=utf-8"
    if not body and status == 200:
        status = 204
    return Response(status, headers, body)


def date(stamp: int) -> str:
    """As HTTP has it, to the full second: nothing is said to be older than it is."""
    return _date(math.ceil(stamps.seconds(stamp)))


@lru_cache(1024)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
