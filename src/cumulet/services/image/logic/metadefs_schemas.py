# SPDX-License-Identifier: Apache-2.0
"""What a definition may say beyond its JSON schema, and how it is kept: as Glance's own types take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel.errors import Conflict, Invalid
from cumulet.services.image.types import Association, MetadefObject, MetadefProperty, MetadefTag

LONGEST_NAME = 80  # characters
_LARGEST = (1 << 63) - 1  # what JSON numbers are kept as

Words = Mapping[str, Any]

_ITEMS = frozenset({"type", "enum"})
_TEXTS = frozenset({"name", "type", "title", "description", "pattern"})
_TRUTHS = frozenset({"readonly", "confidential", "uniqueItems", "additionalItems"})
_NUMBERS = frozenset({"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"})
_LISTS = frozenset({"operators", "enum"})
_KNOWN = _TEXTS | _TRUTHS | _NUMBERS | _LISTS | {"default", "items"}


def taken(kind: type, name: str, namespace: str) -> Conflict:
    """The refusal of a second thing of one name."""
    words: dict[type, str] = {
        MetadefObject: f"A metadata definition object with name={name} already exists in namespace={namespace}.",
        MetadefProperty: f"A metadata definition property with name={name} already exists in namespace={namespace}.",
        MetadefTag: f"A metadata tag with name={name} already exists in namespace={namespace}. "
        "(Please note that metadata tag names are case insensitive).",
        Association: f"The metadata definition resource-type association of resource-type={name} to "
        f"namespace={namespace} already exists.",
    }
    return Conflict(words[kind])


def cleaned(words: Words) -> dict[str, Any]:
    """A namespace's words with all that is in them as it is kept; Invalid for what cannot be."""
    found = dict(words)
    if "properties" in words:
        found["properties"] = _properties(words["properties"])
    if "objects" in words:
        found["objects"] = [cleaned_object(each) for each in words["objects"]]
    if "resource_type_associations" in words:
        known = frozenset({"name", "prefix", "properties_target", "created_at", "updated_at"})
        found["resource_type_associations"] = [_item(each, known) for each in words["resource_type_associations"]]
        for each in found["resource_type_associations"]:
            for name in ("prefix", "properties_target"):
                _check_text(name, each.get(name))
    if "tags" in words:
        found["tags"] = [_item(each, frozenset({"name", "created_at", "updated_at"})) for each in words["tags"]]
    return found


def cleaned_object(words: Words) -> dict[str, Any]:
    """An object's words as they are kept."""
    known = frozenset({"name", "required", "description", "properties", "created_at", "updated_at", "self", "schema"})
    found = _item(words, known)
    if "properties" in words:
        found["properties"] = _properties(words["properties"])
    return found


def cleaned_property(words: Words) -> dict[str, Any]:
    """A property's schema as it is kept: whole numbers, and a default as a text."""
    _refuse_unknown(words, _KNOWN)
    for name in ("title", "type"):
        if name not in words:
            raise _wrong(name, None, "Mandatory field missing.")
    return {name: _value(name, value) for name, value in words.items()}


def _properties(words: Words) -> dict[str, Any]:
    for name in words:
        _check_name(name)
    return {name: cleaned_property(schema) for name, schema in words.items()}


def _item(words: Words, known: frozenset[str]) -> dict[str, Any]:
    _refuse_unknown(words, known)
    if "name" not in words:
        raise _wrong("name", None, "Mandatory field missing.")
    _check_name(words["name"])
    return dict(words)


def _value(name: str, value: Any) -> Any:
    kinds: tuple[tuple[frozenset[str], Callable[[Any], bool]], ...] = (
        (_TEXTS, lambda found: isinstance(found, str)),
        (_TRUTHS, lambda found: isinstance(found, bool)),
        (_NUMBERS, lambda found: isinstance(found, (int, float))),
        (_LISTS, _are_texts),
    )
    for names, fits in kinds:
        if name in names and not fits(value):
            raise _wrong(name, value, "Wrong type.")
    if name in _NUMBERS:
        if abs(value) > _LARGEST:
            raise _wrong(name, value, "It is too large.")
        return int(value)
    if name == "default":
        return str(value) if isinstance(value, (str, int, float)) else None
    if name == "items":
        _refuse_unknown(value, _ITEMS)
        if "type" not in value:
            raise _wrong("type", None, "Mandatory field missing.")
        if not _are_texts(value.get("enum", [])):
            raise _wrong("enum", value["enum"], "Wrong type.")
    return value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _refuse_unknown(words: Words, known: frozenset[str]) -> None:
    unknown = sorted(words.keys() - known)
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise Invalid(f"Unknown attribute{plural}: {', '.join(unknown)}")


def _check_name(name: Any) -> None:
    _check_text("name", name)
    if name is None:
        raise _wrong("name", name, "Mandatory field missing.")


def _check_text(field: str, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_NAME):
        raise _wrong(field, value, f"It must be a text of at most {LONGEST_NAME} characters.")


def _wrong(field: str, value: Any, why: str) -> Invalid:
    return Invalid(f"Invalid input for field/attribute {field}. Value: '{value}'. {why}")
