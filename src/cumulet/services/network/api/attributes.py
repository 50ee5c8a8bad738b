# SPDX-License-Identifier: Apache-2.0
"""Attributes of resources as data, and bodies read by them.

Neutron's API is not described by JSON Schema: each attribute says where it may be given, what it is otherwise, how it
is converted and checked, and whether policy has a word on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Invalid
from cumulet.services.network.api.validators import Check, Convert
from cumulet.services.network.logic import access


class _Mark:
    """A default that is no value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


REQUIRED = _Mark("REQUIRED")  # must be given
ABSENT = _Mark("ABSENT")  # may be given, and is then absent


@dataclass(frozen=True)
class Attribute:
    """One attribute. `post` and `put` say where it may be given; `enforce` that policy may forbid it by its name.

    `shown`: part of the answer; `filters`, `sorts`: part of what a list can be asked for.
    """

    post: bool = False
    put: bool = False
    default: Any = REQUIRED
    convert: Convert | None = None
    check: Check | None = None
    enforce: bool = False
    shown: bool = True
    filters: bool = True
    sorts: bool = False


Attributes = Mapping[str, Attribute]


def read_bodies(ctx: Context, body: Any, name: str, collection: str, attributes: Attributes) -> list[dict[str, Any]]:
    """The items of a create's body, one or many, complete with defaults."""
    if body is None:
        raise Invalid("Resource body required")
    if not isinstance(body, dict):
        raise Invalid("Body contains invalid data")
    if collection not in body:
        return [_read_new(ctx, body.get(name), name, attributes)]
    many = body[collection]
    if not many:
        raise Invalid("Resources required")
    if not isinstance(many, list) or not all(isinstance(item, dict) for item in many):
        raise Invalid("Body contains invalid data")
    return [_read_new(ctx, item.get(name, item), name, attributes) for item in many]


def read_change(ctx: Context, body: Any, name: str, attributes: Attributes) -> dict[str, Any]:
    """The attributes of an update's body."""
    if not body:
        raise Invalid("Resource body required")
    if not isinstance(body, dict):
        raise Invalid("Body contains invalid data")
    values = _object(body.get(name), name)
    _same_project(values)
    _check_own(ctx, values)
    _check_known(values, attributes)
    for key in values:
        if not attributes[key].put:
            raise Invalid(f"Cannot update read-only attribute {key}")
    return _converted(values, attributes)


def _read_new(ctx: Context, item: Any, name: str, attributes: Attributes) -> dict[str, Any]:
    values = _object(item, name)
    _same_project(values)
    _check_own(ctx, values)
    if "project_id" in attributes:
        values.setdefault("project_id", ctx.project_id)
        if values["project_id"] is None and attributes["project_id"].default is REQUIRED:
            raise Invalid("Running without keystone AuthN requires that project_id is specified")
    _check_known(values, attributes)
    for key, attribute in attributes.items():
        if not attribute.post:
            if key in values:
                raise Invalid(f"Attribute '{key}' not allowed in POST")
        elif key not in values:
            if attribute.default is REQUIRED:
                raise Invalid(f"Failed to parse request. Required attribute '{key}' not specified")
            if attribute.default is not ABSENT:
                values[key] = attribute.default
    return _converted(values, attributes)


def _check_own(ctx: Context, values: dict[str, Any]) -> None:
    """Nobody speaks for another project, be it to no avail."""
    if values.get("project_id", ctx.project_id) != ctx.project_id and not access.sees_all(ctx):
        raise Invalid(
            "Specifying 'project_id' other than the authenticated project in request is not allowed for the current "
            "user."
        )


def _object(item: Any, name: str) -> dict[str, Any]:
    if item is None:
        raise Invalid(f"Unable to find '{name}' in request body")
    if not isinstance(item, dict):
        raise Invalid(f"Object '{name}' contains invalid data")
    return dict(item)


def _same_project(values: dict[str, Any]) -> None:
    """`tenant_id` is the old name of `project_id`."""
    if "tenant_id" in values:
        old = values.pop("tenant_id")
        if values.setdefault("project_id", old) != old:
            raise Invalid("'project_id' and 'tenant_id' do not match")


def _check_known(values: dict[str, Any], attributes: Attributes) -> None:
    unknown = [key for key in values if key not in attributes]
    if unknown:
        raise Invalid(f"Unrecognized attribute(s) '{', '.join(unknown)}'")


def _converted(values: dict[str, Any], attributes: Attributes) -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        attribute = attributes[key]
        found[key] = attribute.convert(value) if attribute.convert is not None else value
        reason = attribute.check(found[key]) if attribute.check is not None else None
        if reason is not None:
            raise Invalid(f"Invalid input for {key}. Reason: {reason}.")
    return found
