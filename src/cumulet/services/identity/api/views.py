# SPDX-License-Identifier: Apache-2.0
"""What all of the identity service's requests and answers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Request
from cumulet.kernel.schema import Schema, in_full
from cumulet.services.identity.logic.scopes import lacks

BASE = "/v3"

NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"[\S]+"}
SHORT_NAME = {**NAME, "maxLength": 64}
TEXT = {"type": ["string", "null"]}
ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"}
# Roles as requests name them: each by its id or by its name.
ROLES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": ID, "name": NAME},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
}
SHORT_TEXT = {"type": ["string", "null"], "maxLength": 255}
REGION_ID = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}
AMOUNT = {"type": "integer", "minimum": -1, "maximum": 0x7FFFFFFF}
FLAG = {
    "type": ["boolean", "string", "null"],
    "enum": [
        *(True, "True", "TRUE", "true", False, "False", "FALSE", "false"),
        *("", "1", "0", "y", "Y", "n", "N", "on", "ON", "off", "OFF", "yes", "no"),
    ],
}
IMMUTABLE = {
    "type": "object",
    "properties": {"immutable": {"type": ["boolean", "null"]}},
    "additionalProperties": False,
}

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def in_long_form(document: Mapping[str, Any]) -> Schema:
    """A schema of the few requests whose refusals Keystone words at length: logging in, passwords, tags."""
    return Schema(document, phrase=in_full)


def body(
    name: str,
    properties: Mapping[str, Any],
    *,
    required: tuple[str, ...] = (),
    least: int = 0,
    others: bool = False,
    **more: Any,
) -> Schema:
    """The schema of `{name: {properties}}`; a change says with `least` how much it has to change.

    With `others`, names beside the outermost one are passed over.
    """
    inner: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": True, **more}
    if required:
        inner["required"] = list(required)
    if least:
        inner["minProperties"] = least
    return Schema({"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": others})


def flags(words: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """`words` with the truth values among them, which callers may write as text, as truth values."""
    found = dict(words)
    for name in names:
        if isinstance(found.get(name), str):
            found[name] = not is_false(found[name])
    return found


def self_link(request: Request, collection_name: str, resource_id: str) -> dict[str, str]:
    return {"self": f"{base_url(request)}/{collection_name}/{resource_id}"}


def base_url(request: Request) -> str:
    """Where the version stands: `http://host/identity/v3`."""
    return request.root_url + BASE


def lacks_in_body(name: str) -> CumuletError:
    """The refusal of a body without its one outermost name."""
    return lacks(name, "request body")


def truth(text: str | None) -> bool:
    """Whether a parameter's text means true, as OpenStack reads it."""
    return text is not None and text.strip().lower() in _TRUE


def is_false(text: str) -> bool:
    """Whether a filter's text means false; any other, none at all too, means true."""
    return text.strip().lower() in _FALSE


def is_asked(request: Request, name: str) -> bool:
    """Whether a parameter that needs no value is there; `name=0` says no."""
    return request.query.get(name, "0") != "0"
