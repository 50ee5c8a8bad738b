# SPDX-License-Identifier: Apache-2.0
"""`/flavors`, their extra specs and who may use them"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import extra_specs as extra_specs_logic
from cumulet.services.compute.logic import flavors as logic
from cumulet.services.compute.types import Flavor

_MANAGE = "os_compute_api:os-flavor-manage"
_SPECS = "os_compute_api:os-flavor-extra-specs"
_ACCESS = "os_compute_api:os-flavor-access"
_FLAVOR = "/flavors/{flavor_id}"
_SHOW_SPECS = f"{_SPECS}:index"

_PADDED_NAME = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}
_DESCRIPTION = {**fields.DESCRIPTION, "maxLength": 65535}
_CREATE = fields.body(
    "flavor",
    {
        "name": _PADDED_NAME,
        "id": {
            "oneOf": [
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": r"^(?! )[a-zA-Z0-9. _-]+(?<! )$",
                },
                {"type": ["integer", "null"]},
            ]
        },
        "ram": fields.SIZE,
        "vcpus": fields.SIZE,
        "disk": fields.SIZE_OR_NONE,
        "OS-FLV-EXT-DATA:ephemeral": fields.SIZE_OR_NONE,
        "swap": fields.SIZE_OR_NONE,
        "rxtx_factor": {
            "type": ["number", "string"],
            "pattern": r"^[0-9]+(\.[0-9]+)?$",
            "exclusiveMinimum": 0,
            "maximum": 3.40282e38,
            "until": (2, 101),
        },
        "os-flavor-access:is_public": fields.BOOLEAN,
        "description": {**_DESCRIPTION, "since": (2, 55)},
    },
    ["name", "ram", "vcpus", "disk"],
)
_UPDATE = fields.body(
    "flavor",
    {"description": _DESCRIPTION},
    ["description"],
)
_SPEC_KEY = "^[a-zA-Z0-9-_:. ]{1,255}$"
_SPEC_VALUE = {"type": ["string", "number"], "maxLength": 255}
_SPECS_BODY = Schema(
    fields.wrapped(
        "extra_specs",
        {"type": "object", "patternProperties": {_SPEC_KEY: _SPEC_VALUE}, "additionalProperties": False},
    )
)
_SPEC_BODY = Schema(
    {
        "type": "object",
        "patternProperties": {_SPEC_KEY: _SPEC_VALUE},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
)
_SORT_KEYS = (
    "created_at", "description", "disabled", "ephemeral_gb", "flavorid", "id", "is_public", "memory_mb", "name",
    "root_gb", "rxtx_factor", "swap", "updated_at", "vcpu_weight", "vcpus",
)  # fmt: skip
_SORTS = [{"value": key, "until": (2, 101)} if key == "rxtx_factor" else key for key in _SORT_KEYS]
_ATTRIBUTES = {
    "updated_at": "created_at",
    "vcpu_weight": "vcpus",
    "ephemeral_gb": "ephemeral",
    "flavorid": "id",
    "memory_mb": "ram",
    "root_gb": "disk",
}
_LIST = fields.query(
    {
        **fields.PAGES,
        "is_public": fields.many({"type": "string"}),
        "minRam": fields.many({"type": "string"}),
        "minDisk": fields.many({"type": "string"}),
        "sort_key": fields.many({"type": "string", "enum": _SORTS}),
        "sort_dir": fields.many({"type": "string", "enum": ["asc", "desc"]}),
        "name": {**fields.many({"type": "string"}), "since": (2, 102)},
    },
    closed_since=(2, 75),
)
_TENANT = {"tenant": fields.PROJECT_ID}


def find_all(request: Request) -> Reply:
    found, limit = _page(request)
    views = []
    for flavor in found:
        view: dict[str, Any] = {
            "id": flavor.id,
            "name": flavor.name,
            "links": common.links(request, "flavors", flavor.id),
        }
        if request.version >= (2, 55):
            view["description"] = flavor.description
        views.append(view)
    return _listed(request, views, found, limit)


def find_all_detailed(request: Request) -> Reply:
    found, limit = _page(request)
    shows = request.version >= (2, 61) and request.allows(_SHOW_SPECS)
    return _listed(request, [view(request, flavor, shows) for flavor in found], found, limit)


def get(request: Request) -> Reply:
    flavor = logic.get(request.cloud.db, request.params["flavor_id"], request.ctx)
    return Reply(200, {"flavor": view(request, flavor, _shows_specs(request))})


def create(request: Request) -> Reply:
    body = request.body["flavor"]
    given = body.get("id")
    flavor = Flavor(
        id=ids.new_uuid() if given is None else str(given),
        name=body["name"].strip(),
        ram=int(body["ram"]),
        vcpus=int(body["vcpus"]),
        disk=int(body["disk"]),
        ephemeral=int(body.get("OS-FLV-EXT-DATA:ephemeral", 0)),
        swap=int(body.get("swap", 0)),
        rxtx_factor=_factor(body.get("rxtx_factor", 1.0)),
        is_public=fields.as_boolean(body.get("os-flavor-access:is_public", True)),
        disabled=False,
        description=body.get("description"),
        extra_specs={},
        created_at=clock.utcnow(),
    )
    made = logic.create(request.cloud, flavor)
    return Reply(200, {"flavor": view(request, made, _shows_specs(request))})


def update(request: Request) -> Reply:
    changes = {"description": request.body["flavor"]["description"]}
    flavor = logic.change(request.cloud, request.params["flavor_id"], changes)
    return Reply(200, {"flavor": view(request, flavor, _shows_specs(request))})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["flavor_id"])
    return Reply(202)


def extra_specs(request: Request) -> Reply:
    flavor = logic.get(request.cloud.db, request.params["flavor_id"], request.ctx)
    return Reply(200, {"extra_specs": flavor.extra_specs})


def add_extra_specs(request: Request) -> Reply:
    specs = _checked(request, request.body["extra_specs"])
    return Reply(200, {"extra_specs": logic.set_extra_specs(request.cloud, request.params["flavor_id"], specs)})


def extra_spec(request: Request) -> Reply:
    key = request.params["key"]
    value = logic.extra_spec(request.cloud.db, request.ctx, request.params["flavor_id"], key)
    return Reply(200, {key: value})


def set_extra_spec(request: Request) -> Reply:
    specs = _checked(request, request.body)
    if request.params["key"] not in specs:
        raise Invalid("Request body and URI mismatch")
    return Reply(200, logic.set_extra_specs(request.cloud, request.params["flavor_id"], specs))


def remove_extra_spec(request: Request) -> Reply:
    logic.remove_extra_spec(request.cloud, request.params["flavor_id"], request.params["key"])
    return Reply(200)


def access(request: Request) -> Reply:
    return _access(request, logic.access(request.cloud, request.params["flavor_id"]))


def add_access(request: Request) -> Reply:
    project_id = request.body["addTenantAccess"]["tenant"]
    return _access(request, logic.share(request.cloud, request.params["flavor_id"], project_id))


def remove_access(request: Request) -> Reply:
    project_id = request.body["removeTenantAccess"]["tenant"]
    return _access(request, logic.unshare(request.cloud, request.params["flavor_id"], project_id))


def view(request: Request, flavor: Flavor, shows_specs: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "vcpus": flavor.vcpus,
        "swap": flavor.swap if flavor.swap or request.version >= (2, 75) else "",
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
        "os-flavor-access:is_public": flavor.is_public,
        "links": common.links(request, "flavors", flavor.id),
    }
    if request.version < (2, 102):
        found |= {"OS-FLV-DISABLED:disabled": flavor.disabled, "rxtx_factor": flavor.rxtx_factor}
    if request.version >= (2, 55):
        found["description"] = flavor.description
    if request.version >= (2, 61) and shows_specs:
        found["extra_specs"] = flavor.extra_specs
    return found


def _checked(request: Request, body: dict[str, Any]) -> dict[str, str]:
    """Extra specs as words; from 2.86 on only those that mean something."""
    specs = {key: str(value) for key, value in body.items()}
    for value in specs.values():
        if len(value) > extra_specs_logic.MAX_LENGTH:
            words = f"Invalid input received: extra_specs value has {len(value)} characters, more than 255."
            raise Invalid(words, code="InvalidInput")
    if request.version >= (2, 86):
        extra_specs_logic.check(request.cloud, specs)
    return specs


def _shows_specs(request: Request) -> bool:
    return request.version >= (2, 61) and request.allows(_SHOW_SPECS)


def _factor(value: Any) -> float:
    found = float(value)
    if not 0 < found <= 3.40282e38:
        raise Invalid("'rxtx_factor' argument must be a float between 0 and 3.40282e+38", code="InvalidInput")
    return found


def _page(request: Request) -> tuple[list[Flavor], int]:
    """The flavors of this page, filtered and sorted, and its limit."""
    found = logic.find_all(request.cloud, request.ctx, _is_public(request))
    for parameter, attribute in (("minRam", "ram"), ("minDisk", "disk")):
        if parameter in request.query:
            least = request.query[parameter]
            if not (least.isascii() and least.isdigit()):
                raise Invalid(f"Invalid {parameter} filter [{least}]")
            found = [flavor for flavor in found if getattr(flavor, attribute) >= int(least)]
    if request.version >= (2, 102) and "name" in request.query:
        found = [flavor for flavor in found if request.query["name"] in flavor.name]
    key = request.query.get("sort_key", "flavorid")
    attribute = _ATTRIBUTES.get(key, key)
    is_descending = request.query.get("sort_dir", "asc") == "desc"
    found.sort(key=lambda flavor: (_sortable(getattr(flavor, attribute)), flavor.id), reverse=is_descending)
    marker = request.query.get("marker")
    if marker is not None:
        at = next((index for index, flavor in enumerate(found) if flavor.id == marker), None)
        if at is None:
            raise Invalid(f"marker [{marker}] not found", code="MarkerNotFound")
        found = found[at + 1 :]
    limit = common.page_limit(request)
    return found[:limit], limit


def _sortable(value: Any) -> Any:
    return "" if value is None else value


def _is_public(request: Request) -> bool | None:
    text = request.query.get("is_public")
    if text is None:
        return True
    if text.lower() == "none":
        return None
    if text.lower() not in ("true", "false", "1", "0", "t", "f", "yes", "no", "y", "n", "on", "off"):
        raise Invalid(f"Invalid is_public filter [{text}]")
    return fields.as_boolean(text)


def _listed(request: Request, views: list[dict[str, Any]], found: list[Flavor], limit: int) -> Reply:
    body: dict[str, Any] = {"flavors": views}
    links = common.next_links(request, found, limit, found[-1].id if found else "")
    if links:
        body["flavors_links"] = links
    return Reply(200, body)


def _access(request: Request, projects: list[str]) -> Reply:
    flavor_id = request.params["flavor_id"]
    return Reply(200, {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": each} for each in projects]})


def _action(name: str, handler: Any, rule: str) -> Route:
    inner = {"type": "object", "properties": _TENANT, "required": ["tenant"], "additionalProperties": False}
    body = Schema(fields.wrapped(name, inner))
    return Route("POST", f"{_FLAVOR}/action", handler, f"{_ACCESS}:{rule}", body=body, action=name)


ROUTES = (
    Route("GET", "/flavors", find_all, "@", query=_LIST),
    Route("POST", "/flavors", create, f"{_MANAGE}:create", body=_CREATE),
    Route("GET", "/flavors/detail", find_all_detailed, "@", query=_LIST),
    Route("GET", _FLAVOR, get, "@"),
    Route("PUT", _FLAVOR, update, f"{_MANAGE}:update", body=_UPDATE, since=(2, 55)),
    Route("DELETE", _FLAVOR, delete, f"{_MANAGE}:delete"),
    Route("GET", f"{_FLAVOR}/os-extra_specs", extra_specs, f"{_SPECS}:index"),
    Route("POST", f"{_FLAVOR}/os-extra_specs", add_extra_specs, f"{_SPECS}:create", body=_SPECS_BODY),
    Route("GET", _FLAVOR + "/os-extra_specs/{key}", extra_spec, f"{_SPECS}:show"),
    Route("PUT", _FLAVOR + "/os-extra_specs/{key}", set_extra_spec, f"{_SPECS}:update", body=_SPEC_BODY),
    Route("DELETE", _FLAVOR + "/os-extra_specs/{key}", remove_extra_spec, f"{_SPECS}:delete"),
    Route("GET", f"{_FLAVOR}/os-flavor-access", access, _ACCESS),
    _action("addTenantAccess", add_access, "add_tenant_access"),
    _action("removeTenantAccess", remove_access, "remove_tenant_access"),
)
