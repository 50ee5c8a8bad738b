# SPDX-License-Identifier: Apache-2.0
"""What the handlers of metadata definitions share: the namespace of a path, refusals, pages, views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.clock import iso_z
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Request
from cumulet.services.image.api.views import BASE
from cumulet.services.image.logic import metadefs_namespaces
from cumulet.services.image.types import Association, MetadefObject, MetadefTag, Namespace, ResourceType

PATH = "/metadefs/namespaces/{namespace}"

_LINKS = ("self", "schema")
_TIMES = ("created_at", "updated_at")


def namespace(request: Request) -> Namespace:
    """The namespace of the path; NotFound where the caller may not see it."""
    return metadefs_namespaces.get(request.cloud, request.cloud.db, request.ctx, request.params["namespace"])


def target(request: Request) -> Mapping[str, Any]:
    """What rules are judged on: the namespace of the path."""
    return metadefs_namespaces.target(request.once(namespace))


def target_of_change(request: Request) -> Mapping[str, Any]:
    """As `target`, in the words of those routes that say `not found` in their own way."""
    try:
        return target(request)
    except NotFound:
        raise NotFound(f"Namespace {request.params['namespace']} not found") from None


def body(request: Request, *, links: bool = True) -> dict[str, Any]:
    """The body, held against its schema before; Forbidden for words that only the service writes."""
    words: dict[str, Any] = request.body
    for name in (*_LINKS, *_TIMES) if links else _TIMES:
        if name in words:
            raise Forbidden(f"Attribute '{name}' is read-only.")
    return words


def descending(request: Request) -> bool:
    """Whether `sort_dir` says so, which it does where it says nothing."""
    direction = request.query.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise Invalid(f"Invalid sort direction: {direction}")
    return direction == "desc"


def sort_key(request: Request, allowed: Iterable[str]) -> str:
    key = request.query.get("sort_key", "created_at")
    if key not in allowed:
        raise Invalid(f"Invalid sort key: {key}. It must be one of the following: {', '.join(allowed)}.")
    return key


def check_visibility(request: Request, allowed: Iterable[str]) -> str | None:
    visibility = request.query.get("visibility") or None
    if visibility is not None and visibility not in allowed:
        raise Invalid(f"Invalid visibility value: {visibility}")
    return visibility


def namespace_view(found: Namespace) -> dict[str, Any]:
    """A namespace without what is in it."""
    same = ("namespace", "display_name", "description", "visibility", "protected", "owner")
    return {
        **_told({name: getattr(found, name) for name in same}),
        **times(found),
        "self": f"{BASE}/metadefs/namespaces/{found.namespace}",
        "schema": f"{BASE}/schemas/metadefs/namespace",
    }


def object_view(within: str, found: MetadefObject) -> dict[str, Any]:
    return {
        **_told({"name": found.name, "description": found.description}),
        "required": found.required,
        "properties": found.properties,
        **times(found),
        "self": f"{BASE}/metadefs/namespaces/{within}/objects/{found.name}",
        "schema": f"{BASE}/schemas/metadefs/object",
    }


def association_view(found: Association) -> dict[str, Any]:
    said = {"name": found.name, "prefix": found.prefix, "properties_target": found.properties_target}
    return {**_told(said), **times(found)}


def times(found: Namespace | MetadefObject | MetadefTag | Association | ResourceType) -> dict[str, str]:
    return {"created_at": iso_z(found.created_at), "updated_at": iso_z(found.updated_at)}


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
