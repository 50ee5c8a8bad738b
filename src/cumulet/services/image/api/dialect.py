# SPDX-License-Identifier: Apache-2.0
"""The error body of the image service: a short page, JSON or plain text, as the caller's Accept header wants it.

The forms are WebOb's, in which Glance words its errors and which clients take apart.
"""

from __future__ import annotations

import html
import re

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.errors import title
from cumulet.services.image.logic.access import DENIED
from cumulet.services.image.logic.changes import PROPERTY_CONFLICT
from cumulet.services.image.logic.inspect import BAD_DATA

UNSUPPORTED_MEDIA = "UnsupportedMediaType"
RANGE_REFUSED = "RangeNotSatisfiable"

# Cases whose status is none of the kernel's own.
_STATUS = {BAD_DATA: 415, UNSUPPORTED_MEDIA: 415, RANGE_REFUSED: 416}
_TITLES = {416: "Request Range Not Satisfiable"}
_WORDS = {
    "MalformedRequestBody": "Malformed JSON in request body.",
    "MissingBody": "Body expected in request.",
    "NoSuchPath": "The resource could not be found.",
}
_PAGE = """<html>
 <head>
  <title>{line}</title>
 </head>
 <body>
  <h1>{line}</h1>
  {inner}
 </body>
</html>"""
_WHOLE = "\0"  # in the place of a detail: the explanation is all
_BREAK = re.compile(r"<br.*?>")
_TAG = re.compile(r"<.*?>")


class ImageDialect:
    """Words the kernel's errors as Glance does."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        status = _STATUS.get(error.code, error.status)
        message = _WORDS.get(error.code, error.message)
        if error.code == "PolicyNotAuthorized":
            message = f"You are not authorized to complete {error.fields['rule']} action."
        kind = _media_type(request.headers.get("accept", ""))
        explanation, detail = message, ""
        if status == 415:
            asked = request.headers.get("content-type", "")
            explanation, detail = f"The request media type {asked} is not supported by this server.", message
        elif status == 416:
            explanation, detail = "The Range requested is not available.", message
        elif error.code == PROPERTY_CONFLICT:
            explanation, detail = "There was a conflict when trying to complete your request.", message
        elif error.code == DENIED:
            explanation, detail = "Access was denied to this resource.", message
        elif status == 405:
            said = f"The method {request.method} is not allowed for this resource. <br /><br />\n"
            explanation, detail = message if error.code else said, _WHOLE
        body, media_type = _render(kind, status, explanation, detail)
        return Reply(status, body, error.headers, media_type)


def _render(kind: str, status: int, explanation: str, detail: str) -> tuple[object, str]:
    words = _TITLES.get(status) or title(status)
    line = f"{status} {words}"
    if kind == "application/json":
        inner = f"{explanation}\n<br /><br />\n{detail}" if status == 415 else _inner(explanation, detail)
        return {"message": inner, "code": line, "title": words}, kind
    if kind == "text/html":
        inner = _inner(html.escape(explanation), html.escape(detail))
        return _PAGE.format(line=line, inner=inner).encode(), "text/html; charset=UTF-8"
    plain = _BREAK.sub("\n", _inner(explanation, detail).replace("\n", " ").replace("\r", ""))
    return f"{line}\n\n{_TAG.sub('', plain)}".encode(), "text/plain; charset=UTF-8"


def _inner(explanation: str, detail: str) -> str:
    if detail == _WHOLE:
        return explanation
    return f"{explanation}<br /><br />\n{detail}\n\n"


def _media_type(accept: str) -> str:
    """`text/html` or `application/json`, as the header prefers (the first on a tie), or `text/plain` for neither."""
    best, kind = 0.0, "text/plain"
    for offer in ("text/html", "application/json"):
        quality = max((weight for pattern, weight in _ranges(accept) if _fits(offer, pattern)), default=0.0)
        if quality > best:
            best, kind = quality, offer
    return kind


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.lower().split(","):
        pattern, *parameters = (word.strip() for word in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if re.fullmatch(r"q=[01](\.\d{0,3})?", parameter):
                weight = float(parameter[2:])
        if pattern:
            found.append((pattern, weight))
    return found


def _fits(offer: str, pattern: str) -> bool:
    return pattern in (offer, "*/*", offer.partition("/")[0] + "/*")
