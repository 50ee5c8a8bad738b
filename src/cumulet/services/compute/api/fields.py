# SPDX-License-Identifier: Apache-2.0
"""Pieces that the schemas of several resources share."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.schema import Schema, in_query

Fields = dict[str, Any]

NAME: Fields = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}
UUID: Fields = {"type": "string", "format": "uuid"}
DESCRIPTION: Fields = {"type": ["string", "null"], "format": "description", "minLength": 0, "maxLength": 255}
BOOLEAN: Fields = {
    "type": ["boolean", "string"],
    "enum": [
        True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes",
        False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no",
    ],
}  # fmt: skip
POSITIVE: Fields = {"type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": 1, "minLength": 1}
COUNT: Fields = {"type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": 0, "minLength": 1}
SIZE: Fields = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1, "maximum": 0x7FFFFFFF}
SIZE_OR_NONE: Fields = {**SIZE, "minimum": 0}
METADATA: Fields = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
METADATA_OR_NULL: Fields = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
TAG: Fields = {"type": "string", "pattern": "^[^,/]*$", "minLength": 1, "maxLength": 60}
ADDRESS: Fields = {"type": "string", "oneOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
DISK_CONFIG: Fields = {"type": "string", "enum": ["AUTO", "MANUAL"]}
PROJECT_ID: Fields = {"type": "string", "pattern": "^[a-zA-Z0-9-]*$", "minLength": 1, "maxLength": 255}
HOST_NAME: Fields = {"type": "string", "pattern": "^[a-zA-Z0-9-._]*$", "minLength": 1, "maxLength": 255}
GUEST_NAME: Fields = {
    "type": "string",
    "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
    "minLength": 2,
    "maxLength": 63,
}
NULL: Fields = {"type": "null"}


def wrapped(key: str, value: Fields) -> Fields:
    """A body `{key: value}` with nothing else."""
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def body(key: str, properties: Fields, required: list[Any] | None = None, **more: Any) -> Schema:
    """The schema of `{key: {...}}` with the given properties and no others."""
    inner: Fields = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    if required:
        inner["required"] = required
    return Schema(wrapped(key, inner))


def many(value: Fields) -> Fields:
    """A parameter of a query, which may be given several times."""
    return {"type": "array", "items": value}


def single(value: Fields) -> Fields:
    """A parameter of a query, which may be given once."""
    return {**many(value), "maxItems": 1}


def query(properties: Fields, *, closed_since: tuple[int, int] | None = None, patterns: Fields | None = None) -> Schema:
    """A query's schema; other parameters are passed over until `closed_since`, refused from then on.

    `patterns` are parameters by the pattern of their names.
    """
    document: Fields = {"type": "object", "properties": properties, "additionalProperties": True}
    if patterns is not None:
        document["patternProperties"] = patterns
    if closed_since is not None:
        before = (closed_since[0], closed_since[1] - 1)
        document["additionalProperties"] = {
            "versions": [{"value": True, "until": before}, {"value": False, "since": closed_since}]
        }
    return Schema(document, phrase=in_query)


PAGES: Fields = {"limit": many(COUNT), "marker": many({"type": "string"})}


def as_boolean(value: object) -> bool:
    """What a BOOLEAN means."""
    return str(value).strip().lower() in ("true", "1", "on", "yes", "t", "y")
