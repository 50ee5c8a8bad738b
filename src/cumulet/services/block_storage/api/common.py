# SPDX-License-Identifier: Apache-2.0
"""What the service's requests have in common: the project in the path, pages, sorting, filters, links, truth."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from cumulet.kernel.cloud import own
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import link, whole_number
from cumulet.kernel.schema import Schema
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types import Page

MOST = 1000  # rows of one page
GENERAL_FILTERS = (3, 31)  # from this version on, a filter that does not exist is refused
LIKE = (3, 34)
COUNTED = (3, 45)
INT_MAX = 0x7FFFFFFF

T = TypeVar("T")
Target = Callable[[Request], Mapping[str, Any]]

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})

BOOLEAN = {
    "type": ["boolean", "string"],
    "enum": [
        True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
        False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f",
    ],
}  # fmt: skip
UUID = {"type": "string", "format": "uuid"}
UUID_OR_NULL = {"oneOf": [UUID, {"type": "null"}]}
TEXT_OR_NULL = {"type": ["string", "null"], "minLength": 0, "maxLength": 255}
DESCRIPTION = {**TEXT_OR_NULL, "format": "description"}


def mapping(keys: str) -> dict[str, Any]:
    """Texts by keys of that pattern."""
    return {
        "type": "object",
        "patternProperties": {keys: {"type": "string", "maxLength": 255}},
        "additionalProperties": False,
    }


METADATA = mapping("^[a-zA-Z0-9-_:. /]{1,255}$")
METADATA_OR_NULL = {**METADATA, "type": ["object", "null"]}
SIZE = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1, "maximum": INT_MAX}


def schema(document: Mapping[str, Any]) -> Schema:
    """A schema judged as Cinder judges it."""
    return Schema(document, draft="draft-04")


def wrapped(name: str, inside: Mapping[str, Any], **others: Any) -> Schema:
    """A body of one outermost name."""
    properties = {name: inside, **others}
    return schema({"type": "object", "properties": properties, "required": [name], "additionalProperties": False})


def open_wrapped(name: str, inside: Mapping[str, Any]) -> Schema:
    """A body of one outermost name that must be there, and others that are passed over."""
    return schema({"type": "object", "properties": {name: inside}, "required": [name], "additionalProperties": True})


def reset_status(name: str) -> Schema:
    """A body that names a status."""
    properties = {"status": {"type": "string"}}
    return wrapped(
        name, {"type": "object", "properties": properties, "required": ["status"], "additionalProperties": False}
    )


def anything(name: str) -> Schema:
    """An action whose words are not looked at."""
    return wrapped(name, {})


def route(
    method: str, path: str, handler: Callable[[Request], Reply], rule: str, *, target: Target | None = None, **more: Any
) -> Route:
    """A route whose path may name the project, which must be the token's."""

    def judged_on(request: Request) -> Mapping[str, Any]:
        if request.path.endswith("/"):
            raise NotFound("The resource could not be found.")
        named = request.params.get("project_id")
        if named is not None and named != request.ctx.project_id:
            raise Invalid("Malformed request url")
        return own(request.ctx) if target is None else target(request)

    return Route(method, path, handler, rule, target=judged_on, **more)


def found_by(get: Callable[[Source, Context, str], T], key: str) -> Callable[[Request], T]:
    """The resource that a path means by its parameter `key`; asked for with `request.once`, it is found once."""

    def find(request: Request) -> T:
        return get(request.cloud.db, request.ctx, request.params[key])

    return find


def target_of(find: Callable[[Request], Any]) -> Target:
    """What rules on the resource are judged on that `find` (see `found_by`) finds."""

    def target(request: Request) -> Mapping[str, Any]:
        found = request.once(find)
        return {"project_id": found.project_id, "tenant_id": found.project_id, "user_id": found.user_id}

    return target


class Lister(Protocol):
    """Answers a list, in full or in short."""

    def __call__(self, request: Request, *, detailed: bool) -> Reply: ...


def list_routes(path: str, lister: Lister, rule: str, **more: Any) -> tuple[Route, Route]:
    """A list at `path`, and the same in full below it."""

    def find_all(request: Request) -> Reply:
        return lister(request, detailed=False)

    def find_all_detailed(request: Request) -> Reply:
        return lister(request, detailed=True)

    return (
        route("GET", path, find_all, rule, **more),
        route("GET", f"{path}/detail", find_all_detailed, rule, **more),
    )


def base_url(request: Request) -> str:
    """The version's URL, with the project where the request's path has it."""
    project = request.params.get("project_id")
    return f"{request.root_url}/v3/{project}" if project else f"{request.root_url}/v3"


def links(request: Request, collection: str, resource_id: str) -> list[dict[str, str]]:
    """The resource's own address, and the one without a version."""
    project = request.params.get("project_id")
    bookmark = f"{request.root_url}/{project}" if project else request.root_url
    return [
        {"rel": "self", "href": f"{base_url(request)}/{collection}/{resource_id}"},
        {"rel": "bookmark", "href": f"{bookmark}/{collection}/{resource_id}"},
    ]


def listing(
    request: Request, name: str, rows: Sequence[Any], shown: list[dict[str, Any]], page: Page, *, links: str = ""
) -> dict[str, Any]:
    """A page of rows as they are shown; where it is full, with the link to the next one, below `<name>_links` or
    `links`.
    """
    body: dict[str, Any] = {name: shown}
    if rows and len(rows) == page.limit:
        body[links or f"{name}_links"] = [{"rel": "next", "href": link(request, marker=rows[-1].id)}]
    return body


def page_of(request: Request, keys: Iterable[str]) -> Page:
    """The page that the query asks for; `keys` are what can be sorted by."""
    limit = whole_number(request, "limit")
    offset = whole_number(request, "offset")
    if offset is not None and offset > INT_MAX:
        raise invalid_input("offset is out of range")
    return Page(
        limit=MOST if limit is None else min(limit, MOST),
        offset=offset or 0,
        marker=request.query.get("marker"),
        sort=_sorting(request, frozenset(keys)),
    )


def _sorting(request: Request, keys: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    query = request.query
    if "sort" in query and ("sort_key" in query or "sort_dir" in query):
        raise Invalid(
            "The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter."
        )
    if "sort" in query:
        pairs = [one.strip().partition(":")[::2] for one in query["sort"].split(",")]
    else:
        pairs = [(query.get("sort_key", "created_at").strip(), query.get("sort_dir", "desc").strip())]
    chosen = []
    for key, direction in pairs:
        if direction not in ("", "asc", "desc"):
            raise invalid_input("Unknown sort direction, must be 'desc' or 'asc'.")
        column = "name" if key == "display_name" else key
        if column not in keys:
            raise invalid_input("Invalid sort key")
        chosen.append((column, direction != "asc"))
    return tuple(chosen)


def check_status(what: str, status: str | None, valid: Sequence[str], here: Iterable[str]) -> None:
    """Refuse a status that Cinder does not have (`valid`), and one that does not occur `here`; none is no matter."""
    if status and status not in valid:
        raise Invalid(f"{what} status: {status} is invalid, valid statuses are: {valid}.")
    if status and status not in here:
        raise Invalid(f"{what} status: {status} does not occur in this cloud.")


NO_FILTERS = frozenset(
    {
        "limit",
        "offset",
        "marker",
        "sort",
        "sort_key",
        "sort_dir",
        "all_tenants",
        "with_count",
        "detail",
        "usage",
        "list_volume",
    }
)


def filters(
    request: Request, allowed: Iterable[str], for_admins: Iterable[str] = (), *, resource: str = ""
) -> dict[str, str]:
    """The query's filters; unknown ones are refused or overlooked, as the version has it. Administrators know more.

    From 3.31 on the settings say what everybody else may ask of lists of the `resource`; a name with `~` there may be
    asked for a part of it.
    """
    known, can_like = set(allowed) | set(for_admins), set(allowed) | set(for_admins)
    if not request.ctx.is_admin:
        known &= set(allowed)
        configured = request.cloud.settings.block_storage.resource_filters.get(resource, ())
        if resource and request.version >= GENERAL_FILTERS:
            known = (set(allowed) | set(for_admins)) & {name.removesuffix("~") for name in configured}
            can_like = {name.removesuffix("~") for name in configured if name.endswith("~")}
    if request.version < LIKE:
        can_like = set()
    asked = {name: value for name, value in request.query.items() if name not in NO_FILTERS}
    if request.version >= GENERAL_FILTERS and not all(name.isascii() for name in asked):
        raise Invalid("Filter keys can only contain ASCII characters.")
    fine = {
        name: value
        for name, value in asked.items()
        if name in known or (name.endswith("~") and name[:-1] in known & can_like)
    }
    unknown = [name for name in asked if name not in fine]
    if unknown and request.version >= GENERAL_FILTERS and not request.ctx.is_admin:
        raise Invalid(f"Invalid filters {','.join(unknown)} are found in query options.")
    return fine


def everywhere(request: Request) -> bool:
    """Whether an administrator wants the rows of all projects."""
    return request.ctx.is_admin and truth(request.query.get("all_tenants", "0"), "all_tenants")


def counted(request: Request) -> bool:
    """Whether the number of all rows is wanted."""
    return request.version >= COUNTED and truth(request.query.get("with_count", "0"), "with_count")


def truth(value: Any, name: str) -> bool:
    """A boolean, or one in words; Invalid for anything else."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Invalid(f"Value '{value}' for query string '{name}' is invalid.")


def flag(request: Request, name: str) -> bool:
    """A parameter that is a boolean, false where it is not given; for those whose refusal is worded in its own way."""
    value = request.query.get(name, "false")
    try:
        return truth(value, name)
    except Invalid:
        raise Invalid(f"Value '{value}' for '{name}' is not a boolean.", code="InvalidParameterValue") from None


def is_public(request: Request) -> bool | None:
    """Which types a list shows: the public ones unless an administrator asks for the others, or for all (None)."""
    said = request.query.get("is_public")
    if not request.ctx.is_admin or said is None:
        return True
    if said.lower() == "none":
        return None
    try:
        return truth(said, "is_public")
    except Invalid as error:
        raise Invalid(f"Invalid is_public filter [{said}]") from error


def table(text: str, name: str) -> dict[str, str]:
    """A filter's mapping, as Python or JSON writes it: `{'key': 'value'}`."""
    try:
        words = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        words = None
    if not isinstance(words, dict):
        raise Invalid(f"Invalid {name} value")
    return {str(key): str(value) for key, value in words.items()}


def clean(text: str | None) -> str | None:
    """Without space at both ends."""
    return text.strip() if text is not None else None
