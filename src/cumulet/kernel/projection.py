# SPDX-License-Identifier: Apache-2.0
"""One schema document for all microversions: marks in it, and what is left of it at one version.

A mark is `"since": (2, 47)`, `"until": (2, 56)` (inclusive), or both:

    "properties": {"tags": {"type": "array", "since": (2, 52)}}            a property that comes or goes
    "anyOf": [{"required": ["x"]}, {"required": ["y"], "since": (2, 4)}]   an alternative, likewise
    "required": ["name", {"value": "networks", "since": (2, 37)}]          an item of required, enum or type
    "networks": {"versions": [{..., "until": (2, 36)}, {..., "since": (2, 37)}]}   a definition that changes
    "additionalProperties": {"versions": [{"value": True, "until": (2, 74)}, {"value": False, "since": (2, 75)}]}
                                                                           any other keyword whose value changes

Of `versions` the first that is there at the version counts; if none is, the whole entry is gone. A keyword that is
left without items (`required: []`) is gone too. Names of properties are never taken for marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Version = tuple[int, int]

_MARKS = frozenset({"since", "until"})
_ITEM = _MARKS | {"value"}
_NAMED = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_ITEMS = frozenset({"required", "enum", "type"})
_SINGLE = frozenset({"additionalProperties", "items", "not", "contains", "propertyNames", "if", "then", "else"})


class _Gone:
    """What stands for an entry that is not there at a version."""


_GONE = _Gone()


def project(document: Mapping[str, Any], version: Version | None) -> dict[str, Any]:
    """The plain JSON schema that `document` is at `version`; None means the newest.

    The result is made of dicts and lists alone and shares nothing with the document. Raises ValueError when nothing of
    it is there at that version.
    """
    found = _schema(document, version)
    if not isinstance(found, dict):
        raise ValueError(f"the schema does not exist at version {version}")
    return found


def boundaries(document: Mapping[str, Any]) -> list[Version]:
    """The versions at which the document changes, in order: each `since`, and what follows each `until`."""
    found = set()
    for mark in _marks(document):
        if "since" in mark:
            found.add(tuple(mark["since"]))
        if "until" in mark:
            found.add((mark["until"][0], mark["until"][1] + 1))
    return sorted(found)


def _marks(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if any(_is_version(value.get(name)) for name in _MARKS):
            yield value
        for part in value.values():
            yield from _marks(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _marks(part)


def _is_version(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(number, int) for number in value)


def _is_there(marked: Mapping[str, Any], version: Version | None) -> bool:
    if version is None:
        return "until" not in marked
    return bool(marked.get("since", version) <= version <= marked.get("until", version))


def _chosen(value: Any, version: Version | None) -> Any:
    """`value`, or the one of its `versions` that is there; an item's mark is taken off."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("versions"), (list, tuple)):
        value = next((one for one in value["versions"] if _is_there(one, version)), _GONE)
        return value["value"] if isinstance(value, Mapping) and "value" in value else value
    if "value" in value and len(value) > 1 and _ITEM.issuperset(value):
        return value["value"] if _is_there(value, version) else _GONE
    return value


def _schema(value: Any, version: Version | None) -> Any:
    value = _chosen(value, version)
    if not isinstance(value, Mapping):
        return value
    if not _is_there(value, version):
        return _GONE
    projected = {
        keyword: _keyword(keyword, part if keyword in _NAMED else _chosen(part, version), version)
        for keyword, part in value.items()
        if keyword not in _MARKS
    }
    return {keyword: part for keyword, part in projected.items() if part is not _GONE}


def _keyword(keyword: str, value: Any, version: Version | None) -> Any:
    if keyword in _NAMED and isinstance(value, Mapping):
        entries = {name: _schema(part, version) for name, part in value.items()}
        return {name: part for name, part in entries.items() if part is not _GONE}
    if keyword in _LISTED and isinstance(value, (list, tuple)):
        return _left([_schema(part, version) for part in value])
    if keyword in _ITEMS and isinstance(value, (list, tuple)):
        return _left([_plain(_chosen(part, version)) for part in value])
    if keyword in _SINGLE:
        return _schema(value, version)
    return _plain(value)


def _left(values: list[Any]) -> Any:
    return [value for value in values if value is not _GONE] or _GONE


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
