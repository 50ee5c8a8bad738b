# SPDX-License-Identifier: Apache-2.0
"""The body of `PATCH /v2/images/{id}`: operations, in either of two media types that spell them differently."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Request
from cumulet.kernel.schema import Schema
from cumulet.services.image.api.dialect import UNSUPPORTED_MEDIA
from cumulet.services.image.api.schemas import IMAGE_PROPERTIES, of_images
from cumulet.services.image.logic.changes import LOCATIONS, Change
from cumulet.services.image.types import RESERVED_PREFIX

# `{"add": "/name", "value": ...}` and `{"op": "add", "path": "/name", "value": ...}`.
OLD = "application/openstack-images-v2.0-json-patch"
NEW = "application/openstack-images-v2.1-json-patch"
OPERATIONS = ("add", "remove", "replace")
READ_ONLY = frozenset(
    {
        *("created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file"),
        *("schema", "id", "os_hash_algo", "os_hash_value", "stores"),
    }
)
RESERVED = frozenset({"location", "deleted", "deleted_at"})

Operation = Literal["add", "replace", "remove"]


def parse(request: Request) -> list[Change]:
    """The changes that the body asks for; Invalid, Forbidden or an unsupported media type for what cannot be done."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (OLD, NEW):
        allowed = ", ".join(sorted((OLD, NEW)))
        raise Invalid(
            f"Image PATCH expects Content-Type one of: {allowed}",
            code=UNSUPPORTED_MEDIA,
            headers={"Accept-Patch": allowed},
        )
    if not request.raw:
        raise Invalid("Body expected in request.", code="MissingBody")
    if not isinstance(request.body, list):
        raise Invalid("Request body must be a JSON array of operation objects.")
    schema = of_images(request.cloud).part
    return [_change(raw, schema, old=media_type == OLD) for raw in request.body]


def _change(raw: Any, schema: Schema, *, old: bool) -> Change:
    if not isinstance(raw, dict):
        raise Invalid("Operations must be JSON objects.")
    operation, pointer = _old(raw) if old else _new(raw)
    path = _path(pointer)
    deepest = 2 if path[0] == LOCATIONS and operation != "replace" else 1
    if len(path) != deepest:
        raise Invalid(f"Invalid JSON pointer for this resource: '/{'/'.join(path)}'")
    value = None
    if operation != "remove":
        if "value" not in raw:
            raise Invalid(f'Operation "{operation}" requires a member named "value".')
        value = raw["value"]
    _check(operation, path, value, schema)
    return Change(operation, path[0], value, new_only=old, position=path[1] if len(path) > 1 else "")


def _new(raw: dict[str, Any]) -> tuple[Operation, Any]:
    known = ", ".join(OPERATIONS)
    operation = raw.get("op")
    if operation is None:
        raise Invalid(f"Unable to find `op` in JSON Schema change. It must be one of the following: {known}.")
    if operation not in OPERATIONS:
        raise Invalid(f"Invalid operation: `{operation}`. It must be one of the following: {known}.")
    if "path" not in raw:
        raise Invalid("Unable to find 'path' in JSON Schema change")
    return cast(Operation, operation), raw["path"]


def _old(raw: dict[str, Any]) -> tuple[Operation, Any]:
    named = [operation for operation in OPERATIONS if operation in raw]
    if len(named) > 1:
        raise Invalid('Operation objects must contain only one member named "add", "remove", or "replace".')
    if not named:
        raise Invalid('Operation objects must contain exactly one member named "add", "remove", or "replace".')
    return cast(Operation, named[0]), raw[named[0]]


def _path(pointer: Any) -> list[str]:
    """A JSON pointer's names; only some forms of pointers are taken."""
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise Invalid(f'Pointer `{pointer}` does not start with "/".')
    if re.search(r"/\s*?/", pointer[1:]):
        raise Invalid(f'Pointer `{pointer}` contains adjacent "/".')
    if len(pointer) > 1 and pointer.endswith("/"):
        raise Invalid(f'Pointer `{pointer}` end with "/".')
    if not pointer[1:].strip():
        raise Invalid(f"Pointer `{pointer}` does not contains valid token.")
    if re.search("~[^01]", pointer) or pointer.endswith("~"):
        raise Invalid(f'Pointer `{pointer}` contains "~" not part of a recognized escape sequence.')
    return [part.replace("~1", "/").replace("~0", "~").strip() for part in pointer.lstrip("/").split("/")]


def _check(operation: Operation, path: list[str], value: Any, schema: Schema) -> None:
    name = path[0]
    check_writable(name)
    if operation == "remove":
        return
    if len(path) == 1:
        schema.check({name: value})
    elif IMAGE_PROPERTIES.get(name, {}).get("type") == "array":
        schema.check({name: [value]})


def check_writable(name: str) -> None:
    """Forbidden for what only the service itself writes."""
    if name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise Forbidden(f"Attribute '{name}' is reserved.")
