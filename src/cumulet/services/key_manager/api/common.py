# SPDX-License-Identifier: Apache-2.0
"""What handlers share: bodies, references, pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Request
from cumulet.services.key_manager.api.dialect import JSON, UNSUPPORTED_MEDIA, is_json
from cumulet.services.key_manager.types import Page

BASE = "/v1"
PAGE, LARGEST_PAGE = 10, 100
FARTHEST = 2**63 - 1
_NOTHING: Mapping[str, str] = {}


def words(request: Request) -> Any:
    """The parsed body with the texts in it stripped. Raises Invalid for a body that does not say that it is JSON."""
    if not is_json(request):
        raise Invalid(f"Unexpected content type. Expected content types are: ['{JSON}']", code=UNSUPPORTED_MEDIA)
    todo: list[Any] = [request.body]
    while todo:
        part = todo.pop()
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in list(pairs):
            if isinstance(value, str):
                part[key] = value.strip()
            elif isinstance(value, (dict, list)):
                todo.append(value)
    return request.body


def ref(request: Request, noun: str, id_: str) -> str:
    """`http://host/key-manager/v1/secrets/ID`"""
    return f"{request.root_url}{BASE}/{noun}/{id_}"


def page(request: Request) -> Page:
    """The part of the list that is asked for; what cannot be understood counts as not said."""
    offset = _number(request, "offset", 0)
    limit = _number(request, "limit", PAGE)
    return Page(offset if 0 <= offset <= FARTHEST else 0, min(max(limit, 1), LARGEST_PAGE))


def listing(
    request: Request,
    name: str,
    views: list[dict[str, Any]],
    total: int,
    wanted: Page,
    keep: Mapping[str, str] = _NOTHING,
) -> dict[str, Any]:
    """A page with the addresses of those before and behind it; `keep` are parameters that they repeat."""
    body: dict[str, Any] = {name: views}
    if views:
        if wanted.offset > 0:
            body["previous"] = _address(request, max(0, wanted.offset - wanted.limit), wanted.limit, keep)
        if total > wanted.offset + wanted.limit:
            body["next"] = _address(request, wanted.offset + wanted.limit, wanted.limit, keep)
    return {**body, "total": total}


def _address(request: Request, offset: int, limit: int, keep: Mapping[str, str]) -> str:
    return f"{request.url}?{urlencode({'limit': limit, 'offset': offset, **keep})}"


def _number(request: Request, name: str, default: int) -> int:
    try:
        return int(request.query.get(name) or default)
    except ValueError:
        return default
