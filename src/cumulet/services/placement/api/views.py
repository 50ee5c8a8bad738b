# SPDX-License-Identifier: Apache-2.0
"""What the placement service's resources have in common: schemas' words, headers, links, the media type."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import NotAcceptable
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import Handler
from cumulet.kernel.schema import Phrase, Schema
from cumulet.services.placement.api.dialect import BODY_REFUSED, PartOfProvider, media_error

JSON = "application/json"
UUID = {"type": "string", "format": "uuid"}
UUID_KEY = "^[0-9a-fA-F-]{36}$"
NAME_KEY = "^[A-Z0-9_]+$"
CUSTOM_NAME = "^CUSTOM_[A-Z0-9_]+$"
_IN_QUERY = Phrase(lambda refusal: f"Invalid query string parameters: {refusal.report}", best=True)
_IN_BODY = Phrase(lambda refusal: BODY_REFUSED + refusal.report, best=True)


def query_schema(properties: Mapping[str, Any], **keywords: Any) -> Schema:
    """A schema of query parameters, each taken as its last value."""
    document = {"type": "object", "properties": properties, **keywords, "additionalProperties": False}
    return Schema(document, phrase=_IN_QUERY)


def body_schema(document: Mapping[str, Any]) -> Schema:
    return Schema(document, phrase=_IN_BODY)


def part_schema(document: Mapping[str, Any]) -> Schema:
    """`body_schema` for what is asked of a provider."""
    return PartOfProvider(document, phrase=_IN_BODY)


def check_query(request: Request, schema: Schema) -> None:
    schema.check(request.query, request.version)


def getter(path: str, handler: Handler, rule: str, **keywords: Any) -> Route:
    """A route that answers JSON and says so to whoever accepts something else alone."""

    def answer(request: Request) -> Reply:
        if not _accepts_json(request.headers.get("accept", "")):
            raise NotAcceptable(f"Only {JSON} is provided")
        return handler(request)

    return Route("GET", path, answer, rule, **keywords)


def writer(method: str, path: str, handler: Handler, rule: str, body: Schema, **keywords: Any) -> Route:
    """A route that takes a JSON body, and nothing else."""

    def write(request: Request) -> Reply:
        wrong = media_error(request)
        if wrong is not None:
            raise wrong
        return handler(request)

    return Route(method, path, write, rule, body=body, **keywords)


def reply(
    request: Request, status: int, body: Any = None, modified: datetime | None = None, location: str = ""
) -> Reply:
    """An answer; from API 1.15 on it says when its content was `modified` (None: now), and not to cache it."""
    headers = {}
    if location:
        headers["Location"] = request.root_url + location
    if request.version >= (1, 15):
        headers["Last-Modified"] = format_datetime((modified or clock.utcnow()).replace(tzinfo=UTC), usegmt=True)
        headers["Cache-Control"] = "no-cache"
    return Reply(status, body, headers)


def done(request: Request, status: int = 204, location: str = "") -> Reply:
    """An answer without content."""
    return Reply(status, None, {"Location": request.root_url + location} if location else {})


def usual(uuids: Iterable[str]) -> set[str]:
    """UUIDs in their usual form, whichever of its forms the caller wrote."""
    return {str(uuid.UUID(each)) for each in uuids}


def newest(moments: Iterable[datetime | None]) -> datetime | None:
    """The last of the moments; None (now) where one is not known, or there is none."""
    listed = list(moments)
    known = [moment for moment in listed if moment is not None]
    return max(known) if known and len(known) == len(listed) else None


def _accepts_json(accept: str) -> bool:
    if not accept.strip():
        return True
    ranges = [part.partition(";") for part in accept.split(",")]
    kinds = [kind.strip().lower() for kind, _, parameters in ranges if parameters.replace(" ", "") != "q=0"]
    return any(kind in (JSON, "application/*", "*/*") for kind in kinds)
