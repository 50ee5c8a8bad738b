# SPDX-License-Identifier: Apache-2.0
"""`/qos-specs`. As with Cinder, three requests that change something are GET."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import qos_specs as logic
from cumulet.services.block_storage.types.qos_specs import QosSpecs

COLLECTION = "qos-specs"
SORT_KEYS = ("id", "name", "consumer", "created_at", "updated_at")
_FILTERS = ("id", "name", "consumer")
_LONGEST = 255

_CREATE = common.wrapped(
    "qos_specs",
    {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": True,
    },
)
_UPDATE = common.wrapped(
    "qos_specs",
    {
        "type": "object",
        "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
        "additionalProperties": False,
    },
)
_KEYS = common.wrapped(
    "keys", {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255}, "uniqueItems": True}
)


def find_all(request: Request) -> Reply:
    page = common.page_of(request, SORT_KEYS)
    asked = {name: value for name, value in request.query.items() if name not in common.NO_FILTERS}
    # Administrators' filters are not looked at: nothing has what there is not.
    known = asked.keys() <= set(_FILTERS)
    found = logic.find_page(request.cloud.db, page, asked) if known else []
    shown = [view(request, one)["qos_specs"] for one in found]
    return Reply(200, common.listing(request, "qos_specs", found, shown, page))


def create(request: Request) -> Reply:
    said = dict(request.body["qos_specs"])
    name = _name(said.pop("name"))
    made = request.cloud.db.write(lambda tx: logic.create(request.cloud, tx, request.ctx, name, said))
    return Reply(200, view(request, made))


def get(request: Request) -> Reply:
    return Reply(200, view(request, logic.get(request.cloud.db, request.params["specs_id"])))


def update(request: Request) -> Reply:
    said = request.body["qos_specs"]
    request.cloud.db.write(lambda tx: logic.update(request.cloud, tx, request.ctx, request.params["specs_id"], said))
    return Reply(200, request.body)


def delete(request: Request) -> Reply:
    force = _force(request)
    specs_id = request.params["specs_id"]
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, specs_id, force=force))
    return Reply(202)


def delete_keys(request: Request) -> Reply:
    specs_id, keys = request.params["specs_id"], request.body["keys"]
    missing = request.cloud.db.write(lambda tx: logic.delete_keys(request.cloud, tx, request.ctx, specs_id, keys))
    if missing is not None:
        raise missing
    return Reply(202)


def associations(request: Request) -> Reply:
    found = logic.associations(request.cloud.db, request.params["specs_id"])
    rows = [{"association_type": "volume_type", "name": one.name, "id": one.id} for one in found]
    return Reply(200, {"qos_associations": rows})


def associate(request: Request) -> Reply:
    return _with_type(request, logic.associate)


def disassociate(request: Request) -> Reply:
    return _with_type(request, logic.disassociate)


def disassociate_all(request: Request) -> Reply:
    specs_id = request.params["specs_id"]
    request.cloud.db.write(lambda tx: logic.disassociate_all(request.cloud, tx, request.ctx, specs_id))
    return Reply(202)


def view(request: Request, one: QosSpecs) -> dict[str, Any]:
    shown = {"id": one.id, "name": one.name, "consumer": one.consumer, "specs": one.specs}
    return {"qos_specs": shown, "links": common.links(request, COLLECTION, one.id)}


def _with_type(request: Request, work: Callable[[Cloud, Tx, Context, str, str], None]) -> Reply:
    type_id = request.query.get("vol_type_id")
    if not type_id:
        raise Invalid("Volume Type id must not be None.")
    specs_id = request.params["specs_id"]
    request.cloud.db.write(lambda tx: work(request.cloud, tx, request.ctx, specs_id, type_id))
    return Reply(202)


def _name(said: str) -> str:
    name = said.strip()
    if not name:
        words = "empty" if said else "None"
        raise Invalid(
            f"An invalid 'name' value was provided. The 'name' can not be {words}.",
            code="InvalidName",
        )
    if len(name) > _LONGEST:
        words = f"The 'name' can not be greater than {_LONGEST} characters."
        raise Invalid(f"An invalid 'name' value was provided. {words}", code="InvalidName")
    return name


def _force(request: Request) -> bool:
    said = request.query.get("force", "false")
    try:
        return common.truth(said, "force")
    except Invalid as error:
        raise Invalid(f"Value '{said}' for 'force' is not a boolean.", code="InvalidParameterValue") from error


_ONE = f"/{COLLECTION}/{{specs_id}}"
_RULE = "volume_extension:qos_specs_manage"
ROUTES = (
    route("GET", f"/{COLLECTION}", find_all, f"{_RULE}:get_all"),
    route("POST", f"/{COLLECTION}", create, f"{_RULE}:create", body=_CREATE),
    route("GET", _ONE, get, f"{_RULE}:get"),
    route("PUT", _ONE, update, f"{_RULE}:update", body=_UPDATE),
    route("DELETE", _ONE, delete, f"{_RULE}:delete"),
    route("PUT", f"{_ONE}/delete_keys", delete_keys, f"{_RULE}:delete", body=_KEYS),
    route("GET", f"{_ONE}/associations", associations, f"{_RULE}:get_all"),
    route("GET", f"{_ONE}/associate", associate, f"{_RULE}:update"),
    route("GET", f"{_ONE}/disassociate", disassociate, f"{_RULE}:update"),
    route("GET", f"{_ONE}/disassociate_all", disassociate_all, f"{_RULE}:update"),
)
