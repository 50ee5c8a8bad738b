# SPDX-License-Identifier: Apache-2.0
"""Lists: filters from the query, pages, links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.identity.api.views import is_false
from cumulet.services.identity.store.filters import Filter

MOST = 1000  # entries of a page, whatever the caller asks for
COMPARISONS = ("contains", "startswith", "endswith")


def filters(request: Request, names: Iterable[str], flags: Iterable[str] = ()) -> list[Filter]:
    """The conditions on columns `names`, inexact ones among them, and on the truth of `flags`."""
    found: list[Filter] = []
    for said, value in request.query_pairs:
        name, _, comparison = said.partition("__")
        if said in flags:
            found.append(Filter(said, not is_false(value)))
        elif said in names:
            found.append(Filter(said, value))
        elif name in names and (how := comparison.removeprefix("i")) in COMPARISONS:
            found.append(Filter(name, value, how, folded=comparison != how))
    return found


def collection(request: Request, name: str, items: Sequence[dict[str, Any]], key: str = "id") -> Reply:
    """A list with its links: the page that `limit` and `marker` ask for, in the order of ids (or of another `key`)."""
    limit = _limit(request)
    marker = request.query.get("marker")
    if marker is not None and all(item[key] != marker for item in items):
        raise NotFound(f"Marker {marker} could not be found.", code="MarkerNotFound")
    page = [item for item in items if marker is None or item[key] > marker]
    rest = page[limit:] if limit is not None else []
    page = page[:limit]
    body: dict[str, Any] = {name: page, "links": {"next": None, "previous": None, "self": _own(request)}}
    if rest:
        words = {**request.query, "marker": page[-1][key] if page else "", "limit": str(limit)}
        body["links"]["next"] = f"{request.url}?{urlencode(words)}"
        body["truncated"] = True
    return Reply(200, body)


def _limit(request: Request) -> int | None:
    text = request.query.get("limit")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise Invalid(f"Invalid input for field 'limit': {text!r} is not a positive integer")
    return min(int(text), MOST)


def _own(request: Request) -> str:
    return f"{request.url}?{request.query_string}" if request.query_string else request.url
