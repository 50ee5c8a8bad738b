# SPDX-License-Identifier: Apache-2.0
"""`/volume-transfers` and, as it was called before 3.55, `/os-volume-transfer`; both serve every version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import keys, outside
from cumulet.services.block_storage.logic import transfers as logic
from cumulet.services.block_storage.types import Transfer

SNAPSHOTS = (3, 55)
HISTORY = (3, 57)
ENCRYPTED = (3, 70)
SORT_KEYS = ("id", "name", "created_at", "volume_id")
_COLLECTION = "os-volume-transfer"

_CREATE = common.wrapped(
    "transfer",
    {
        "type": "object",
        "properties": {
            "volume_id": common.UUID,
            "name": common.TEXT_OR_NULL,
            "no_snapshots": {**common.BOOLEAN, "since": SNAPSHOTS},
        },
        "required": ["volume_id"],
        "additionalProperties": False,
    },
)
_ACCEPT = common.wrapped(
    "accept",
    {
        "type": "object",
        "properties": {"auth_key": {"type": ["string", "integer"]}},
        "required": ["auth_key"],
        "additionalProperties": False,
    },
)


def target(request: Request) -> Mapping[str, Any]:
    """What a rule on one offer is judged on."""
    found = logic.get(request.cloud.db, request.ctx, request.params["transfer_id"])
    return {"project_id": found.project_id, "tenant_id": found.project_id}


def find_all(request: Request, *, detailed: bool) -> Reply:
    page = common.page_of(request, SORT_KEYS)
    asked = common.filters(request, ("name", "volume_id", "id"), ("project_id",))
    exact = {name: value for name, value in asked.items() if not name.endswith("~")}
    found = logic.find_page(request.cloud.db, request.ctx, page, exact, everywhere=common.everywhere(request))
    shown = [detail(request, one) if detailed else summary(request, one) for one in found]
    return Reply(200, common.listing(request, "transfers", found, shown, page))


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["transfer_id"])
    return Reply(200, {"transfer": detail(request, found)})


def create(request: Request) -> Reply:
    said = request.body["transfer"]
    name = common.clean(said.get("name"))
    if name == "":
        raise Invalid("An invalid 'name' value was provided. The 'name' can not be empty.", code="InvalidName")
    no_snapshots = common.truth(said.get("no_snapshots", False), "no_snapshots")

    def write(tx: Tx) -> tuple[Transfer, str]:
        words = {"no_snapshots": no_snapshots, "encrypted": request.version >= ENCRYPTED}
        return logic.create(request.cloud, tx, request.ctx, said["volume_id"], name, **words)

    made, key = request.cloud.db.write(write)
    return Reply(202, {"transfer": {**detail(request, made), "auth_key": key}})


def accept(request: Request) -> Reply:
    key = str(request.body["accept"]["auth_key"])
    transfer_id = request.params["transfer_id"]
    taken = keys.write(
        request.cloud,
        request.ctx,
        lambda tx, ready: logic.accept(request.cloud, tx, request.ctx, transfer_id, key, ready),
    )
    outside.settle(request.cloud, taken.volume_id)
    return Reply(202, {"transfer": summary(request, taken)})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(request.cloud, tx, request.ctx, request.params["transfer_id"]))
    return Reply(202)


def summary(request: Request, one: Transfer) -> dict[str, Any]:
    return {
        "id": one.id,
        "volume_id": one.volume_id,
        "name": one.name,
        "links": common.links(request, _COLLECTION, one.id),
    }


def detail(request: Request, one: Transfer) -> dict[str, Any]:
    view = {**summary(request, one), "created_at": moment(one.created_at)}
    if request.version >= SNAPSHOTS:
        view["no_snapshots"] = one.no_snapshots
    if request.version >= HISTORY:
        view |= {"destination_project_id": None, "source_project_id": one.project_id, "accepted": False}
    return view


def _routes(path: str) -> tuple[Route, ...]:
    one = f"{path}/{{transfer_id}}"
    return (
        *common.list_routes(path, find_all, "volume:get_all_transfers"),
        route("POST", path, create, "volume:create_transfer", body=_CREATE),
        route("GET", one, get, "volume:get_transfer", target=target),
        route("DELETE", one, delete, "volume:delete_transfer", target=target),
        route("POST", f"{one}/accept", accept, "volume:accept_transfer", body=_ACCEPT),
    )


ROUTES = (*_routes("/os-volume-transfer"), *_routes("/volume-transfers"))
