# SPDX-License-Identifier: Apache-2.0
"""`/v2/schemas/metadefs`: what metadata definitions look like; requests are held against the same documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.kernel.schema import Phrase, Schema

Document = dict[str, Any]

_LONGEST = 80
_POSITIVE: Document = {"$ref": "#/definitions/positiveInteger"}
_POSITIVE_OR_NONE: Document = {"$ref": "#/definitions/positiveIntegerDefault0"}
_TEXTS: Document = {"$ref": "#/definitions/stringArray"}
_PROPERTIES: Document = {"$ref": "#/definitions/property"}
_TYPE: Document = {
    "type": "string",
    "enum": ["array", "boolean", "integer", "number", "object", "string", None],
}
# One property, apart from what it must have.
_PROPERTY: Document = {
    "name": {"type": "string", "maxLength": _LONGEST},
    "title": {"type": "string"},
    "description": {"type": "string"},
    "operators": {"type": "array", "items": {"type": "string"}},
    "type": _TYPE,
    "required": _TEXTS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": _POSITIVE,
    "minLength": _POSITIVE_OR_NONE,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {"type": "object", "properties": {"type": _TYPE, "enum": {"type": "array"}}},
    "maxItems": _POSITIVE,
    "minItems": _POSITIVE_OR_NONE,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
_NUMBERS: Document = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [_POSITIVE, {"default": 0}]},
}
_STRINGS: Document = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
_OF_PROPERTY: Document = {**_NUMBERS, "stringArray": {**_STRINGS, "minItems": 1}}
_DEFINITIONS: Document = {
    **_NUMBERS,
    "stringArray": _STRINGS,
    "property": {
        "type": "object",
        "additionalProperties": {"type": "object", "required": ["title", "type"], "properties": _PROPERTY},
    },
}
_LINK: Document = {"readOnly": True, "type": "string"}
_PAGE_LINKS = [
    {"rel": "first", "href": "{first}"},
    {"rel": "next", "href": "{next}"},
    {"rel": "describedby", "href": "{schema}"},
]


def _text(says: str, longest: int | None = None, **more: Any) -> Document:
    return {"type": "string", "description": says, **({"maxLength": longest} if longest else {}), **more}


def _times(what: str) -> Document:
    return {
        "created_at": _text(f"When {what} was made", readOnly=True, format="date-time"),
        "updated_at": _text(f"When {what} was last changed", readOnly=True, format="date-time"),
    }


def _named(**fields: Document) -> Document:
    return {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, **fields}}}


_NAMESPACE: Document = {
    "namespace": _text("The name, which no other namespace has", _LONGEST),
    "display_name": _text("What dashboards call the namespace", _LONGEST),
    "description": _text("What the namespace is for", 500),
    "visibility": _text("Who sees the namespace", enum=["public", "private"]),
    "protected": {"type": "boolean", "description": "Whether the namespace is kept from being deleted"},
    "owner": _text("The project that the namespace belongs to", 255),
    **_times("the namespace"),
    "schema": _LINK,
    "self": _LINK,
    "resource_type_associations": _named(prefix={"type": "string"}, properties_target={"type": "string"}),
    "properties": _PROPERTIES,
    "objects": _named(description={"type": "string"}, required=_TEXTS, properties=_PROPERTIES),
    "tags": _named(),
}
_OBJECT: Document = {
    "name": {"type": "string", "maxLength": _LONGEST},
    "description": {"type": "string"},
    "required": _TEXTS,
    "properties": _PROPERTIES,
    "schema": _LINK,
    "self": _LINK,
    **_times("the object"),
}
_TAG: Document = {"name": {"type": "string", "maxLength": _LONGEST}, **_times("the tag")}
_RESOURCE_TYPE: Document = {
    "name": _text("A type of resources, named as orchestration does where it has one", _LONGEST),
    "prefix": _text("What properties begin with on such resources, its separator included", _LONGEST),
    "properties_target": _text("Which words of such resources are meant, where they have several kinds", _LONGEST),
    **_times("the association"),
}


class _Kind:
    """One kind of definitions: its schema, and those of lists of it."""

    def __init__(self, name: str, properties: Document, *required: str, definitions: Document | None = None) -> None:
        self._name = name
        self._definitions = definitions or {}
        self._item = {
            "name": name,
            "properties": properties,
            "additionalProperties": False,
            "required": list(required),
        }

    def document(self) -> Document:
        return self._with_definitions(self._item)

    def listed(self, plural: str) -> Document:
        return self._collection(plural, {"type": "array", "items": self._item})

    def by_name(self, plural: str) -> Document:
        return self._collection(plural, {"type": "object", "additionalProperties": self._item})

    def accepted(self) -> Schema:
        """The schema of a request."""
        words = f"Provided object does not match schema '{self._name}': "
        phrase = Phrase(lambda refusal: f"{words}{refusal.report}", best=True)
        judged = {key: self._item[key] for key in ("properties", "additionalProperties", "required")}
        return Schema({"type": "object", **self._resolved(judged)}, phrase=phrase)

    def _collection(self, plural: str, items: Document) -> Document:
        links = {each: {"type": "string"} for each in ("first", "next", "schema")}
        return self._with_definitions({"name": plural, "properties": {plural: items, **links}, "links": _PAGE_LINKS})

    def _with_definitions(self, document: Document) -> Document:
        return {**document, **({"definitions": self._definitions} if self._definitions else {})}

    def _resolved(self, part: Any) -> Any:
        if isinstance(part, list):
            return [self._resolved(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return self._resolved(self._definitions[part["$ref"].rpartition("/")[2]])
        return {key: self._resolved(each) for key, each in part.items()}


_ONE_PROPERTY = _Kind("property", _PROPERTY, "type", "title", "name", definitions=_OF_PROPERTY)
_NAMELESS_PROPERTY = _Kind("property", _PROPERTY, "type", "title", definitions=_OF_PROPERTY)
_ONE_OBJECT = _Kind("object", _OBJECT, "name", definitions=_DEFINITIONS)
_ONE_NAMESPACE = _Kind("namespace", _NAMESPACE, "namespace", definitions=_DEFINITIONS)
_ONE_TAG = _Kind("tag", _TAG, "name")
_ONE_RESOURCE_TYPE = _Kind("resource_type_association", _RESOURCE_TYPE, "name")
_NEW_TAG: Document = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}

DOCUMENTS: Mapping[str, Document] = {
    "namespace": _ONE_NAMESPACE.document(),
    "namespaces": _ONE_NAMESPACE.listed("namespaces"),
    "resource_type": _ONE_RESOURCE_TYPE.document(),
    "resource_types": _ONE_RESOURCE_TYPE.listed("resource_type_associations"),
    "property": _ONE_PROPERTY.document(),
    "properties": _NAMELESS_PROPERTY.by_name("properties"),
    "object": _ONE_OBJECT.document(),
    "objects": _ONE_OBJECT.listed("objects"),
    "tag": _ONE_TAG.document(),
    "tags": _ONE_TAG.listed("tags"),
}

# What requests are held against.
NAMESPACE = _ONE_NAMESPACE.accepted()
OBJECT = _ONE_OBJECT.accepted()
PROPERTY = _ONE_PROPERTY.accepted()
NAMELESS_PROPERTY = _NAMELESS_PROPERTY.accepted()
RESOURCE_TYPE = _ONE_RESOURCE_TYPE.accepted()
TAG = _ONE_TAG.accepted()
TAGS = _Kind("tags", {"tags": {"type": "array", "items": _NEW_TAG}}).accepted()


def _show(name: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, DOCUMENTS[name])


ROUTES = tuple(Route("GET", f"/schemas/metadefs/{name}", _show(name), ANYONE) for name in DOCUMENTS)
