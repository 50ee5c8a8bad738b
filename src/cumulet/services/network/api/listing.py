# SPDX-License-Identifier: Apache-2.0
"""Lists: filters, order, pages and chosen fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cmp_to_key
from typing import Any
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Request
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attributes
from cumulet.services.network.api.validators import Convert
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.types import qos

Item = dict[str, Any]
Filter = Callable[[Item, list[str]], bool]

MOST = 1_000_000  # items of one page
_NOT_FILTERS = frozenset({"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"})
# Neutron's do not miss a marker.
_UNMARKED = frozenset({"policies", "network_segment_ranges", *(f"{type_}_rules" for type_ in qos.PARAMETERS)})
_MARKED = {
    "networks": "NetworkNotFound",
    "subnets": "SubnetNotFound",
    "ports": "PortNotFound",
    "routers": "RouterNotFound",
    "floatingips": "FloatingIPNotFound",
    "security_groups": "SecurityGroupNotFound",
    "security_group_rules": "SecurityGroupRuleNotFound",
    "address_groups": "AddressGroupNotFound",
    "default_security_group_rules": "DefaultSecurityGroupRuleNotFound",
    "security_groups_default_statefulness": "SecurityGroupDefaultStatefulnessNotFound",
    "network_ip_availabilities": "NetworkNotFound",
    "segments": "SegmentNotFound",
}
_OTHER_NAMES = {"tenant_id": "project_id"}
_CONVERTED: dict[str, Convert] = {"changed_since": check.moment}


def filters_of(request: Request, attributes: Attributes, own: Mapping[str, Filter]) -> dict[str, list[Any]]:
    """What the query filters by: attribute to wanted values, converted; Invalid for what cannot be filtered by."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_pairs:
        if name not in _NOT_FILTERS:
            found.setdefault(_OTHER_NAMES.get(name, name), []).append(value)
    unknown = [name for name in found if name not in own and not (name in attributes and attributes[name].filters)]
    if unknown:
        raise Invalid(f"{unknown} is invalid attribute for filtering")
    wanted: dict[str, list[Any]] = {}
    for name, values in found.items():
        convert = _CONVERTED.get(name) if name in own else attributes[name].convert
        wanted[name] = [convert(value) for value in values] if convert is not None else values
    return wanted


def matching(items: list[Item], wanted: Mapping[str, list[Any]], own: Mapping[str, Filter]) -> list[Item]:
    """The items that have one of the wanted values in every attribute that is filtered by."""
    for name, values in wanted.items():
        if name in own:
            items = [item for item in items if own[name](item, values)]
        else:
            items = [item for item in items if _is_one(item.get(name), values)]
    return items


def order_of(request: Request, attributes: Attributes) -> list[tuple[str, bool]]:
    """What `sort_key` and `sort_dir` ask for: attributes, and whether the last of each comes first."""
    keys = [value for name, value in request.query_pairs if name == "sort_key" and value]
    directions = [value for name, value in request.query_pairs if name == "sort_dir" and value]
    if len(keys) != len(directions):
        raise Invalid("The number of sort_keys and sort_dirs must be same")
    absent = [key for key in keys if not _sorts(key, attributes)]
    if absent:
        raise Invalid(f"{absent} is invalid attribute for sort_keys")
    wrong = [direction for direction in directions if direction not in ("asc", "desc")]
    if wrong:
        raise Invalid(f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    return [(_OTHER_NAMES.get(key, key), way == "desc") for key, way in zip(keys, directions, strict=True)]


def ordered(request: Request, items: list[Item], attributes: Attributes) -> list[Item]:
    """The items as `sort_key` and `sort_dir` have them; nothing sorts before something."""
    for key, last in reversed(order_of(request, attributes)):
        compare = cmp_to_key(lambda a, b, k=key: _compare(a.get(k), b.get(k)))  # type: ignore[misc]
        items = sorted(items, key=compare, reverse=last)
    return items


def limit_of(request: Request) -> int:
    """How many items a page has at the most; 0 for all."""
    text = str(request.query.get("limit", "0"))
    if not (text.isascii() and text.isdigit()):
        raise bad("limit", f"Limit must be an integer 0 or greater and not '{text}'")
    return min(int(text), MOST)


def is_backwards(request: Request) -> bool:
    """Whether the page before the marker is wanted."""
    return request.query.get("page_reverse", "").lower() == "true"


def page(request: Request, items: list[Item], collection: str) -> tuple[list[Item], dict[str, Any]]:
    """The page that was asked for, and the links to its neighbours (none where no limit was given)."""
    limit = limit_of(request)
    if not limit:
        return items, {}
    marker, backwards = request.query.get("marker"), is_backwards(request)
    position = len(items) if backwards else 0
    if marker:
        found = next((index for index, item in enumerate(items) if item["id"] == marker), None)
        if found is not None:
            position = found if backwards else found + 1
        else:
            miss_marker(collection, marker)
    chosen = items[max(position - limit, 0) : position] if backwards else items[position : position + limit]
    return chosen, links(request, chosen, collection, limit)


def links(request: Request, chosen: list[Item], collection: str, limit: int) -> dict[str, Any]:
    """The links from a page to its neighbours."""
    backwards, found = is_backwards(request), []
    if backwards or len(chosen) >= limit:
        found.append({"rel": "next", "href": _link(request, chosen[-1:])})
    if not backwards or len(chosen) >= limit:
        found.append({"rel": "previous", "href": _link(request, chosen[:1], page_reverse="True")})
    return {f"{collection}_links": found} if found else {}


def miss_marker(collection: str, marker: str) -> None:
    """A page should begin behind what is not there: the resource's own 404, where it minds."""
    if collection in _UNMARKED:
        return
    kind = _MARKED.get(collection)
    raise fault(kind, id=marker) if kind else bad(collection, f"the marker {marker} could not be found")


def chosen_fields(request: Request) -> set[str] | None:
    """The attributes that `fields` names; None for all."""
    names = {value for name, value in request.query_pairs if name == "fields" and value}
    return names or None


def _link(request: Request, edge: list[Item], **extra: str) -> str:
    pairs = [pair for pair in request.query_pairs if pair[0] not in ("marker", "page_reverse")]
    pairs += [("marker", item["id"]) for item in edge]
    return f"{request.url}?{urlencode([*pairs, *extra.items()])}"


def _sorts(key: str, attributes: Attributes) -> bool:
    name = _OTHER_NAMES.get(key, key)
    return name in attributes and attributes[name].sorts


def _compare(one: Any, other: Any) -> int:
    if one is None or other is None:
        return (one is not None) - (other is not None)
    return int(one > other) - int(one < other)


def _is_one(value: Any, wanted: list[Any]) -> bool:
    if isinstance(value, list):
        return any(item in wanted for item in value)
    return value in wanted or (value is None and "" in wanted)
