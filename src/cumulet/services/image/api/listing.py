# SPDX-License-Identifier: Apache-2.0
"""The query of `GET /v2/images`: filters with operators, sorting in two spellings, pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Request
from cumulet.services.image.logic import images
from cumulet.services.image.store.search import Comparison, Filter, Order, Search
from cumulet.services.image.types import Image

DEFAULT_LIMIT = 25
LARGEST_LIMIT = 1000

_SORT_KEYS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
_TEXTS = frozenset({"name", "id", "status", "container_format", "disk_format"})
_TIMES = frozenset({"created_at", "updated_at"})
_PLAIN = frozenset({"owner", "checksum", "os_hash_algo", "os_hash_value"})
_NUMBERS = frozenset({"size", "virtual_size", "min_disk", "min_ram"})
_TRUTHS = {"true": True, "false": False}
_VISIBILITIES = ("community", "public", "private", "shared", "all")
_MEMBER_STATES = ("pending", "accepted", "rejected", "all")
_COMPARISONS = frozenset({"eq", "neq", "lt", "lte", "gt", "gte"})
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
# A list for `in:`: words between commas, or between double quotes with backslash escapes; OpenStack's API guidelines.
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)",?|([^,]+),?|,')


def search(request: Request) -> Search:
    """What the query asks for; Invalid for what cannot be meant."""
    rest: dict[str, str] = {}
    tags: list[str] = []
    keys: list[str] = []
    directions: list[str] = []
    for name, value in request.query_pairs:
        match name:
            case "tag":
                tags.append(value.strip())
            case "sort_key":
                keys.append(value.strip())
            case "sort_dir":
                directions.append(value.strip())
            case _:
                rest[name] = value
    order = _order(rest.pop("sort", None), keys, directions)
    limit = min(whole(rest.pop("limit", str(DEFAULT_LIMIT)), "limit"), LARGEST_LIMIT)
    marker = rest.pop("marker", None)
    member_status = _one_of(rest.pop("member_status", "accepted"), _MEMBER_STATES, "Invalid status: {}")
    visibility = rest.pop("visibility", None) or None
    if visibility is not None:
        _one_of(visibility, _VISIBILITIES, "Invalid visibility value: {}")
    if rest.pop("changes-since", None):
        raise Invalid('The "changes-since" filter is no longer available on v2.')
    rest.setdefault("os_hidden", "false")
    filters = tuple(made for name, value in rest.items() if (made := _filter(name, value)) is not None)
    return Search(
        project_id=request.ctx.project_id,
        everywhere=request.ctx.is_admin,
        visibility=visibility,
        member_status=member_status,
        filters=filters,
        properties={name: value for name, value in rest.items() if not _is_field(name)},
        tags=tuple(tags),
        order=order,
        marker=None if marker is None else images.marker(request.cloud.db, request.ctx, marker),
        limit=limit,
    )


def first_page(request: Request, path: str) -> str:
    """The address of the list's first page."""
    pairs = [(name, value) for name, value in request.query_pairs if name != "marker"]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def next_page(request: Request, path: str, marker: str) -> str:
    """The address of the page after the item `marker`."""
    pairs = [(name, value) for name, value in request.query_pairs if name != "marker"]
    return f"{path}?{urlencode([*pairs, ('marker', marker)])}"


def whole(text: str, name: str) -> int:
    """A number of 0 or more from a query."""
    try:
        number = int(text)
    except ValueError:
        raise Invalid(f"{name} param must be an integer") from None
    if number < 0:
        raise Invalid(f"{name} param must be positive")
    return number


def _order(sort: str | None, keys: list[str], directions: list[str]) -> tuple[Order, ...]:
    if sort is not None:
        if keys or directions:
            raise Invalid("Old and new sorting syntax cannot be combined")
        pairs = [part.partition(":") for part in sort.strip().split(",")]
        keys = [key.strip() for key, _, _ in pairs]
        directions = [direction.strip() or "desc" for _, _, direction in pairs]
    for key in keys:
        allowed = ", ".join(_SORT_KEYS)
        _one_of(key, _SORT_KEYS, f"Invalid sort key: {{}}. It must be one of the following: {allowed}.")
    for direction in directions:
        _one_of(direction, ("asc", "desc"), "Invalid sort direction: {}")
    keys = keys or ["created_at"]
    last = directions[0] if len(directions) == 1 else "desc"
    if len(directions) <= 1:
        directions = [last] * len(keys)
    if len(directions) != len(keys):
        raise Invalid("Number of sort dirs does not match the number of sort keys")
    # The id makes the order total, so that no page misses or repeats an image.
    for key in ("created_at", "id"):
        if key not in keys:
            keys, directions = [*keys, key], [*directions, last]
    return tuple(Order(key, direction == "desc") for key, direction in zip(keys, directions, strict=True))


def _filter(name: str, value: str) -> Filter | None:
    """The condition on a column; None for a name that is no column's."""
    if name in ("os_hidden", "protected"):
        return Filter(name, "eq", _truth(name, value))
    if name in _TEXTS:
        comparison, text = _split(value)
        if comparison == "in":
            return Filter(name, "in", _items(text))
        if comparison != "eq":
            raise Invalid(f"Unable to filter by unknown operator '{comparison}'.")
        return Filter(name, "eq", text)
    if name in _TIMES:
        comparison, text = _split(value)
        moment = _time(name, text)
        if comparison not in _COMPARISONS:
            raise Invalid("Unable to filter on a unknown operator.")
        return Filter(name, cast(Comparison, comparison), moment)
    if name in _PLAIN:
        return Filter(name, "eq", value)
    column = name.removesuffix("_min").removesuffix("_max")
    if column in _NUMBERS:
        comparison = "gte" if name.endswith("_min") else "lte" if name.endswith("_max") else "eq"
        return Filter(column, cast(Comparison, comparison), _number(value))
    return None


def _is_field(name: str) -> bool:
    column = name.removesuffix("_min").removesuffix("_max")
    return name in _TEXTS | _TIMES | _PLAIN | {"os_hidden", "protected"} or column in _NUMBERS


def _split(expression: str) -> tuple[str, str]:
    """An operator and its value; a time has colons of its own."""
    left, colon, right = expression.partition(":")
    if not colon or _parse_time(expression) is not None:
        return "eq", expression
    return left, right


def _items(text: str) -> list[str]:
    _check_quotes(text)
    return [quoted or plain for quoted, plain in _ITEM.findall(text)]


def _check_quotes(text: str) -> None:
    """Double quotes that no backslash precedes come in pairs, which commas and the ends enclose."""
    quotes = [at for at, char in enumerate(text) if char == '"' and text[at - 1 : at] != "\\"]
    for number, at in enumerate(quotes):
        if number % 2 == 0 and at > 0 and text[at - 1] != ",":
            raise Invalid(f"Invalid filter value {text}. There is no comma before opening quotation mark.")
        if number % 2 == 1 and text[at + 1 : at + 2] not in ("", ","):
            raise Invalid(f"Invalid filter value {text}. There is no comma after closing quotation mark.")
    if len(quotes) % 2:
        raise Invalid(f"Invalid filter value {text}. The quote is not closed.")


def _time(name: str, text: str) -> datetime:
    moment = _parse_time(text)
    if moment is None:
        raise Invalid(f'Bad "{name}" query filter format. Use ISO 8601 DateTime notation.')
    return moment


def _parse_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise Invalid("Unable to filter on a range with a non-numeric value.") from None
    return max(_SMALLEST, min(number, _LARGEST))


def _truth(name: str, text: str) -> bool:
    known = text.lower() if name == "os_hidden" else text
    if known not in _TRUTHS:
        raise Invalid(f"Invalid value '{text}' for '{name}' filter. Valid values are 'true' or 'false'.")
    return _TRUTHS[known]


def _one_of(value: str, allowed: Iterable[str], words: str) -> str:
    if value not in allowed:
        raise Invalid(words.format(value))
    return value


def body(request: Request, shown: list[dict[str, Any]], last: Image | None) -> dict[str, Any]:
    """The page as an answer; `last` is its last image where there may be more."""
    page: dict[str, Any] = {"images": shown, "first": first_page(request, "/v2/images"), "schema": "/v2/schemas/images"}
    if last is not None:
        page["next"] = next_page(request, "/v2/images", last.id)
    return page
