# SPDX-License-Identifier: Apache-2.0
"""What the modules of the API share: links, limits of pages, the server of a path, times in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Request
from cumulet.kernel.http.paging import whole_number
from cumulet.services.compute.logic import servers
from cumulet.services.compute.types import Server

MOST_ROWS = 1000  # what a page holds without a limit, and at most
BASE = "/v2.1"


def self_link(request: Request, collection: str, name: str) -> str:
    return f"{request.root_url}{BASE}/{collection}/{name}"


def bookmark(request: Request, collection: str, name: str) -> str:
    return f"{request.root_url}/{collection}/{name}"


def links(request: Request, collection: str, name: str) -> list[dict[str, str]]:
    """The two links of a resource."""
    return [
        {"rel": "self", "href": self_link(request, collection, name)},
        {"rel": "bookmark", "href": bookmark(request, collection, name)},
    ]


def page_limit(request: Request) -> int:
    """How many rows the caller wants, and may have."""
    limit = whole_number(request, "limit")
    return MOST_ROWS if limit is None else min(limit, MOST_ROWS)


def next_links(request: Request, rows: list[Any], limit: int, marker: str) -> list[dict[str, str]]:
    """The link to the next page, where this one is full; `marker` is its last row's."""
    if limit == 0 or len(rows) < limit:
        return []
    pairs = sorted((name, value) for name, value in request.query_pairs if name != "marker")
    return [{"rel": "next", "href": f"{request.url}?{urlencode([*pairs, ('marker', marker)])}"}]


def the_server(request: Request) -> Server:
    """The server of the path, if the caller may see it; NotFound."""
    return servers.get(request.cloud.db, request.ctx, request.params["server_id"])


def server_or_gone(request: Request) -> Server:
    """The same; from 2.21 on also one that was deleted: its history can still be read."""
    if request.version < (2, 21):
        return the_server(request)
    return servers.get_any(request.cloud.db, request.ctx, request.params["server_id"])


def history_target(request: Request) -> Mapping[str, Any]:
    """What a rule on the history of the server of the path is judged on."""
    return {"project_id": server_or_gone(request).project_id}


def server_target(request: Request) -> Mapping[str, Any]:
    """What a rule on the server of the path is judged on."""
    server = the_server(request)
    return {"project_id": server.project_id, "user_id": server.user_id}


_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})


BOOLEANS = _TRUE | _FALSE


def required_flag(request: Request, name: str) -> bool:
    """Whether a flag such as `all_tenants` is raised: given alone, or with a word for true."""
    value = request.query.get(name)
    if value is None:
        return False
    if value == "" or value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    words = ", ".join(f"'{word}'" for word in sorted(_TRUE | _FALSE))
    raise Invalid(f"Unrecognized value '{value}', acceptable values are: {words}")


def moment(request: Request, name: str) -> datetime | None:
    """A date and time of the query, in UTC without a zone."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    except ValueError as error:
        raise Invalid(f"Invalid filter field: {name}.") from error
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def iso(value: datetime | None) -> str | None:
    return None if value is None else clock.iso_z(value)


def micro(value: datetime | None) -> str | None:
    return None if value is None else clock.iso_micro(value)
